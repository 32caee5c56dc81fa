"""The demo's mail catcher: shows the mails that would have gone out; reads files, sends nothing."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from starlette.responses import Response

from core.errors import NotFound
from core.model import Operator
from portal import queries
from portal.frame import console_page
from portal.language import gettext, ngettext
from portal.ledger import SHOWN, decoded, source
from portal.pages.files import file_response
from portal.visit import Visit

#: Mails on the page.
NEWEST = 100
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")


def catcher(visit: Visit) -> Response:
    """List the newest caught mails."""
    _only_here(visit)
    # A mail that is still being written has a name with a dot before it.
    paths = sorted(_folder(visit).glob("[!.]*.eml"), reverse=True)
    total = ngettext("{n} mail", "{n} mail", len(paths)).format(n=len(paths))
    context = _page(visit, mails=[_line(path) for path in paths[:NEWEST]], total_text=total)
    return visit.page("demo/catcher.html", context)


def caught(visit: Visit) -> Response:
    """Show one caught mail."""
    path = _path(visit)
    raw = path.read_bytes()
    message = _parsed(raw)
    text, here = _text(message), f"/demo/posta/{path.stem}"
    shown = _line(path) | source(raw)
    shown |= {
        "text": text[:SHOWN],
        "cut": len(text) > SHOWN,
        "attachments": [_shown_file(n, part, here) for n, part in enumerate(_files(message))],
        "download_url": f"{here}/originale",
    }
    return visit.page("demo/caught.html", _page(visit, mail=shown, list_url="/demo/posta"))


def original(visit: Visit) -> Response:
    """Hand over a caught mail's bytes."""
    path = _path(visit)
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"'}
    return Response(path.read_bytes(), media_type="text/plain; charset=utf-8", headers=headers)


def file(visit: Visit) -> Response:
    """Hand over one file of a caught mail."""
    parts = _files(_parsed(_path(visit).read_bytes()))
    number = visit.number("number")
    if number >= len(parts):
        raise NotFound
    part = parts[number]
    return file_response(decoded(part.get_filename() or ""), part.get_content_type(), _bytes(part))


def _shown_file(number: int, part: Message, here: str) -> dict[str, Any]:
    return {
        "name": decoded(part.get_filename() or gettext("senza nome")),
        "url": f"{here}/file/{number}",
        "size": len(_bytes(part)),
    }


def _page(visit: Visit, **content: Any) -> dict[str, Any]:
    signed_in = visit.login is not None and isinstance(visit.login.person, Operator)
    figures = queries.counts(visit.session, visit.operator) if signed_in else {}
    return console_page(visit, figures, current="/demo/posta", **content)


def _only_here(visit: Visit) -> None:
    """Raise NotFound outside of a demo, and for strangers who come from another machine."""
    if not visit.site.settings.demo:
        raise NotFound
    if visit.login is not None:
        return
    try:
        here = ip_address(visit.peer).is_loopback
    except ValueError:
        here = False
    if not here:
        raise NotFound


def _folder(visit: Visit) -> Path:
    return visit.site.settings.data / "catcher"


def _path(visit: Visit) -> Path:
    _only_here(visit)
    name = visit.request.path_params["name"]
    path = _folder(visit) / f"{name}.eml"
    if not _NAME.match(name) or not path.is_file():
        raise NotFound
    return path


def _line(path: Path) -> dict[str, Any]:
    message = _parsed(path.read_bytes())
    # Whom the envelope named; a mail that came another way has only its own word for it.
    to = message.get_all("Delivered-To") or str(message.get("To") or "").split(",")
    status = path.stat()
    return {
        "url": f"/demo/posta/{path.stem}",
        "at": datetime.fromtimestamp(status.st_mtime, UTC),
        "sender": decoded(str(message.get("From") or "")),
        "recipients": [decoded(str(one)) for one in to if str(one).strip()],
        "subject": decoded(str(message.get("Subject") or "")),
        "size": status.st_size,
        "attachments": len(_files(message)),
    }


def _parsed(raw: bytes) -> Message:
    return email.message_from_bytes(raw, policy=email.policy.compat32)


def _files(message: Message) -> Sequence[Message]:
    return [part for part in message.walk() if part.get_filename() and not part.is_multipart()]


def _text(message: Message) -> str:
    for part in message.walk():
        if part.get_content_type() == "text/plain" and not part.get_filename():
            charset = part.get_content_charset() or "utf-8"
            try:
                return _bytes(part).decode(charset, "replace")
            except LookupError:
                return _bytes(part).decode("utf-8", "replace")
    return ""


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
