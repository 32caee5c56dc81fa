"""Bytes stored once per hash: small ones in the row, large ones as files before the commit."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Column, Executable, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.model import Content, table

_CONTENT = table(Content)
_GET = select(_CONTENT.c.data).where(_CONTENT.c.sha256 == bindparam("sha256"))

#: Bytes up to which a content stands in its row: an ordinary mail is one commit and no file.
INLINE_BYTES = 64 * 1024


class FileStore(Protocol):
    """Where large contents live: a folder, or anything that keeps bytes by name."""

    def write(self, sha256: str, data: bytes) -> None:
        """Keep `data`; on return it survives a power cut. Writing the same again is harmless."""

    def read(self, sha256: str) -> bytes:
        """Return the bytes; raises NotFound where they are missing."""


class Folder:
    """A content-addressed folder: write aside, fsync, rename, fsync the folder."""

    def __init__(self, root: Path) -> None:
        """Keep the files under `root`, which is made when first needed."""
        self._root = root

    def write(self, sha256: str, data: bytes) -> None:
        """See FileStore.write."""
        target = self._path(sha256)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(target, data)
        # Also for a file that is there: whoever wrote it may not have come this far yet.
        for folder in (target.parent, self._root, self._root.parent):
            _fsync_folder(folder)

    def read(self, sha256: str) -> bytes:
        """See FileStore.read."""
        try:
            return self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"Il file {sha256[:12]}… manca dalla cartella dei dati.") from None

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def keep_aside(files: FileStore, data: bytes) -> None:
    """Write what will not stand in a row, before the transaction: its fsync holds no lock then."""
    if len(data) > INLINE_BYTES:
        files.write(digest(data), data)


def put(session: Session, files: FileStore, data: bytes) -> str:
    """Store `data` once and return its SHA-256; the row is part of the session's transaction."""
    sha256 = digest(data)
    inline = len(data) <= INLINE_BYTES
    if not inline:
        files.write(sha256, data)
    insert_once(
        session,
        _CONTENT,
        [{"sha256": sha256, "size": len(data), "data": data if inline else None}],
    )
    return sha256


def get(session: Session, files: FileStore, sha256: str) -> bytes:
    """Return the bytes of a content; raises NotFound where there is none."""
    row = session.connection().execute(_GET, {"sha256": sha256}).one_or_none()
    if row is None:
        raise NotFound
    return files.read(sha256) if row.data is None else row.data


def insert_once(session: Session, table: Table, rows: list[dict[str, object]]) -> None:
    """Insert rows, passing over those that a unique key already knows (both databases)."""
    connection = session.connection()
    connection.execute(insert_or_pass(connection.dialect.name, table), rows)


@cache
def insert_or_pass(dialect: str, table: Table, returning: Column[int] | None = None) -> Executable:
    """Return the INSERT that passes over what a unique key knows; made once, it costs a third.

    With `returning` it gives that column of what was inserted, and nothing for what was not.
    """
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table).on_conflict_do_nothing()
    return statement if returning is None else statement.returning(returning)


def storable(text: str) -> str:
    """Return text that every database takes: without NUL and without halves of characters."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _write_whole(target: Path, data: bytes) -> None:
    aside = target.with_name(f".{uuid4().hex}")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
