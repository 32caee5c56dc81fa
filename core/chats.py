"""What a Requester writes on the web: at a Desk's chat, or under a Ticket of theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, false, or_, select
from sqlalchemy.orm import Session

from core import requesters, tickets
from core.conversations import File
from core.errors import CallerError, NotFound
from core.incoming import Incoming, Received
from core.model import Channel, Conversation, Desk, Identity, Requester
from core.ports import ports

#: Characters of the first words that become a chat's subject.
SUBJECT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What was typed, and the id that the browser gave it, by which a repeat is known."""

    text: str
    external_id: str
    files: Sequence[File] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who is at the chat: the hash of their browser's secret, and what they said of themselves."""

    key: str
    name: str = ""
    email: str = ""
    """Where notices may go; only claimed, so it makes nobody the Requester of that address."""
    requester_id: int | None = None
    """The Requester who is signed in, if one is."""


def visitor_key(secret: str) -> str:
    """Return what the store keeps of a visitor's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def opens(key: str, requester_id: int | None) -> ColumnElement[bool]:
    """Return the condition under which a visitor's key opens a chat.

    A browser keeps the key for longer than a login lasts, and may be shared: a chat that a
    signed-in Requester began opens only while they (`requester_id`) are signed in. Who was not
    signed in has no Identity (see `begin`).
    """
    known = exists().where(Identity.requester_id == Conversation.requester_id)
    mine = false() if requester_id is None else Conversation.requester_id == requester_id
    return and_(Conversation.visitor_key == key, or_(mine, ~known))


def find(
    session: Session, desk_id: int, key: str, requester_id: int | None = None
) -> Conversation | None:
    """Return the chat that a visitor's key opens at a Desk for who is signed in, or None."""
    return session.scalar(
        select(Conversation).where(opens(key, requester_id), Conversation.desk_id == desk_id)
    )


def begin(
    session: Session, desk: Desk, visitor: Visitor, words: Words, *, now: datetime
) -> Received:
    """Open a Ticket with the first words of a chat; a repeat lands in the same one.

    Raises NotFound where the Desk has no chat, CallerError on words that say nothing.
    """
    profile = ports(session).desks[desk.code]
    if not profile.chat.enabled:
        raise NotFound
    _require_words(words)
    known = find(session, desk.id, visitor.key, visitor.requester_id)
    if known is not None:
        return write(session, known, session.get_one(Requester, known.requester_id), words, now=now)
    person = (
        session.get_one(Requester, visitor.requester_id)
        if visitor.requester_id is not None
        else requesters.visitor(session, name=visitor.name.strip()[:200], now=now)
    )
    incoming = Incoming(
        desk_id=desk.id,
        desk=profile,
        channel=Channel.WEB,
        requester_id=person.id,
        requester_name=person.name,
        address=_address(visitor.email) or person.email,
        language=person.language,
        subject=_subject(words),
        text=words.text.strip(),
        files=words.files,
        external_id=words.external_id,
        visitor_key=visitor.key,
    )
    return tickets.receive(session, incoming, now=now)


def write(
    session: Session,
    conversation: Conversation,
    person: Requester,
    words: Words,
    *,
    now: datetime,
) -> Received:
    """Append a Requester's words to a Conversation that they may see.

    `message_id` is None for a repeat. Raises NotPossible on an ended Ticket.
    """
    _require_words(words)
    desk = session.get_one(Desk, conversation.desk_id)
    incoming = Incoming(
        desk_id=desk.id,
        desk=ports(session).desks[desk.code],
        channel=Channel.WEB,
        requester_id=person.id,
        requester_name=person.name,
        address=person.email,
        language=person.language,
        text=words.text.strip(),
        files=words.files,
        external_id=words.external_id,
    )
    return tickets.receive(session, incoming, conversation_id=conversation.id, now=now)


def _require_words(words: Words) -> None:
    if not words.text.strip() and not words.files:
        raise CallerError("Il messaggio è vuoto: scrivi qualcosa o allega un file.")


def _address(email: str) -> str | None:
    email = email.strip().lower()
    if not email:
        return None
    local, _, domain = email.partition("@")
    if not local or "." not in domain or any(sign in email for sign in " ,;<>\r\n"):
        raise CallerError("L'indirizzo e-mail non è valido: controllalo, oppure lascialo vuoto.")
    return email[:320]


def _subject(words: Words) -> str:
    first = " ".join(words.text.split())
    if not first:
        return words.files[0].name
    if len(first) <= SUBJECT:
        return first
    return first[:SUBJECT].rsplit(" ", 1)[0] + "…"
