"""Signing in and out, for Operators and Requesters; knows no cookie and hashes no password."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, TypeAlias

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session, selectinload

from core import timeline
from core.errors import CallerError
from core.model import (
    Fact,
    Identity,
    IdentityKind,
    LoginFailure,
    LoginSession,
    Operator,
    Requester,
)

Person: TypeAlias = Operator | Requester
Kind: TypeAlias = type[Operator] | type[Requester]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a login lasts: without a sign of life, and at most."""

    idle: timedelta
    absolute: timedelta


LIFETIMES: dict[Kind, Lifetime] = {
    Operator: Lifetime(idle=timedelta(minutes=30), absolute=timedelta(hours=12)),
    Requester: Lifetime(idle=timedelta(hours=12), absolute=timedelta(days=7)),
}
#: A sign of life is written down at most this often: reading pages must not cost a commit each.
SIGN_OF_LIFE = timedelta(minutes=1)

#: Failures within this time count.
WINDOW = timedelta(hours=1)
#: Failures that cost nothing: of one name from one place, of one name, from one place (an office
#: behind one address has many people who mistype).
FREE_PAIR, FREE_NAME, FREE_PEER = 5, 20, 50
#: The wait doubles from the first to the second; there is no lock-out.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=5)

_MINUTE = 60

#: Identities by which a Requester may sign in.
_SIGN_IN_KINDS = (IdentityKind.EMAIL, IdentityKind.PEC, IdentityKind.LOGIN)


class TooManyAttempts(CallerError):
    """Troppi tentativi: aspetta un momento e riprova."""

    def __init__(self, wait: timedelta) -> None:
        """Say how long to wait."""
        self.seconds = max(1, ceil(wait.total_seconds()))
        super().__init__(f"Troppi tentativi: riprova {spoken(self.seconds)}.")


@dataclass(frozen=True, slots=True)
class Credential:
    """Whom a sign-in name belongs to, as plain values that outlive the session."""

    kind: Kind
    person_id: int
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A login that is valid now, with its person."""

    person: Person
    csrf: str
    token_hash: str
    seen_at: datetime


def attempt(session: Session, *, name: str, peer: str, now: datetime) -> None:
    """Note that somebody is about to try a password; raises TooManyAttempts where they must wait.

    It counts as a failure until `sign_in` forgets it, so that tries at the same moment count too.
    """
    name, peer = name.strip().lower()[:320], peer[:64]
    rows = session.execute(
        select(LoginFailure.name, LoginFailure.peer, LoginFailure.at)
        .where(
            or_(LoginFailure.name == name, LoginFailure.peer == peer),
            LoginFailure.at > now - WINDOW,
        )
        .order_by(LoginFailure.at.desc())
        .limit(200)
    ).all()
    waits = (
        _wait([row.at for row in rows if (row.name, row.peer) == (name, peer)], FREE_PAIR, now),
        _wait([row.at for row in rows if row.name == name], FREE_NAME, now),
        _wait([row.at for row in rows if row.peer == peer], FREE_PEER, now),
    )
    if max(waits) > timedelta(0):
        raise TooManyAttempts(max(waits))
    session.add(LoginFailure(name=name, peer=peer, at=now))


def credential(session: Session, kind: Kind, name: str) -> Credential | None:
    """Return whom a sign-in name belongs to; None for a name that nobody has or may use."""
    name = name.strip().lower()
    if kind is Operator:
        operator = select(Operator.id, Operator.password_hash)
        query = operator.where(Operator.email == name, Operator.disabled_at.is_(None))
    else:
        query = (
            select(Requester.id, Requester.password_hash)
            .join(Identity, Identity.requester_id == Requester.id)
            .where(
                Identity.kind.in_(_SIGN_IN_KINDS),
                Identity.address == name,
                Requester.password_hash.is_not(None),
                Requester.anonymised_at.is_(None),
            )
            .order_by(Identity.id)
        )
    row = session.execute(query.limit(1)).one_or_none()
    return Credential(kind, row[0], row[1]) if row else None


def sign_in(
    session: Session, who: Credential, *, name: str, new_hash: str | None = None, now: datetime
) -> str:
    """Open a login for somebody whose password was right, and return its secret token.

    The store keeps the token's SHA-256 only. `new_hash` replaces a hash of older parameters.
    """
    token = secrets.token_urlsafe(32)
    operator = who.kind is Operator
    session.add(
        LoginSession(
            token_hash=_digest(token),
            operator_id=who.person_id if operator else None,
            requester_id=None if operator else who.person_id,
            csrf=secrets.token_urlsafe(32),
            created_at=now,
            seen_at=now,
            expires_at=now + LIFETIMES[who.kind].absolute,
        )
    )
    forgive(session, name=name)
    if new_hash is not None:
        session.execute(
            update(who.kind).where(who.kind.id == who.person_id).values(password_hash=new_hash)
        )
    session.flush()
    return token


def recall(session: Session, kind: Kind, token: str, *, now: datetime) -> SignedIn | None:
    """Return whose login a token is; None where it is unknown, ended, revoked or idle too long."""
    if not token:
        return None
    query = select(LoginSession, kind).where(
        LoginSession.token_hash == _digest(token),
        LoginSession.expires_at > now,
        LoginSession.seen_at > now - LIFETIMES[kind].idle,
    )
    if kind is Operator:
        query = query.join(Operator, Operator.id == LoginSession.operator_id).where(
            Operator.disabled_at.is_(None)
        )
        query = query.options(selectinload(Operator.desks))
    else:
        query = query.join(Requester, Requester.id == LoginSession.requester_id).where(
            Requester.anonymised_at.is_(None)
        )
        query = query.options(selectinload(Requester.identities))
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    login: LoginSession = row[0]
    person: Any = row[1]
    return SignedIn(person, login.csrf, login.token_hash, login.seen_at)


def sign_of_life(session: Session, login: SignedIn, *, now: datetime) -> None:
    """Keep a login from going idle."""
    session.execute(
        update(LoginSession)
        .where(LoginSession.token_hash == login.token_hash, LoginSession.seen_at < now)
        .values(seen_at=now)
    )


def sign_out(session: Session, token: str) -> None:
    """End one login; a repeat is harmless."""
    session.execute(delete(LoginSession).where(LoginSession.token_hash == _digest(token)))


def change_password(
    session: Session, person: Person, new_hash: str, *, keep: str | None = None, now: datetime
) -> None:
    """Give a person another password and end all their logins but `keep` (a token's hash)."""
    person.password_hash = new_hash
    operator = isinstance(person, Operator)
    column = LoginSession.operator_id if operator else LoginSession.requester_id
    others = delete(LoginSession).where(column == person.id)
    if keep is not None:
        others = others.where(LoginSession.token_hash != keep)
    session.execute(others)
    if operator:
        change = timeline.Change(
            kind=Fact.OPERATOR_CHANGED, actor=timeline.actor(person), to_value="password"
        )
        timeline.record(session, change, now=now)


def forgive(session: Session, *, name: str) -> None:
    """Forget the failures of a name whose owner has just shown that they are who they are."""
    session.execute(delete(LoginFailure).where(LoginFailure.name == name.strip().lower()[:320]))


def spoken(seconds: int) -> str:
    """Say a wait as people do: `fra 30 secondi`, `fra 2 minuti`."""
    if seconds < _MINUTE:
        return "fra un secondo" if seconds == 1 else f"fra {seconds} secondi"
    minutes = ceil(seconds / _MINUTE)
    return "fra un minuto" if minutes == 1 else f"fra {minutes} minuti"


def _wait(failures: list[datetime], free: int, now: datetime) -> timedelta:
    over = len(failures) - free
    if over < 0:
        return timedelta(0)
    pause = min(FIRST_WAIT * (1 << min(over, 10)), LONGEST_WAIT)
    return max(timedelta(0), max(failures) + pause - now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
