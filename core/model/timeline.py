"""The append-only record of facts: who changed what, from what to what, and why."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Id, enum_column, reference


class Fact(enum.StrEnum):
    """What happened."""

    TICKET_OPENED = "ticket_opened"  #: T1
    TICKET_TAKEN = "ticket_taken"  #: T2
    STATUS_CHANGED = "status_changed"  #: T3, T4, T7
    TICKET_SOLVED = "ticket_solved"  #: T6
    TICKET_CLOSED = "ticket_closed"  #: T8, T9
    HOLDER_CHANGED = "holder_changed"  #: H1-H3
    REQUESTER_WROTE = "requester_wrote"  #: a public Message of the Requester or of somebody in copy
    OPERATOR_WROTE = "operator_wrote"  #: a public Message of an Operator
    NOTE_WRITTEN = "note_written"  #: an internal Message
    MAIL_SETTLED = "mail_settled"  #: a RawMail got a disposition that is not `accepted`
    DELIVERY_CHANGED = "delivery_changed"  #: a Delivery was sent or failed
    NOTICE_SUPPRESSED = "notice_suppressed"  #: a notice was due and must not go out
    PARTICIPANT_ADDED = "participant_added"  #: somebody takes part from now on
    OPERATOR_CHANGED = "operator_changed"  #: an Operator was added, disabled, got a password


class TimelineEntry(Base):
    """One fact; never changed, never deleted."""

    __tablename__ = "timeline_entry"
    __table_args__ = (Index("ix_timeline_entry_conversation", "conversation_id", "id"),)

    id: Mapped[Id]
    desk_id: Mapped[int | None] = reference("desk.id")
    conversation_id: Mapped[int | None] = reference("conversation.id")
    kind: Mapped[Fact] = mapped_column(enum_column(Fact))
    actor: Mapped[str] = mapped_column(String(40))
    """`operator:7`, `requester:12`, `assistant` or `system`."""
    from_value: Mapped[str | None] = mapped_column(String(200))
    to_value: Mapped[str | None] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(Text)
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
