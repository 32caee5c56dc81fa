"""The small named world of the tests: two bodies, two who ask, two who answer, two of the desks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import uuid4

from sqlalchemy.orm import Session

from app.rendering import Notices
from app.wiring import install_desks
from config.desk_files import load_desks
from config.settings import EXAMPLE_DESKS
from core import chats, operators, passwords, requesters, tickets
from core.chats import Visitor, Words
from core.contents import Folder
from core.conversations import File
from core.db import Store
from core.desk_profile import Desks
from core.incoming import Incoming, Received
from core.model import (
    Channel,
    Conversation,
    Desk,
    IdentityKind,
    Membership,
    MembershipRole,
    Message,
    Operator,
    OperatorRole,
    Organisation,
    Requester,
    Ticket,
)
from core.ports import Ports

#: A Monday at noon in Rome: every desk is staffed.
MONDAY = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
REPLY_KEY = bytes(range(32))
OLDER_KEY = bytes(range(32, 64))
PASSWORD = "quattro parole messe insieme"
LOOP_STAMP = "0123456789abcdef"
NOTICES = Notices()


@cache
def desks() -> Desks:
    """Return the example desks, read once."""
    return load_desks(EXAMPLE_DESKS)


@cache
def password_hash() -> str:
    """Return the hash of everybody's password."""
    return passwords.hashed(PASSWORD)


def open_store(url: str, folder: Path) -> Store:
    """Open a store with all ports bound; its schema is the caller's affair."""
    ports = Ports(
        desks=desks(),
        render=NOTICES,
        files=Folder(folder / "files"),
        reply_keys=(REPLY_KEY, OLDER_KEY),
        public_url="http://sportello.example",
        loop_stamp=LOOP_STAMP,
    )
    return Store(url, ports)


@dataclass
class World:
    """People and desks in a store, and short spellings of what they do."""

    store: Store
    now: datetime = MONDAY
    desk_ids: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    """Row ids by first name: giulia, marco (Requesters), anna, bruno (Operators)."""

    def later(self, **duration: float) -> datetime:
        """Let time pass, and return the new present."""
        self.now += timedelta(**(duration or {"minutes": 1}))
        return self.now

    def mail(
        self,
        who: str = "giulia",
        desk: str = "rtpec",
        *,
        subject: str = "La casella PEC non riceve",
        text: str = "Da stamattina non arriva niente.",
        files: Sequence[File] = (),
        html: str | None = None,
    ) -> Received:
        """Let a Requester open a Ticket by mail."""
        with self.store.begin() as session:
            person = session.get_one(Requester, self.people[who])
            incoming = Incoming(
                desk_id=self.desk_ids[desk],
                desk=desks()[desk],
                channel=Channel.EMAIL,
                requester_id=person.id,
                requester_name=person.name,
                address=person.email,
                subject=subject,
                text=text,
                html_clean=html,
                files=files,
            )
            return tickets.receive(session, incoming, now=self.later())

    def chat(self, secret: str, text: str = "Buongiorno", desk: str = "rtpec") -> Received:
        """Let a visitor begin a chat."""
        with self.store.begin() as session:
            visitor = Visitor(key=chats.visitor_key(secret))
            words = Words(text=text, external_id=str(uuid4()))
            row = session.get_one(Desk, self.desk_ids[desk])
            return chats.begin(session, row, visitor, words, now=self.later())

    def writes(self, who: str, conversation_id: int, text: str) -> None:
        """Let a Requester write on the web."""
        with self.store.begin() as session:
            person = session.get_one(Requester, self.people[who])
            conversation = session.get_one(Conversation, conversation_id)
            words = Words(text=text, external_id=str(uuid4()))
            chats.write(session, conversation, person, words, now=self.later())

    def answers(
        self,
        who: str,
        ticket_id: int,
        text: str,
        *,
        internal: bool = False,
        files: Sequence[File] = (),
    ) -> int:
        """Let an Operator answer or note; return the Message's id."""
        verb = tickets.note if internal else tickets.answer
        with self.store.begin() as session:
            operator = session.get_one(Operator, self.people[who])
            ticket = session.get_one(Ticket, ticket_id)
            appended = verb(session, ticket, operator, text=text, files=files, now=self.later())
            assert appended is not None
            return appended.message_id

    def closes(self, who: str, ticket_id: int) -> None:
        """Let an Operator solve and close a Ticket."""
        with self.store.begin() as session:
            operator = session.get_one(Operator, self.people[who])
            ticket = session.get_one(Ticket, ticket_id)
            tickets.take(session, ticket, operator, now=self.later())
            tickets.solve(session, ticket, operator, solution="Fatto.", now=self.later())
            tickets.close(session, ticket, operator, now=self.later())

    def texts(self, conversation_id: int) -> list[str]:
        """Return what was said in a Conversation, in order."""
        with self.store.read() as session:
            rows = session.query(Message).filter_by(conversation_id=conversation_id)
            return [row.body_text for row in rows.order_by(Message.seq)]


class _UndoneError(Exception):
    """Ends a transaction without a commit."""


@contextmanager
def undone(store: Store) -> Iterator[Session]:
    """Give a transaction that is rolled back in the end."""
    with suppress(_UndoneError), store.begin() as session:
        yield session
        raise _UndoneError


def fill(store: Store) -> World:
    """Put the world into an empty store."""
    world = World(store, desk_ids=dict(install_desks(store)))
    with store.begin() as session:
        for name, address, body in (
            ("Giulia Bianchi", "giulia.bianchi@comune.prato.example", "Comune di Prato"),
            ("Marco Neri", "marco.neri@comune.siena.example", "Comune di Siena"),
        ):
            organisation = Organisation(name=body, kind="Ente")
            person = requesters.add(
                session, name=name, identities={IdentityKind.EMAIL: address}, now=world.now
            )
            person.password_hash = password_hash()
            session.add(organisation)
            session.flush()
            session.add(
                Membership(
                    requester_id=person.id,
                    organisation_id=organisation.id,
                    role=MembershipRole.USER,
                )
            )
            world.people[name.split()[0].lower()] = person.id
        for name, desk, role in (
            ("Anna Rossi", "rtpec", OperatorRole.TECNICO),
            ("Bruno Conti", "condafne", OperatorRole.OPERATORE),
        ):
            address = name.lower().replace(" ", ".") + "@sportello.example"
            operator = operators.add(
                session,
                name=name,
                email=address,
                password_hash=password_hash(),
                desks={world.desk_ids[desk]: role},
                now=world.now,
            )
            world.people[name.split()[0].lower()] = operator.id
    return world
