"""Which Conversation does a mail belong to: by signed token, by thread headers, by subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core.contents import insert_once
from core.model import Conversation, Delivery, Desk, MailRef, Participant, Ticket, table
from core.references import read_reply_token, subject_references, token_conversation

_REF = table(MailRef)

# Made once: building a statement costs more than running it.
_THREAD = (
    select(_REF.c.message_id, _REF.c.received)
    .where(_REF.c.conversation_id == bindparam("conversation"))
    .order_by(_REF.c.id)
)
_CITED = (
    select(_REF.c.id, _REF.c.message_id, _REF.c.conversation_id, Conversation.desk_id)
    .join(Conversation, Conversation.id == _REF.c.conversation_id)
    .where(_REF.c.message_id.in_(bindparam("wanted", expanding=True)))
)
_TAKING_PART = select(Participant.conversation_id).where(
    Participant.conversation_id.in_(bindparam("conversations", expanding=True)),
    Participant.address.in_(bindparam("senders", expanding=True)),
)

#: Ids of one mail that are looked up and remembered (RFC 5322 sets no limit, mail.md does).
REFERENCES_KEPT = 100


@dataclass(frozen=True, slots=True)
class Match:
    """The Conversation that a mail belongs to."""

    conversation_id: int
    may_append: bool
    """Whether its sender takes part; a stranger's mail is never appended."""
    signed: bool
    """Whether a reply token led here: then a stranger is held, else they open a linked Ticket."""


def match(
    session: Session,
    *,
    keys: tuple[bytes, ...],
    tags: Sequence[str],
    senders: tuple[str, ...],
    references: Sequence[str],
    subject: str,
    desk_id: int,
) -> Match | None:
    """Find the Conversation across all Desks: token, then References, then `[code #number]`.

    `tags` are the plus tags of our own addresses that the mail was sent to; `senders` the
    addresses that it comes from, lower case; `desk_id` the Desk that it was sent to, which wins
    where one mail to two Desks began two Conversations.
    """
    by_token = _by_token(session, keys, tags, senders)
    if by_token is not None:
        return by_token
    by_references = _by_references(session, references, senders, desk_id)
    if by_references is not None:
        return by_references
    found = _by_subject(session, subject)
    if found is None:
        return None
    return Match(found, found in _taking_part(session, [found], senders), signed=False)


def remember(
    session: Session, conversation_id: int, message_ids: Sequence[str], *, received: str = ""
) -> None:
    """Tie Message-IDs to a Conversation, also those only cited; `received` is the mail's own."""
    rows: list[dict[str, object]] = [
        {"message_id": one[:998], "conversation_id": conversation_id, "received": one == received}
        for one in dict.fromkeys((*message_ids[-REFERENCES_KEPT:], received))
        if one
    ]
    if rows:
        insert_once(session, _REF, rows)


@dataclass(frozen=True, slots=True)
class Thread:
    """The thread headers of the next mail in a Conversation (RFC 5322 section 3.6.4)."""

    in_reply_to: str | None
    references: list[str]


def thread(session: Session, conversation_id: int, *, newest: int = 20) -> Thread:
    """Return what the next mail answers: the newest mail that came in, after the whole thread.

    Of a long thread the first and the `newest` ids are cited.
    """
    rows = session.connection().execute(_THREAD, {"conversation": conversation_id}).all()
    ids = [row.message_id for row in rows]
    came_in = [row.message_id for row in rows if row.received]
    answered = came_in[-1] if came_in else (ids[-1] if ids else None)
    cited = ids if len(ids) <= newest else [ids[0], *ids[1 - newest :]]
    if answered is not None:
        # The last of References is what is answered: mail programs hang the reply there.
        cited = [*(one for one in cited if one != answered), answered]
    return Thread(answered, cited)


def _by_token(
    session: Session, keys: tuple[bytes, ...], tags: Sequence[str], senders: tuple[str, ...]
) -> Match | None:
    for tag in tags:
        conversation_id = token_conversation(tag)
        if conversation_id is None:
            continue
        written_to = session.scalars(
            select(Delivery.recipient).where(Delivery.conversation_id == conversation_id).distinct()
        )
        token = read_reply_token(keys, tag=tag, senders=senders, recipients=tuple(written_to))
        if token is not None:
            takes_part = token.for_recipient or bool(
                _taking_part(session, [conversation_id], senders)
            )
            return Match(conversation_id, takes_part, signed=True)
    return None


def _by_references(
    session: Session, references: Sequence[str], senders: tuple[str, ...], desk_id: int
) -> Match | None:
    wanted = list(dict.fromkeys(references))[-REFERENCES_KEPT:]
    if not wanted:
        return None
    rows = session.connection().execute(_CITED, {"wanted": wanted}).all()
    if not rows:
        return None
    theirs = _taking_part(session, {row.conversation_id for row in rows}, senders)
    # Where the sender takes part comes first: a stranger who cites a thread begins a Conversation
    # that knows the same ids, and must not draw the thread's own people away. Then the newest id
    # that we know, and of one id the newest Conversation: a split thread goes on where it was last.
    best = max(
        rows,
        key=lambda row: (
            row.conversation_id in theirs,
            wanted.index(row.message_id),
            row.desk_id == desk_id,
            row.id,
        ),
    )
    return Match(best.conversation_id, best.conversation_id in theirs, signed=False)


def _by_subject(session: Session, subject: str) -> int | None:
    for code, number in subject_references(subject):
        found = session.scalar(
            select(Ticket.conversation_id)
            .join(Desk, Desk.id == Ticket.desk_id)
            .where(Desk.code == code, Ticket.number == number)
        )
        if found is not None:
            return found
    return None


def _taking_part(
    session: Session, conversation_ids: Collection[int], senders: tuple[str, ...]
) -> set[int]:
    wanted = {"conversations": list(conversation_ids), "senders": senders}
    return set(session.connection().scalars(_TAKING_PART, wanted))
