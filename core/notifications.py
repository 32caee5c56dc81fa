"""What goes out: Operators' answers and the notices of a Desk's matrix, rendered when put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.orm import Session

from core import correlation, outbox, timeline
from core.correlation import Thread
from core.desk_profile import DeskProfile
from core.model import (
    Channel,
    Delivery,
    DeliveryState,
    DeskMembership,
    Fact,
    Operator,
    OperatorRole,
    table,
)
from core.ports import Rendered, ports
from core.references import new_message_id, reply_address

#: Automatic mails that one address gets in an hour, and one Conversation causes in a day:
#: beyond them two robots are talking to each other (mail.md section 2.5).
PER_ADDRESS_HOUR = 10
PER_CONVERSATION_DAY = 5

#: The Outbox topic of a Delivery that waits to be sent.
DELIVER = "mail.deliver"
#: The event of the answer to an unregistered sender, and its template.
REGISTRATION = "registration"

_DELIVERY = table(Delivery)

# Made once: building a statement costs more than running it.
_INSERT = insert(_DELIVERY).returning(_DELIVERY.c.id)
_STAFF = (
    select(Operator.email)
    .join(DeskMembership, DeskMembership.operator_id == Operator.id)
    .where(
        DeskMembership.desk_id == bindparam("desk"),
        DeskMembership.role.in_(bindparam("roles", expanding=True)),
        Operator.disabled_at.is_(None),
    )
    .order_by(Operator.id)
)
_LATELY = select(
    func.count().filter(_DELIVERY.c.created_at > bindparam("hour")),
    func.count().filter(_DELIVERY.c.conversation_id == bindparam("conversation")),
).where(
    _DELIVERY.c.recipient == bindparam("recipient"),
    _DELIVERY.c.created_at > bindparam("day"),
    _DELIVERY.c.automatic.is_(True),
    _DELIVERY.c.state != DeliveryState.SUPPRESSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a text that goes out may say of a Conversation: plain values, no ORM object."""

    desk_id: int
    desk: DeskProfile
    conversation_id: int
    ticket_id: int
    channel: Channel
    subject: str
    number: int | None
    requester_name: str
    address: str | None
    """Where mail for the Requester goes; None where no address is known."""
    language: str
    automatic_source: str | None = None
    """Why the mail that caused this looks automatic: then nothing automatic answers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One text on its way to one recipient."""

    recipient: str
    text: Rendered
    event: str | None = None
    message_id: int | None = None
    automatic: bool
    to_staff: bool = False
    """A notice to Operators carries no reply token: an answer to it is not the Requester's."""


def notify(
    session: Session,
    event: str,
    case: Case,
    *,
    now: datetime,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Put the notices of `event` in the outbox, one for each rule of the Desk and recipient.

    What a rule would send and must not is recorded as a suppressed Delivery with its reason.
    """
    rules = [
        rule
        for rule in case.desk.notices
        if rule.enabled and rule.event == event and rule.channel == "email"
    ]
    # Once for all of them: a notice answers what was said, not the notice to a colleague.
    thread = correlation.thread(session, case.conversation_id) if rules else None
    for rule in rules:
        context = _context(session, case, {"headline": rule.subject, **(extra or {})})
        texts: dict[str, Rendered] = {}
        for recipient, language in _audience(session, rule.audience, case):
            reason = _reason_not_to_send(session, case, rule.audience, recipient, now=now)
            if language not in texts:
                texts[language] = ports(session).render(rule.template, context, language=language)
            outgoing = Outgoing(
                recipient=recipient,
                text=texts[language],
                event=event,
                automatic=True,
                to_staff=rule.audience != "requester",
            )
            send(session, case, outgoing, thread=thread, now=now, suppressed=reason)


def send(
    session: Session,
    case: Case,
    outgoing: Outgoing,
    *,
    thread: Thread | None = None,
    now: datetime,
    suppressed: str | None = None,
) -> None:
    """Fix one text with its Message-ID and put it in the outbox.

    The subject carries the reference, the reply address a token for this recipient, and the
    thread's ids stand in In-Reply-To and References, so that every mail program threads it;
    `thread` is given where it is known already.
    """
    thread = thread or correlation.thread(session, case.conversation_id)
    reply_to = case.desk.address
    if not outgoing.to_staff:
        reply_to = reply_address(
            ports(session).reply_keys,
            intake=case.desk.address,
            conversation_id=case.conversation_id,
            recipient=outgoing.recipient,
        )
    row = {
        "desk_id": case.desk_id,
        "conversation_id": case.conversation_id,
        "reply_to": reply_to,
        "in_reply_to": thread.in_reply_to,
        "references": thread.references,
    }
    mail_id = _put(session, case.desk, outgoing, row, now=now, suppressed=suppressed)
    if suppressed:
        _record_suppression(session, case, outgoing, suppressed, now=now)
    else:
        correlation.remember(session, case.conversation_id, [mail_id])


def no_address(session: Session, case: Case, *, now: datetime) -> None:
    """Record that an answer reaches nobody by mail: whoever wrote it has to find another way."""
    change = timeline.Change(
        kind=Fact.NOTICE_SUPPRESSED,
        actor=timeline.SYSTEM,
        desk_id=case.desk_id,
        conversation_id=case.conversation_id,
        to_value="answer",
        reason="no mail address is known",
    )
    timeline.record(session, change, now=now)


def tell_how_to_register(
    session: Session,
    desk: DeskProfile,
    desk_id: int,
    recipient: str,
    *,
    answers: str | None,
    now: datetime,
) -> None:
    """Answer somebody whose mail a Desk may not take yet: constant text, once an hour (S2-06)."""
    lately = select(Delivery.id).where(
        Delivery.recipient == recipient,
        Delivery.event == REGISTRATION,
        Delivery.created_at > now - timedelta(hours=1),
    )
    if session.scalar(lately.limit(1)) is not None:
        return
    context = {"desk": desk, "public_url": ports(session).public_url}
    text = ports(session).render(REGISTRATION, context, language=desk.language)
    outgoing = Outgoing(recipient=recipient, text=text, event=REGISTRATION, automatic=True)
    row = {
        "desk_id": desk_id,
        "conversation_id": None,
        "reply_to": desk.address,
        "in_reply_to": answers,
        "references": [answers] if answers else [],
    }
    _put(session, desk, outgoing, row, now=now, suppressed=None)


def reply_subject(case: Case) -> str:
    """Return the subject of an answer: `Re: … [desk #number]`, stable over the whole thread."""
    subject = case.subject.strip() or "(senza oggetto)"
    if not subject.lower().startswith(("re:", "r:")):
        subject = f"Re: {subject}"
    return tagged(subject, case)


def tagged(subject: str, case: Case) -> str:
    """Return `subject` with the Ticket's reference, once."""
    if case.number is None:
        return subject
    reference = case.desk.subject_reference(case.number)
    return subject if reference in subject else f"{subject} {reference}"


def _put(
    session: Session,
    desk: DeskProfile,
    outgoing: Outgoing,
    row: dict[str, Any],
    *,
    now: datetime,
    suppressed: str | None,
) -> str:
    """Insert the Delivery and, unless it is suppressed, the work to send it; return its id."""
    mail_id = new_message_id(desk.address.partition("@")[2])
    row |= {
        "message_id": outgoing.message_id,
        "event": outgoing.event,
        "channel": Channel.EMAIL,
        "recipient": outgoing.recipient,
        "mail_id": mail_id,
        "subject": outgoing.text.subject,
        "body_text": outgoing.text.text,
        "body_html": outgoing.text.html,
        "automatic": outgoing.automatic,
        "state": DeliveryState.SUPPRESSED if suppressed else DeliveryState.WAITING,
        "reason": suppressed or "",
        "created_at": now,
    }
    delivery_id = session.connection().execute(_INSERT, row).scalar_one()
    if not suppressed:
        outbox.put(session, DELIVER, {"delivery": delivery_id}, now=now)
    return mail_id


def _audience(session: Session, audience: str, case: Case) -> Sequence[tuple[str, str]]:
    if audience == "requester":
        return [(case.address, case.language)] if case.address else []
    if audience == "level_above":
        return []
    roles = list(OperatorRole) if audience == "operators" else [OperatorRole(audience)]
    wanted = {"desk": case.desk_id, "roles": roles}
    return [(email, "it") for email in session.connection().scalars(_STAFF, wanted)]


def _reason_not_to_send(
    session: Session, case: Case, audience: str, recipient: str, *, now: datetime
) -> str | None:
    if audience == "requester" and case.automatic_source:
        return f"answers an automatic mail ({case.automatic_source})"
    if ports(session).desks.by_address(recipient) is not None:
        return "the address is one of ours"
    if audience != "requester":
        return None
    since = {
        "recipient": recipient,
        "conversation": case.conversation_id,
        "hour": now - timedelta(hours=1),
        "day": now - timedelta(days=1),
    }
    of_address, of_conversation = session.connection().execute(_LATELY, since).one()
    if of_address >= PER_ADDRESS_HOUR:
        return f"the address got {PER_ADDRESS_HOUR} automatic mails within the hour"
    if of_conversation >= PER_CONVERSATION_DAY:
        return f"the Conversation caused {PER_CONVERSATION_DAY} automatic mails within the day"
    return None


def _context(session: Session, case: Case, extra: Mapping[str, Any]) -> dict[str, Any]:
    number = case.number
    return {
        "desk": case.desk,
        "number": case.desk.format_number(number) if number is not None else "",
        "reference": case.desk.subject_reference(number) if number is not None else "",
        "subject": case.subject,
        "requester_name": case.requester_name,
        "public_url": ports(session).public_url,
        "conversation_id": case.conversation_id,
        "ticket_id": case.ticket_id,
        **extra,
    }


def _record_suppression(
    session: Session, case: Case, outgoing: Outgoing, reason: str, *, now: datetime
) -> None:
    change = timeline.Change(
        kind=Fact.NOTICE_SUPPRESSED,
        actor=timeline.SYSTEM,
        desk_id=case.desk_id,
        conversation_id=case.conversation_id,
        to_value=outgoing.event,
        reason=reason,
        data={"recipient": outgoing.recipient},
    )
    timeline.record(session, change, now=now)
