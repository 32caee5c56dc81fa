"""All deferred work in one table, and what of it goes out to a person."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Address, Base, Id, enum_column, reference
from core.model.conversations import Channel


class EntryState(enum.StrEnum):
    """State of an Outbox entry."""

    WAITING = "waiting"  #: to be done, or being done under a lease
    DONE = "done"  #: finished
    GIVEN_UP = "given_up"  #: failed for good; shown, can be put back


class OutboxEntry(Base):
    """One piece of deferred work; at least once, so the work itself must bear a repeat."""

    __tablename__ = "outbox_entry"
    __table_args__ = (
        # What was tried before is claimed apart and must be found behind any backlog; two indexes
        # that exclude each other leave no planner a wrong choice.
        Index(
            "ix_outbox_entry_due",
            "due_at",
            "id",
            sqlite_where=text("state = 'waiting' AND attempts = 0"),
            postgresql_where=text("state = 'waiting' AND attempts = 0"),
        ),
        Index(
            "ix_outbox_entry_again",
            "due_at",
            "id",
            sqlite_where=text("state = 'waiting' AND attempts > 0"),
            postgresql_where=text("state = 'waiting' AND attempts > 0"),
        ),
    )

    id: Mapped[Id]
    topic: Mapped[str] = mapped_column(String(64))
    """Which job handles it, as `mail.process`."""
    payload: Mapped[dict[str, Any]]
    state: Mapped[EntryState] = mapped_column(enum_column(EntryState))
    due_at: Mapped[datetime]
    """When it may be claimed: claiming moves it to the lease's end, a failure to the next try."""
    claim: Mapped[str | None] = mapped_column(String(40))
    """Who holds the lease; a finished job is only recorded by its holder."""
    attempts: Mapped[int]
    dedupe_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class DeliveryState(enum.StrEnum):
    """State of a Delivery."""

    WAITING = "waiting"  #: in the outbox
    SENT = "sent"  #: the next server took it
    UNCERTAIN = "uncertain"  #: the server's answer was lost; goes out again under its Message-ID
    FAILED = "failed"  #: refused for good
    SUPPRESSED = "suppressed"  #: must not go out; the reason says why


class Delivery(Base):
    """One text for one recipient, fixed when it was put in the outbox."""

    __tablename__ = "delivery"
    __table_args__ = (Index("ix_delivery_recipient", "recipient", "created_at"),)

    id: Mapped[Id]
    desk_id: Mapped[int] = reference("desk.id")
    conversation_id: Mapped[int | None] = reference("conversation.id", index=True)
    message_id: Mapped[int | None] = reference("message.id", index=True)
    """The Operator's Message that it carries; None for a notice."""
    event: Mapped[str | None] = mapped_column(String(40))
    """The event that a notice tells; None for an answer."""
    channel: Mapped[Channel] = mapped_column(enum_column(Channel))
    recipient: Mapped[Address]
    reply_to: Mapped[Address]
    mail_id: Mapped[str] = mapped_column(String(250))
    """The Message-ID, chosen here so that a repeat is recognisable."""
    in_reply_to: Mapped[str | None] = mapped_column(String(998))
    references: Mapped[list[str]]
    subject: Mapped[str] = mapped_column(Text)
    body_text: Mapped[str] = mapped_column(Text)
    body_html: Mapped[str | None] = mapped_column(Text)
    automatic: Mapped[bool]
    state: Mapped[DeliveryState] = mapped_column(enum_column(DeliveryState))
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
