"""What each fact causes: one table, walked in the transaction that records the fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import notifications, timeline
from core.errors import Permanent
from core.model import Channel, Fact, Operator, Participant, ParticipantKind, Visibility
from core.notifications import Case, Outgoing
from core.ports import Rendered
from core.timeline import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The Message that a fact is about, as reactions need it."""

    id: int
    visibility: Visibility
    text: str
    operator: Operator | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A recorded fact with what its reactions need."""

    change: Change
    case: Case
    said: Said | None = None


Reaction = Callable[[Session, Happening, datetime], None]


def happened(session: Session, happening: Happening, *, now: datetime) -> None:
    """Record a fact and let all react to it; a reaction's only outward effect is the outbox."""
    timeline.record(session, happening.change, now=now)
    for reaction in REACTIONS.get(happening.change.kind, ()):
        reaction(session, happening, now)


def _notice(event: str) -> Reaction:
    def tell(session: Session, happening: Happening, now: datetime) -> None:
        extra = {"reason": happening.change.reason or ""}
        notifications.notify(session, event, happening.case, now=now, extra=extra)

    return tell


def _send_answer(session: Session, happening: Happening, now: datetime) -> None:
    """Send an Operator's public Message by mail where the Conversation lives in mail."""
    said, case = happening.said, happening.case
    if said is None or said.visibility is not Visibility.PUBLIC:
        # The last fence before the outbox: an internal Message never leaves (S3-16).
        raise Permanent("an internal Message was about to be sent")
    if case.channel not in (Channel.EMAIL, Channel.PHONE) or said.operator is None:
        return
    text = f"{said.text}\n\n-- \n{case.desk.sign(said.operator.name)}\n"
    rendered = Rendered(notifications.reply_subject(case), text, None)
    correspondents = _correspondents(session, case)
    if not correspondents:
        notifications.no_address(session, case, now=now)
    for recipient in correspondents:
        outgoing = Outgoing(recipient=recipient, text=rendered, message_id=said.id, automatic=False)
        notifications.send(session, case, outgoing, now=now)


def _correspondents(session: Session, case: Case) -> list[str]:
    """Return who gets an answer: the Requester first, then everybody in copy."""
    copies = session.scalars(
        select(Participant.address)
        .where(
            Participant.conversation_id == case.conversation_id,
            Participant.kind == ParticipantKind.CC,
            Participant.address != "",
        )
        .order_by(Participant.id)
    )
    return list(dict.fromkeys([*([case.address] if case.address else []), *copies]))


#: Fact -> what follows. E1-E7 are the events of model.md section 8; whether and to whom a notice
#: goes out is the Desk's own matrix.
REACTIONS: Mapping[Fact, tuple[Reaction, ...]] = {
    Fact.TICKET_OPENED: (_notice("ticket_opened"),),
    Fact.TICKET_TAKEN: (_notice("ticket_taken"),),
    Fact.TICKET_SOLVED: (_notice("ticket_solved"),),
    Fact.TICKET_CLOSED: (_notice("ticket_closed"),),
    Fact.REQUESTER_WROTE: (_notice("requester_message"),),
    Fact.NOTE_WRITTEN: (_notice("internal_message"),),
    Fact.OPERATOR_WROTE: (_send_answer, _notice("operator_message")),
}
