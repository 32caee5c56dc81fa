"""Reads one Conversation for one reader: Messages by cursor, files, deliveries, history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, selectinload

from core import chats
from core.access import readable, visible_to
from core.errors import NotFound
from core.model import (
    Attachment,
    Conversation,
    Delivery,
    DeliveryState,
    Message,
    Operator,
    Requester,
    Ticket,
    TimelineEntry,
    Visibility,
)

#: Messages that one reading takes from a Conversation: the rest follows by cursor.
AT_ONCE = 50
#: The Messages a page begins with: of a longer Conversation the newest.
ON_PAGE = 500


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: an Operator, a Requester, or (None) a visitor of the chat whose key fits."""

    person: Operator | Requester | None
    visitor_key: str = ""
    requester_id: int | None = None
    """The Requester who is signed in at the visitor's browser: their chats open only to them."""
    open_desks: tuple[int, ...] = ()

    @property
    def operator(self) -> Operator | None:
        """The reader, if an Operator."""
        return self.person if isinstance(self.person, Operator) else None


@dataclass(frozen=True, slots=True)
class Part:
    """Some Messages of a Conversation, in order, and how far they reach."""

    messages: Sequence[Message]
    previous: int
    """Number of the Message before the first of them that this reader may see; 0: none."""
    after: int
    """The greatest number that was shown or withheld: the cursor for what follows."""


def find(session: Session, reader: Reader, conversation_id: int) -> Conversation:
    """Return a Conversation that the reader may see; raises NotFound for any other."""
    if reader.person is not None:
        allowed = visible_to(reader.person, open_desks=reader.open_desks)
    elif reader.visitor_key:
        allowed = chats.opens(reader.visitor_key, reader.requester_id)
    else:
        raise NotFound
    found = session.scalar(select(Conversation).where(Conversation.id == conversation_id, allowed))
    if found is None:
        raise NotFound
    return found


def ticket(session: Session, conversation_id: int) -> Ticket:
    """Return the Ticket of a Conversation that the reader was allowed to find.

    Its assignee is loaded when asked for: a verb that locks the row must see who has it then.
    """
    return session.scalars(select(Ticket).where(Ticket.conversation_id == conversation_id)).one()


def newest(session: Session, reader: Reader, conversation: Conversation) -> Part:
    """Return the Messages that a page shows."""
    rows = session.scalars(
        _messages(reader, conversation).order_by(Message.seq.desc()).limit(ON_PAGE)
    ).all()
    return Part(rows[::-1], 0, _reach(rows[:1], conversation))


def following(session: Session, reader: Reader, conversation: Conversation, *, after: int) -> Part:
    """Return what came after a cursor, at most AT_ONCE Messages.

    Messages become visible in the order of their numbers, so nothing is ever left behind a cursor.
    """
    rows = session.scalars(
        _messages(reader, conversation)
        .where(Message.seq > after)
        .order_by(Message.seq)
        .limit(AT_ONCE)
    ).all()
    reach = rows[-1].seq if len(rows) == AT_ONCE else _reach(rows[-1:], conversation)
    return Part(rows, _previous(session, reader, conversation, after) if rows else 0, reach)


def one(
    session: Session, reader: Reader, conversation: Conversation, *, external_id: str
) -> Part | None:
    """Return the Message that a Channel or a browser called so, if the reader may see it."""
    rows = session.scalars(
        _messages(reader, conversation).where(Message.external_id == external_id)
    ).all()
    if not rows:
        return None
    return Part(rows, _previous(session, reader, conversation, rows[0].seq - 1), rows[0].seq)


def some(
    session: Session, reader: Reader, conversation: Conversation, ids: Sequence[int]
) -> Sequence[Message]:
    """Return some Messages again, as when their deliveries changed."""
    return session.scalars(
        _messages(reader, conversation).where(Message.id.in_(ids)).order_by(Message.seq)
    ).all()


def deliveries(session: Session, conversation_id: int) -> dict[int, Delivery]:
    """Return the Delivery that says most of each answer: the one that failed, else the last."""
    rows = session.scalars(
        select(Delivery)
        .where(Delivery.conversation_id == conversation_id, Delivery.message_id.is_not(None))
        .order_by(Delivery.id)
    )
    found: dict[int, Delivery] = {}
    for row in rows:
        known = found.get(row.message_id or 0)
        if known is None or known.state is not DeliveryState.FAILED:
            found[row.message_id or 0] = row
    return found


def attachment(session: Session, reader: Reader, attachment_id: int) -> Attachment:
    """Return a file of a Message that the reader may read; raises NotFound for any other."""
    row = session.execute(
        select(Attachment, Message.conversation_id, Message.visibility)
        .join(Message, Message.id == Attachment.message_id)
        .where(Attachment.id == attachment_id)
    ).one_or_none()
    if row is None or row.visibility not in readable(reader.person):
        raise NotFound
    find(session, reader, row.conversation_id)
    found: Attachment = row[0]
    return found


def message(session: Session, reader: Reader, message_id: int) -> Message:
    """Return a Message that the reader may read; raises NotFound for any other."""
    found = session.get(Message, message_id)
    if found is None or found.visibility not in readable(reader.person):
        raise NotFound
    find(session, reader, found.conversation_id)
    return found


def inline(session: Session, message_id: int) -> dict[str, int]:
    """Return the files that a mail's HTML shows, by their `cid:` name."""
    rows = session.execute(
        select(Attachment.content_id, Attachment.id).where(
            Attachment.message_id == message_id, Attachment.content_id.is_not(None)
        )
    )
    return {row.content_id: row.id for row in rows}


def files(session: Session, conversation_id: int) -> Sequence[tuple[Attachment, Message]]:
    """Return the files that all in a Conversation may have, newest first, each content once.

    Files of internal notes are not among them: what is offered here goes out with an answer.
    """
    rows = session.execute(
        select(Attachment, Message)
        .join(Message, Message.id == Attachment.message_id)
        .where(
            Message.conversation_id == conversation_id,
            Message.visibility == Visibility.PUBLIC,
            Attachment.inline.is_(False),
        )
        .order_by(Attachment.id.desc())
        .limit(100)
    )
    once: dict[str, tuple[Attachment, Message]] = {}
    for file, said in rows:
        once.setdefault(file.sha256, (file, said))
    return list(once.values())


def history(session: Session, conversation_id: int) -> Sequence[TimelineEntry]:
    """Return what happened to a Conversation, newest first."""
    return session.scalars(
        select(TimelineEntry)
        .where(TimelineEntry.conversation_id == conversation_id)
        .order_by(TimelineEntry.id.desc())
        .limit(100)
    ).all()


def names(session: Session, actors: Sequence[str]) -> dict[str, str]:
    """Return the names behind Timeline actors such as `operator:7`."""
    found: dict[str, str] = {}
    for kind in (Operator, Requester):
        prefix = f"{kind.__tablename__}:"
        ids = {int(one.removeprefix(prefix)) for one in actors if one.startswith(prefix)}
        if ids:
            rows = session.execute(select(kind.id, kind.name).where(kind.id.in_(ids)))
            found.update((f"{prefix}{row.id}", row.name) for row in rows)
    return found


def others(
    session: Session, operator: Operator, ticket: Ticket, conversation: Conversation
) -> Sequence[tuple[Ticket, str]]:
    """Return the same Requester's other Tickets that the Operator may see, newest first."""
    rows = session.execute(
        select(Ticket, Conversation.subject)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .where(
            Conversation.requester_id == conversation.requester_id,
            Ticket.id != ticket.id,
            visible_to(operator),
        )
        .order_by(Ticket.updated_at.desc())
        .limit(5)
    )
    return [(row[0], row[1]) for row in rows]


def _messages(reader: Reader, conversation: Conversation) -> Select[Message]:
    return (
        select(Message)
        .where(
            Message.conversation_id == conversation.id,
            Message.visibility.in_(readable(reader.person)),
        )
        .options(selectinload(Message.attachments))
    )


def _reach(last: Sequence[Message], conversation: Conversation) -> int:
    # Another Message may have come between reading the Conversation and reading its Messages.
    return max([conversation.last_seq, *(row.seq for row in last)])


def _previous(session: Session, reader: Reader, conversation: Conversation, after: int) -> int:
    if Visibility.INTERNAL in readable(reader.person):
        return after
    return (
        session.scalar(
            select(func.max(Message.seq)).where(
                Message.conversation_id == conversation.id,
                Message.seq <= after,
                Message.visibility.in_(readable(reader.person)),
            )
        )
        or 0
    )
