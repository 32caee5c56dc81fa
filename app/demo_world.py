"""Loads the demo's people and Tickets from config/demo_world.toml by the domain's own verbs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import operators, passwords, registration, tickets
from core.conversations import File
from core.db import Store
from core.desk_profile import DeskProfile
from core.incoming import Incoming
from core.model import (
    Channel,
    IdentityKind,
    MembershipRole,
    Operator,
    OperatorRole,
    RawMail,
    Requester,
    Ticket,
)
from core.references import new_message_id

FILE = Path(__file__).parent.parent / "config" / "demo_world.toml"
#: Everybody's password in the demo: printed at each start, worth nothing anywhere else.
PASSWORD = "sportello-demo"  # noqa: S105  # pragma: allowlist secret


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrganisationPart(_Part):
    name: str
    kind: str
    offices: tuple[str, ...]


class OperatorPart(_Part):
    name: str
    email: str
    role: OperatorRole
    desks: tuple[str, ...] = Field(default=(), description="Codes; empty: all.")


class RequesterPart(_Part):
    name: str
    email: str
    organisation: str
    admin: bool = False
    code: str = Field(default="", description="Second name to sign in by.")


class FilePart(_Part):
    name: str
    type: str
    text: str


class StepPart(_Part):
    do: Literal["write", "take", "answer", "note", "solve", "close"]
    hours_ago: float
    by: str = Field(default="", description="The Operator; empty: the Requester.")
    text: str = ""
    file: FilePart | None = None


class TicketPart(_Part):
    desk: str
    requester: str
    channel: Channel
    subject: str
    step: tuple[StepPart, ...]


class World(_Part):
    """Everything in the file."""

    organisation: tuple[OrganisationPart, ...]
    operator: tuple[OperatorPart, ...]
    requester: tuple[RequesterPart, ...]
    ticket: tuple[TicketPart, ...]


def read(file: Path = FILE) -> World:
    """Return the world as it is written."""
    return World.model_validate(tomllib.loads(file.read_text("utf-8")))


def state(session: Session, world: World) -> Literal["empty", "ours", "foreign"]:
    """Say what a store holds: nothing, the demo's world, or something that is not the demo's."""
    # Ids only: the store may be of an older version, whose rows had other columns.
    somebody = select(Operator.id).where(Operator.email == world.operator[0].email)
    if session.scalar(somebody) is not None:
        return "ours"
    held = (
        session.scalar(select(func.count()).select_from(kind))
        for kind in (Operator, Requester, Ticket, RawMail)
    )
    return "foreign" if any(held) else "empty"


def load(store: Store, desk_ids: Mapping[str, int], world: World, *, now: datetime) -> None:
    """Make the people, then let everything happen in its order, in one transaction up to `now`."""
    password_hash = passwords.hashed(PASSWORD)
    desks = {code: desk_ids[code] for code in store.ports.desks}
    with store.begin() as session:
        stage = _Stage(session, store.ports.desks, desks)
        born = now - timedelta(days=3)
        _add_operators(stage, world.operator, password_hash, now=born)
        for body in world.organisation:
            registration.organisation(session, body.name, kind=body.kind, offices=body.offices)
        for person in world.requester:
            _add_requester(stage, person, password_hash, now=born)
        for at, ticket, step in _in_order(world, desks, now):
            stage.act(ticket, step, now=at)


@dataclass(slots=True)
class _Stage:
    """Who and what is there while the world is being made."""

    session: Session
    profiles: Mapping[str, DeskProfile]
    desks: Mapping[str, int]
    operators: dict[str, Operator] = field(default_factory=dict)
    requesters: dict[str, Requester] = field(default_factory=dict)
    conversations: dict[int, int] = field(default_factory=dict)
    """Conversation by the ticket of the file that it is."""

    def act(self, part: TicketPart, step: StepPart, *, now: datetime) -> None:
        """Do one step of a Ticket's story."""
        if step.do == "write":
            self._write(part, step, now=now)
            return
        session, by, text = self.session, self.operators[step.by], step.text.strip()
        ticket = session.scalars(
            select(Ticket).where(Ticket.conversation_id == self.conversations[id(part)])
        ).one()
        match step.do:
            case "take":
                tickets.take(session, ticket, by, now=now)
            case "answer":
                tickets.answer(session, ticket, by, text=text, now=now)
            case "note":
                tickets.note(session, ticket, by, text=text, now=now)
            case "solve":
                tickets.solve(session, ticket, by, solution=text, now=now)
            case "close":
                tickets.close(session, ticket, by, now=now)

    def _write(self, part: TicketPart, step: StepPart, *, now: datetime) -> None:
        person = self.requesters[part.requester]
        incoming = Incoming(
            desk_id=self.desks[part.desk],
            desk=self.profiles[part.desk],
            channel=part.channel,
            requester_id=person.id,
            requester_name=person.name,
            address=part.requester,
            subject=part.subject,
            text=step.text.strip(),
            files=() if step.file is None else (_file(step.file),),
        )
        if part.channel is Channel.EMAIL:
            # So that answers are threaded under it as under a mail that really came.
            mail_id = new_message_id(part.requester.partition("@")[2])
            incoming = replace(incoming, mail_id=mail_id)
        received = tickets.receive(
            self.session, incoming, conversation_id=self.conversations.get(id(part)), now=now
        )
        self.conversations[id(part)] = received.conversation_id


def _add_operators(
    stage: _Stage, parts: Iterable[OperatorPart], password_hash: str, *, now: datetime
) -> None:
    for part in parts:
        codes = [code for code in part.desks or stage.desks if code in stage.desks]
        stage.operators[part.email] = operators.add(
            stage.session,
            name=part.name,
            email=part.email,
            password_hash=password_hash,
            desks={stage.desks[code]: part.role for code in codes},
            now=now,
        )


def _add_requester(
    stage: _Stage, part: RequesterPart, password_hash: str, *, now: datetime
) -> None:
    identities = {IdentityKind.EMAIL: part.email}
    if part.code:
        identities[IdentityKind.LOGIN] = part.code
    person = registration.register(
        stage.session,
        name=part.name,
        identities=identities,
        password_hash=password_hash,
        now=now,
    )
    body = registration.organisation(stage.session, part.organisation)
    role = MembershipRole.ORGANISATION_ADMIN if part.admin else MembershipRole.USER
    registration.join(stage.session, person, body, role)
    stage.requesters[part.email] = person


def _in_order(
    world: World, desks: Mapping[str, int], now: datetime
) -> list[tuple[datetime, TicketPart, StepPart]]:
    """Return all steps of all Tickets as they happened, so that numbers and facts ascend."""
    steps = [
        (now - timedelta(hours=step.hours_ago), ticket, step)
        for ticket in world.ticket
        if ticket.desk in desks
        for step in ticket.step
    ]
    return sorted(steps, key=lambda one: one[0])


def _file(part: FilePart) -> File:
    return File(name=part.name, content_type=part.type, data=part.text.encode())
