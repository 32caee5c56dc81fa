"""Reads forms within limits, and cleans what browsers say of files; stores nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from core import filenames
from core.conversations import File
from core.desk_rules import Attachments
from core.errors import CallerError
from portal.language import gettext, ngettext

MEGABYTE = 1_000_000
#: Bytes of all files of one Message together: more would not go out by mail either.
TOGETHER = 50 * MEGABYTE
#: Bytes of a form without files, and what the text of a form with files may add to them.
PLAIN_FORM = 512 * 1024

_TYPE = re.compile(r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,99}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}$")
_LONGEST_NUMBER = len("999999999999999999")


class TooLarge(CallerError):
    """Gli allegati superano il limite: mandali in più messaggi, oppure comprimili."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a form brought: texts by name, and files."""

    values: dict[str, list[str]] = field(default_factory=dict)
    uploads: Sequence[UploadFile] = ()

    def text(self, name: str) -> str:
        """Return the first value of a field, or an empty text."""
        return self.values.get(name, [""])[0]

    def numbers(self, name: str) -> list[int]:
        """Return the values of a field that are whole numbers of a row; all else is left out."""
        return [
            int(one)
            for one in self.values.get(name, [])
            if one.isascii() and one.isdigit() and len(one) <= _LONGEST_NUMBER
        ]

    def files(self, limits: Attachments, again: Sequence[File] = ()) -> list[File]:
        """Return the files, ready to be attached; raises CallerError beyond the Desk's limits.

        `again` are files of the Conversation that the same Message carries once more.
        """
        if len(self.uploads) + len(again) > limits.max_files:
            n = limits.max_files
            text = ngettext("Puoi allegare {n} file.", "Puoi allegare fino a {n} file.", n)
            raise CallerError(text.format(n=n))
        found = [_file(upload) for upload in self.uploads]
        for file in found:
            if file.size > limits.max_file_mb * MEGABYTE:
                text = gettext("«{name}» supera {n} MB: comprimilo, oppure dividilo in più file.")
                raise TooLarge(text.format(name=file.name, n=limits.max_file_mb))
        if sum(file.size for file in (*found, *again)) > max_together(limits):
            raise TooLarge
        return [*found, *again]


def max_together(limits: Attachments) -> int:
    """Return how many bytes the files of one Message may have together."""
    return min(limits.max_files * limits.max_file_mb * MEGABYTE, TOGETHER)


def in_words(limits: Attachments) -> str:
    """Say the limits, as `Fino a 20 file, 50 MB in tutto`."""
    text = ngettext("{n} file, {mb} MB", "Fino a {n} file, {mb} MB in tutto", limits.max_files)
    return text.format(n=limits.max_files, mb=max_together(limits) // MEGABYTE)


def length(request: Request) -> int:
    """Return how many bytes a form may turn out to have: all that it may where it names none.

    Raises HTTPException(400) on a length that is none.
    """
    named = request.headers.get("content-length")
    if named is None:
        return PLAIN_FORM + TOGETHER
    if not (named.isascii() and named.isdigit() and len(named) <= _LONGEST_NUMBER):
        raise HTTPException(400)
    return int(named)


async def read_form(request: Request, *, files: bool) -> Form:
    """Read a form within its limit; raises TooLarge, HTTPException(400) on a broken one."""
    limit = PLAIN_FORM + (TOGETHER if files else 0)
    if request.headers.get("content-length") and length(request) > limit:
        raise TooLarge
    counted = Request(request.scope, _counted(request, limit))
    try:
        data = await counted.form(
            max_files=200 if files else 0, max_fields=300, max_part_size=PLAIN_FORM
        )
    except (MultiPartException, ClientDisconnect) as fault:
        raise HTTPException(400) from fault
    return _form(data)


async def forget(form: Form) -> None:
    """Drop the temporary files of a form."""
    for upload in form.uploads:
        await upload.close()


def clean_name(name: str) -> str:
    """Return a file's name as core.filenames cleans it, never empty."""
    return filenames.clean_name(name) or "allegato"


def clean_type(content_type: str) -> str:
    """Return a media type without parameters, or the neutral one where it is none."""
    plain = content_type.partition(";")[0].strip().lower()
    return plain if _TYPE.match(plain) else "application/octet-stream"


def _counted(request: Request, limit: int) -> Any:
    read = 0

    async def receive() -> Any:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > limit:
            # A sender that names no length, or a wrong one.
            raise TooLarge
        return message

    return receive


def _form(data: FormData) -> Form:
    values: dict[str, list[str]] = {}
    uploads = []
    for name, value in data.multi_items():
        if isinstance(value, str):
            values.setdefault(name, []).append(value)
        elif value.filename:
            # A file field that was left empty comes as a nameless file.
            uploads.append(value)
    return Form(values, uploads)


def _file(upload: UploadFile) -> File:
    data = upload.file.read()
    return File(
        name=clean_name(upload.filename or ""),
        content_type=clean_type(upload.content_type or ""),
        data=data,
        size=len(data),
    )
