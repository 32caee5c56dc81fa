"""The lost-mail ledger and the ids by which mails find their Conversation."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Address, Base, Id, Sha256, enum_column, reference


class Disposition(enum.StrEnum):
    """How one mail ended (model.md section 2.3)."""

    WAITING = "waiting"  #: committed, not yet processed
    ACCEPTED = "accepted"  #: became a Message
    HELD = "held"  #: waits for an Operator
    BOUNCED = "bounced"  #: refused with an answer
    IGNORED = "ignored"  #: own loop or automatic mail; at most a system note
    RECEIPT = "receipt"  #: a Receipt was attached to a Delivery
    DUPLICATE = "duplicate"  #: the same mail was accepted already
    GIVEN_UP = "given_up"  #: processing failed; raw mail kept, *Try again* possible


class RawMail(Base):
    """One inbound mail for one recipient, as received: its line in the ledger."""

    __tablename__ = "raw_mail"
    __table_args__ = (
        UniqueConstraint("fingerprint", "recipient"),
        Index("ix_raw_mail_disposition", "disposition", "id"),
        # Only among what became a Message, so that the ledger has room for a double's line.
        Index(
            "uq_raw_mail_accepted",
            "desk_id",
            "message_id",
            "body_hash",
            unique=True,
            sqlite_where=text("disposition = 'accepted'"),
            postgresql_where=text("disposition = 'accepted'"),
        ),
        Index("ix_raw_mail_conversation", "conversation_id"),
    )

    id: Mapped[Id]
    desk_id: Mapped[int] = reference("desk.id")
    sha256: Mapped[Sha256]
    """Of the bytes as received; they are in `content`."""
    fingerprint: Mapped[Sha256]
    """Of the bytes less trace headers: the same for the same mail by another way or in a resend."""
    recipient: Mapped[Address]
    envelope_from: Mapped[Address]
    source: Mapped[str] = mapped_column(String(16))
    """`smtp`, `lmtp` or `imap`."""
    received_at: Mapped[datetime]
    repeats: Mapped[int] = mapped_column(default=0)
    """How many times the same bytes came again."""
    disposition: Mapped[Disposition] = mapped_column(enum_column(Disposition))
    reason: Mapped[str] = mapped_column(Text, default="")
    from_address: Mapped[Address | None]
    subject: Mapped[str | None] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(String(998))
    body_hash: Mapped[Sha256 | None]
    auto_reason: Mapped[str | None] = mapped_column(String(40))
    conversation_id: Mapped[int | None] = reference("conversation.id")
    """Where it went, or where it waits to be admitted."""


class MailRef(Base):
    """A Message-ID that belongs to a Conversation, ids seen only in References included."""

    __tablename__ = "mail_ref"
    __table_args__ = (UniqueConstraint("message_id", "conversation_id"),)

    id: Mapped[Id]
    message_id: Mapped[str] = mapped_column(String(998))
    conversation_id: Mapped[int] = reference("conversation.id", index=True)
    received: Mapped[bool]
    """Whether it is the id of a mail that came in; else it was only cited, or is our own."""
