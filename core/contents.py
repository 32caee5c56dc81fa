"""Bytes stored once per hash: small ones in the row, large ones as files written before the commit."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.model import Content

#: Bytes up to which a content stands in its row, so that an ordinary mail is one commit and no file.
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
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
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
        for folder in (target.parent, self._root):
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


def put(session: Session, files: FileStore, data: bytes) -> str:
    """Store `data` once and return its SHA-256; the row is part of the session's transaction."""
    sha256 = digest(data)
    inline = len(data) <= INLINE_BYTES
    if not inline:
        files.write(sha256, data)
    insert_once(
        session,
        Content.__table__,
        [{"sha256": sha256, "size": len(data), "data": data if inline else None}],
    )
    return sha256


def get(session: Session, files: FileStore, sha256: str) -> bytes:
    """Return the bytes of a content; raises NotFound where there is none."""
    row = session.execute(
        select(Content.data, Content.size).where(Content.sha256 == sha256)
    ).one_or_none()
    if row is None:
        raise NotFound
    return files.read(sha256) if row.data is None else row.data


def insert_once(session: Session, table: Table, rows: list[dict[str, object]]) -> None:
    """Insert rows, passing over those that a unique key already knows (both databases)."""
    dialect = session.get_bind().dialect.name
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    session.connection().execute(insert(table).on_conflict_do_nothing(), rows)


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
