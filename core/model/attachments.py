"""Files of Messages, and the bytes behind them, which are stored once per hash."""

from __future__ import annotations

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Id, Sha256, reference


class Content(Base):
    """Bytes by their SHA-256; small ones stand in the row, large ones in the data folder."""

    __tablename__ = "content"

    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    size: Mapped[int]
    """Bytes."""
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None: the bytes are a file (core/contents.py)."""


class Attachment(Base):
    """A file of a Message under the name that its author gave it."""

    __tablename__ = "attachment"

    id: Mapped[Id]
    message_id: Mapped[int] = reference("message.id", index=True)
    sha256: Mapped[Sha256]
    name: Mapped[str] = mapped_column(String(200))
    content_type: Mapped[str] = mapped_column(String(200))
    size: Mapped[int]
    """Bytes."""
    inline: Mapped[bool]
    content_id: Mapped[str | None] = mapped_column(String(250))
    """The `cid:` under which the mail's HTML shows it."""
