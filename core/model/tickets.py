"""The Ticket and its machine (model.md section 3): which status may follow which."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.errors import NotPossible
from core.model.base import Address, Base, Id, enum_column, reference
from core.model.conversations import Conversation
from core.model.operators import Operator


class Status(enum.StrEnum):
    """Stored status; what people read is the desk file's label."""

    OPEN = "open"  #: nobody has it yet
    TAKEN = "taken"  #: an Operator is in charge
    PENDING_REQUESTER = "pending_requester"  #: waits for the Requester
    PENDING_THIRD = "pending_third"  #: waits for somebody else
    SOLVED = "solved"  #: answered; the Requester may still object
    CLOSED = "closed"  #: over; a later mail opens a linked Ticket
    MERGED = "merged"  #: goes on in another Ticket
    CANCELLED = "cancelled"  #: spam or a double


class Severity(enum.StrEnum):
    """The Operator's *gravità*; what people read is the desk file's label."""

    HIGH = "High"  #: no productive work is possible
    MEDIUM = "Medium"  #: productivity is reduced
    LOW = "Low"  #: does not seriously affect the service
    INFO = "Info"  #: a question


#: T2-T12: status -> statuses that may follow.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.OPEN: frozenset({Status.TAKEN, Status.CLOSED, Status.MERGED, Status.CANCELLED}),
    Status.TAKEN: frozenset(
        {
            Status.PENDING_REQUESTER,
            Status.PENDING_THIRD,
            Status.SOLVED,
            Status.CLOSED,
            Status.MERGED,
            Status.CANCELLED,
        }
    ),
    Status.PENDING_REQUESTER: frozenset(
        {Status.TAKEN, Status.SOLVED, Status.MERGED, Status.CANCELLED}
    ),
    Status.PENDING_THIRD: frozenset({Status.TAKEN, Status.SOLVED, Status.MERGED, Status.CANCELLED}),
    Status.SOLVED: frozenset({Status.TAKEN, Status.CLOSED, Status.MERGED}),
    Status.CLOSED: frozenset(),
    Status.MERGED: frozenset(),
    Status.CANCELLED: frozenset(),
}

#: Statuses in which a Ticket is over.
ENDED = frozenset(status for status, following in TRANSITIONS.items() if not following)


class Ticket(Base):
    """A Conversation that somebody must answer."""

    __tablename__ = "ticket"
    __table_args__ = (
        UniqueConstraint("desk_id", "number"),
        UniqueConstraint("conversation_id"),
        Index("ix_ticket_queue", "desk_id", "status", "updated_at"),
        Index("ix_ticket_assignee", "assignee_id", "status", "updated_at"),
        Index("ix_ticket_follow_up", "follow_up_of_id"),
        Index("ix_ticket_updated", "updated_at", "id"),
    )

    id: Mapped[Id]
    desk_id: Mapped[int] = reference("desk.id")
    conversation_id: Mapped[int] = reference("conversation.id")
    number: Mapped[int]
    """Of the Desk's own sequence; shown in the desk file's format."""
    status: Mapped[Status] = mapped_column(enum_column(Status))
    severity: Mapped[Severity | None] = mapped_column(enum_column(Severity))
    priority: Mapped[str | None] = mapped_column(String(64))
    """The Requester's *priorità*, as one of the desk file's options."""
    contact_email: Mapped[Address | None]
    assignee_id: Mapped[int | None] = reference("operator.id")
    level: Mapped[int] = mapped_column(default=1)
    solution: Mapped[str | None] = mapped_column(Text)
    follow_up_of_id: Mapped[int | None] = reference("ticket.id")
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    """The newest Message or change; queues are ordered by it."""

    conversation: Mapped[Conversation] = relationship()
    assignee: Mapped[Operator | None] = relationship()

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen on it."""
        return self.status in ENDED

    def move_to(self, status: Status) -> Status:
        """Change the status and return the old one.

        Raises NotPossible where TRANSITIONS does not allow it.
        """
        if status not in TRANSITIONS[self.status]:
            msg = f"Il ticket è «{self.status.value}»: non può passare a «{status.value}»."
            raise NotPossible(msg)
        old, self.status = self.status, status
        return old
