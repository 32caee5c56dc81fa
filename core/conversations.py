"""Appends Messages to a Conversation, numbered without gaps, and keeps who has read how far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from core import contents
from core.model import (
    Attachment,
    AuthorKind,
    Channel,
    Conversation,
    Holder,
    Membership,
    Message,
    Operator,
    Participant,
    ParticipantKind,
    ReadMark,
    Requester,
    Visibility,
    table,
)
from core.ports import ports
from core.timeline import actor

_CONVERSATION = table(Conversation)
_MESSAGE = table(Message)
_PARTICIPANT = table(Participant)
_READ_MARK = table(ReadMark)

# Made once: building a statement costs more than running it.
_HOME = (
    # Whoever belongs to one Organisation asks on its behalf; to several, nobody can tell.
    select(func.min(Membership.organisation_id))
    .where(Membership.requester_id == bindparam("asker"))
    .having(func.count() == 1)
    .scalar_subquery()
)
_START = insert(_CONVERSATION).values(organisation_id=_HOME).returning(_CONVERSATION.c.id)
_NEXT_SEQ = (
    update(_CONVERSATION)
    .where(_CONVERSATION.c.id == bindparam("conversation"))
    .values(last_seq=_CONVERSATION.c.last_seq + 1, updated_at=bindparam("now"))
    .returning(_CONVERSATION.c.last_seq)
)
_KNOWN = select(_MESSAGE.c.id).where(
    _MESSAGE.c.conversation_id == bindparam("conversation"),
    _MESSAGE.c.channel == bindparam("channel"),
    _MESSAGE.c.external_id == bindparam("external_id"),
)
_WRITE = insert(_MESSAGE).returning(_MESSAGE.c.id)
_ATTACH = insert(table(Attachment))


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to be attached: new bytes, or bytes that are stored already."""

    name: str
    content_type: str
    data: bytes | None = None
    sha256: str | None = None
    size: int = 0
    inline: bool = False
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What somebody wrote, whatever the Channel."""

    author_kind: AuthorKind
    author_name: str
    visibility: Visibility
    channel: Channel
    text: str
    full_text: str | None = None
    html_clean: str | None = None
    requester_id: int | None = None
    operator_id: int | None = None
    external_id: str | None = None
    raw_mail_id: int | None = None
    files: Sequence[File] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a Conversation begins with, its first Message apart."""

    desk_id: int
    channel: Channel
    subject: str
    requester_id: int
    address: str | None
    visitor_key: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a Message landed."""

    message_id: int
    seq: int


def start(
    session: Session, beginning: Beginning, words: Words, *, now: datetime
) -> tuple[int, int]:
    """Begin a Conversation that waits for an Operator, with its first Message; return both ids."""
    row = {
        "desk_id": beginning.desk_id,
        "channel": beginning.channel,
        "subject": contents.storable(beginning.subject),
        "requester_id": beginning.requester_id,
        "asker": beginning.requester_id,
        "holder": Holder.NOBODY,
        "visitor_key": beginning.visitor_key,
        "last_seq": 1,
        "created_at": now,
        "updated_at": now,
    }
    conversation_id: int = session.connection().execute(_START, row).scalar_one()
    add_participant(
        session,
        conversation_id,
        ParticipantKind.REQUESTER,
        address=beginning.address or "",
        requester_id=beginning.requester_id,
    )
    return conversation_id, _write(session, conversation_id, 1, words, now=now)


def append(
    session: Session, conversation_id: int, words: Words, *, now: datetime
) -> Appended | None:
    """Append a Message; None where the Channel handed in the same one before.

    The number is taken by incrementing the Conversation's row, which other writers of the same
    Conversation wait for: without gaps under concurrency, and a rollback gives it back.
    """
    connection = session.connection()
    numbered = {"conversation": conversation_id, "now": now}
    seq: int = connection.execute(_NEXT_SEQ, numbered).scalar_one()
    if words.external_id is not None and _known(session, conversation_id, words):
        connection.execute(
            update(_CONVERSATION)
            .where(_CONVERSATION.c.id == conversation_id)
            .values(last_seq=seq - 1)
        )
        return None
    return Appended(_write(session, conversation_id, seq, words, now=now), seq)


def add_participant(
    session: Session,
    conversation_id: int,
    kind: ParticipantKind,
    *,
    address: str,
    requester_id: int | None = None,
    operator_id: int | None = None,
) -> None:
    """Let somebody take part; a repeat is harmless."""
    row: dict[str, object] = {
        "conversation_id": conversation_id,
        "kind": kind,
        "address": contents.storable(address.lower())[:320],
        "requester_id": requester_id,
        "operator_id": operator_id,
    }
    contents.insert_once(session, _PARTICIPANT, [row])


def mark_seen(
    session: Session, conversation_id: int, person: Operator | Requester, *, seq: int, now: datetime
) -> None:
    """Record that a person has read up to `seq`; never moves backwards."""
    reader = actor(person)
    row: dict[str, object] = {
        "conversation_id": conversation_id,
        "reader": reader,
        "last_seq": seq,
        "at": now,
    }
    contents.insert_once(session, _READ_MARK, [row])
    # The comparison stands in the statement: two pages of one person may report at once.
    session.connection().execute(
        update(_READ_MARK)
        .where(
            _READ_MARK.c.conversation_id == conversation_id,
            _READ_MARK.c.reader == reader,
            _READ_MARK.c.last_seq < seq,
        )
        .values(last_seq=seq, at=now)
    )


def _known(session: Session, conversation_id: int, words: Words) -> bool:
    wanted = {
        "conversation": conversation_id,
        "channel": words.channel,
        "external_id": words.external_id,
    }
    return session.connection().scalar(_KNOWN, wanted) is not None


def _write(session: Session, conversation_id: int, seq: int, words: Words, *, now: datetime) -> int:
    row = {
        "conversation_id": conversation_id,
        "seq": seq,
        "author_kind": words.author_kind,
        "requester_id": words.requester_id,
        "operator_id": words.operator_id,
        "author_name": contents.storable(words.author_name)[:200],
        "visibility": words.visibility,
        "channel": words.channel,
        "external_id": words.external_id,
        "body_text": contents.storable(words.text),
        "full_text": contents.storable(words.full_text) if words.full_text else None,
        "body_html_clean": contents.storable(words.html_clean) if words.html_clean else None,
        "raw_mail_id": words.raw_mail_id,
        "at": now,
    }
    message_id: int = session.connection().execute(_WRITE, row).scalar_one()
    if words.files:
        _attach(session, message_id, words.files)
    return message_id


def _attach(session: Session, message_id: int, files: Sequence[File]) -> None:
    store = ports(session).files
    rows = []
    for file in files:
        sha256 = file.sha256
        if sha256 is None:
            sha256 = contents.put(session, store, file.data or b"")
        rows.append(
            {
                "message_id": message_id,
                "sha256": sha256,
                "name": contents.storable(file.name)[:200],
                "content_type": contents.storable(file.content_type)[:200],
                "size": len(file.data) if file.data is not None else file.size,
                "inline": file.inline,
                "content_id": contents.storable(file.content_id)[:250] if file.content_id else None,
            }
        )
    session.connection().execute(_ATTACH, rows)
