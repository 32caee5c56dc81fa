"""What people do with Tickets, in their own verbs; every Channel and page calls these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from core import conversations, correlation, timeline
from core.access import require_answering, require_staff
from core.conversations import Appended, Beginning, File, Words
from core.errors import CallerError, Conflict, NotPossible
from core.incoming import Incoming, Received
from core.model import (
    AuthorKind,
    Channel,
    Conversation,
    Desk,
    Fact,
    Holder,
    Operator,
    ParticipantKind,
    Requester,
    Status,
    Ticket,
    Visibility,
    table,
)
from core.notifications import Case
from core.ports import ports
from core.reactions import Happening, Said, happened
from core.timeline import Change

#: Channels that cannot be told at once that a Ticket is over: what comes by them goes on elsewhere.
BY_MAIL = frozenset({Channel.EMAIL, Channel.PEC})

_DESK = table(Desk)
_CONVERSATION = table(Conversation)
_REQUESTER = table(Requester)
_TICKET = table(Ticket)

# Made once: building a statement costs more than running it.
_NEXT_NUMBER = (
    update(_DESK)
    .where(_DESK.c.id == bindparam("desk"))
    .values(next_number=_DESK.c.next_number + 1)
    .returning(_DESK.c.next_number - 1)
)
_OPEN = insert(_TICKET).returning(_TICKET.c.id)
_OF_CONVERSATION = (
    select(Ticket)
    .where(Ticket.conversation_id == bindparam("conversation"))
    .with_for_update()
    # A Ticket that the session knows already keeps what it was before the lock otherwise.
    .execution_options(populate_existing=True)
)
_CASE = (
    select(
        _DESK.c.code,
        _CONVERSATION.c.channel,
        _CONVERSATION.c.subject,
        _REQUESTER.c.name,
        _REQUESTER.c.language,
    )
    .select_from(_CONVERSATION)
    .join(_DESK, _DESK.c.id == _CONVERSATION.c.desk_id)
    .join(_REQUESTER, _REQUESTER.c.id == _CONVERSATION.c.requester_id)
    .where(_CONVERSATION.c.id == bindparam("conversation"))
)


def receive(
    session: Session, incoming: Incoming, *, conversation_id: int | None = None, now: datetime
) -> Received:
    """Take in a Requester's Message: the one way in, for every Channel.

    Without `conversation_id` it opens a Ticket (T1). With one it is appended; it ends a wait for
    the Requester (T3) and re-opens a solved Ticket (T7). On an ended Ticket a mail opens a linked
    one, or goes on in the one that this Requester opened so before (T10); any other Channel gets
    NotPossible.
    """
    if conversation_id is None:
        return _open(session, incoming, follow_up_of=None, now=now)
    ticket = _of_conversation(session, conversation_id)
    if ticket.ended and incoming.channel not in BY_MAIL:
        raise NotPossible("Questa richiesta è chiusa: per continuare apri una nuova richiesta.")
    while ticket.ended:
        following = _continued(session, ticket, incoming)
        if following is None:
            return _open(session, incoming, follow_up_of=ticket, now=now)
        ticket = following
    return _append(session, incoming, ticket, now=now)


def open_follow_up(
    session: Session, incoming: Incoming, *, of_conversation: int, now: datetime
) -> Received:
    """Open a Ticket linked to another one, as for a stranger who answers somebody's thread."""
    older = _of_conversation(session, of_conversation)
    return _open(session, incoming, follow_up_of=older, now=now)


def take(session: Session, ticket: Ticket, operator: Operator, *, now: datetime) -> None:
    """Take in charge (T2); a repeat by the same Operator is harmless.

    Raises Conflict where somebody else took it first, NotAllowed, NotPossible.
    """
    require_answering(operator, ticket.desk_id)
    session.refresh(ticket, with_for_update={"of": Ticket})
    if ticket.assignee_id == operator.id and ticket.status is Status.TAKEN:
        return
    if ticket.status is not Status.OPEN:
        if ticket.assignee is not None:
            raise Conflict(f"Il ticket è già in carico a {ticket.assignee.name}.")
        raise NotPossible
    old = ticket.move_to(Status.TAKEN)
    ticket.assignee, ticket.updated_at = operator, now
    ticket.conversation.holder = Holder.OPERATOR
    conversations.add_participant(
        session,
        ticket.conversation_id,
        ParticipantKind.ASSIGNEE,
        address=operator.email,
        operator_id=operator.id,
    )
    _changed(session, ticket, Fact.TICKET_TAKEN, operator, old, now=now)


def answer(
    session: Session,
    ticket: Ticket,
    operator: Operator,
    *,
    text: str,
    files: Sequence[File] = (),
    external_id: str | None = None,
    now: datetime,
) -> Appended | None:
    """Answer the Requester; the first answer also takes the Ticket in charge.

    It goes out by the Conversation's Channel. None for a repeat of the same `external_id`.
    Raises CallerError on an empty text without files, NotPossible on an ended Ticket.
    """
    require_answering(operator, ticket.desk_id)
    _require_text(text, files)
    session.refresh(ticket, with_for_update={"of": Ticket})
    if ticket.ended:
        raise NotPossible("Il ticket è chiuso: non si può più rispondere.")
    if ticket.status is Status.OPEN:
        take(session, ticket, operator, now=now)
    words = _operator_words(operator, Visibility.PUBLIC, text, files, external_id)
    return _say(session, ticket, operator, words, Fact.OPERATOR_WROTE, now=now)


def note(
    session: Session,
    ticket: Ticket,
    operator: Operator,
    *,
    text: str,
    files: Sequence[File] = (),
    external_id: str | None = None,
    now: datetime,
) -> Appended | None:
    """Write an internal Message, for Operators only; allowed in every status."""
    require_staff(operator, ticket.desk_id)
    _require_text(text, files)
    # Before the Conversation, as everybody else: in another order two writers wait for each other.
    session.refresh(ticket, with_for_update={"of": Ticket})
    words = _operator_words(operator, Visibility.INTERNAL, text, files, external_id)
    return _say(session, ticket, operator, words, Fact.NOTE_WRITTEN, now=now)


def solve(
    session: Session, ticket: Ticket, operator: Operator, *, solution: str, now: datetime
) -> None:
    """Mark solved (T6); the Requester may still write and thereby re-open it.

    Raises CallerError where the solution is empty.
    """
    require_answering(operator, ticket.desk_id)
    if not solution.strip():
        raise CallerError("Scrivi la soluzione: il ticket non può essere risolto senza.")
    session.refresh(ticket, with_for_update={"of": Ticket})
    if ticket.status is Status.SOLVED:
        return
    old = ticket.move_to(Status.SOLVED)
    ticket.solution, ticket.updated_at = solution.strip(), now
    _changed(session, ticket, Fact.TICKET_SOLVED, operator, old, reason=ticket.solution, now=now)


def close(session: Session, ticket: Ticket, operator: Operator, *, now: datetime) -> None:
    """Close for good (T8, T9); a later mail opens a linked Ticket.

    Raises NotPossible on a Ticket that is not solved, where the Desk does not close directly.
    """
    require_answering(operator, ticket.desk_id)
    session.refresh(ticket, with_for_update={"of": Ticket})
    if ticket.status is Status.CLOSED:
        return
    desk = case_of(session, ticket).desk
    if ticket.status in (Status.OPEN, Status.TAKEN) and not desk.direct_close:
        raise NotPossible("Prima di chiudere il ticket scrivi la soluzione.")
    old = ticket.move_to(Status.CLOSED)
    ticket.updated_at = now
    ticket.conversation.holder = Holder.NOBODY
    _changed(session, ticket, Fact.TICKET_CLOSED, operator, old, now=now)


def reopen(session: Session, ticket: Ticket, operator: Operator, *, now: datetime) -> None:
    """Take a solved Ticket up again (T7); a repeat is harmless. Raises NotPossible on any other."""
    require_answering(operator, ticket.desk_id)
    session.refresh(ticket, with_for_update={"of": Ticket})
    if ticket.status is Status.TAKEN:
        return
    if ticket.status is not Status.SOLVED:
        raise NotPossible
    old = ticket.move_to(Status.TAKEN)
    ticket.assignee, ticket.updated_at = operator, now
    _changed(session, ticket, Fact.STATUS_CHANGED, operator, old, now=now)


def case_of(session: Session, ticket: Ticket) -> Case:
    """Return what an outgoing text may say of a Ticket."""
    row = session.connection().execute(_CASE, {"conversation": ticket.conversation_id}).one()
    return Case(
        desk_id=ticket.desk_id,
        desk=ports(session).desks[row.code],
        conversation_id=ticket.conversation_id,
        ticket_id=ticket.id,
        channel=row.channel,
        subject=row.subject,
        number=ticket.number,
        requester_name=row.name,
        address=ticket.contact_email,
        language=row.language,
    )


def _of_conversation(session: Session, conversation_id: int) -> Ticket:
    return session.scalars(_OF_CONVERSATION, {"conversation": conversation_id}).one()


def _continued(session: Session, ticket: Ticket, incoming: Incoming) -> Ticket | None:
    """Return the newest follow-up of an ended Ticket that the same Requester opened, if any."""
    return session.scalars(
        select(Ticket)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .where(
            Ticket.follow_up_of_id == ticket.id,
            Ticket.desk_id == incoming.desk_id,
            Conversation.requester_id == incoming.requester_id,
        )
        .order_by(Ticket.id.desc())
        .limit(1)
        .with_for_update(of=Ticket)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _open(
    session: Session, incoming: Incoming, *, follow_up_of: Ticket | None, now: datetime
) -> Received:
    subject = " ".join(incoming.subject.split()) or "(senza oggetto)"
    beginning = Beginning(
        desk_id=incoming.desk_id,
        channel=incoming.channel,
        subject=subject,
        requester_id=incoming.requester_id,
        address=incoming.address,
        visitor_key=incoming.visitor_key,
    )
    words = incoming.words()
    conversation_id, message_id = conversations.start(session, beginning, words, now=now)
    _remember_mail(session, conversation_id, incoming)
    connection = session.connection()
    number: int = connection.execute(_NEXT_NUMBER, {"desk": incoming.desk_id}).scalar_one()
    ticket_id: int = connection.execute(
        _OPEN,
        {
            "desk_id": incoming.desk_id,
            "conversation_id": conversation_id,
            "number": number,
            "status": Status.OPEN,
            "contact_email": incoming.address,
            "level": 1,
            "follow_up_of_id": follow_up_of.id if follow_up_of else None,
            "opened_at": now,
            "updated_at": now,
        },
    ).scalar_one()
    case = Case(
        desk_id=incoming.desk_id,
        desk=incoming.desk,
        conversation_id=conversation_id,
        ticket_id=ticket_id,
        channel=incoming.channel,
        subject=subject,
        number=number,
        requester_name=incoming.requester_name,
        address=incoming.address,
        language=incoming.language,
        automatic_source=incoming.automatic_source,
    )
    change = Change(
        kind=Fact.TICKET_OPENED,
        actor=f"requester:{incoming.requester_id}",
        desk_id=incoming.desk_id,
        conversation_id=conversation_id,
        to_value=Status.OPEN,
        data={"follow_up_of": follow_up_of.number} if follow_up_of else {},
    )
    happened(session, Happening(change=change, case=case), now=now)
    return Received(conversation_id, ticket_id, message_id, opened=True)


def _append(session: Session, incoming: Incoming, ticket: Ticket, *, now: datetime) -> Received:
    words = incoming.words()
    appended = conversations.append(session, ticket.conversation_id, words, now=now)
    here = Received(ticket.conversation_id, ticket.id, None, opened=False)
    if appended is None:
        return here
    _remember_mail(session, ticket.conversation_id, incoming)
    ticket.updated_at = now
    person = f"requester:{incoming.requester_id}"
    case = replace(case_of(session, ticket), automatic_source=incoming.automatic_source)
    if ticket.status in (Status.PENDING_REQUESTER, Status.SOLVED):
        old = ticket.move_to(Status.TAKEN)
        change = _change(ticket, Fact.STATUS_CHANGED, person, old)
        happened(session, Happening(change=change, case=case), now=now)
    said = Said(id=appended.message_id, visibility=Visibility.PUBLIC, text=incoming.text)
    change = _change(ticket, Fact.REQUESTER_WROTE, person, None, seq=appended.seq)
    happened(session, Happening(change=change, case=case, said=said), now=now)
    return replace(here, message_id=appended.message_id)


def _remember_mail(session: Session, conversation_id: int, incoming: Incoming) -> None:
    # Before the reactions: the acknowledgement already answers this mail.
    correlation.remember(session, conversation_id, incoming.mail_ids, received=incoming.mail_id)


def _say(
    session: Session, ticket: Ticket, operator: Operator, words: Words, fact: Fact, *, now: datetime
) -> Appended | None:
    appended = conversations.append(session, ticket.conversation_id, words, now=now)
    if appended is None:
        return None
    ticket.updated_at = now
    conversations.mark_seen(session, ticket.conversation_id, operator, seq=appended.seq, now=now)
    said = Said(
        id=appended.message_id, visibility=words.visibility, text=words.text, operator=operator
    )
    change = _change(ticket, fact, timeline.actor(operator), None, seq=appended.seq)
    happening = Happening(change=change, case=case_of(session, ticket), said=said)
    happened(session, happening, now=now)
    return appended


def _changed(
    session: Session,
    ticket: Ticket,
    fact: Fact,
    operator: Operator,
    old: Status,
    *,
    reason: str | None = None,
    now: datetime,
) -> None:
    session.flush()
    change = replace(_change(ticket, fact, timeline.actor(operator), old), reason=reason)
    happened(session, Happening(change=change, case=case_of(session, ticket)), now=now)


def _change(
    ticket: Ticket, fact: Fact, actor: str, old: Status | None, *, seq: int | None = None
) -> Change:
    return Change(
        kind=fact,
        actor=actor,
        desk_id=ticket.desk_id,
        conversation_id=ticket.conversation_id,
        from_value=old,
        to_value=ticket.status if old is not None else None,
        data={} if seq is None else {"seq": seq},
    )


def _operator_words(
    operator: Operator,
    visibility: Visibility,
    text: str,
    files: Sequence[File],
    external_id: str | None,
) -> Words:
    return Words(
        author_kind=AuthorKind.OPERATOR,
        author_name=operator.name,
        visibility=visibility,
        channel=Channel.WEB,
        text=text.strip(),
        operator_id=operator.id,
        external_id=external_id,
        files=files,
    )


def _require_text(text: str, files: Sequence[File]) -> None:
    if not text.strip() and not files:
        raise CallerError("Il messaggio è vuoto: scrivi qualcosa o allega un file.")
