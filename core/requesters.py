"""Who asks: finds or makes the Requester behind an address, and keeps their Identities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from core import contents
from core.errors import CallerError, Conflict, Transient
from core.model import Identity, IdentityKind, Requester, table

_REQUESTER = table(Requester)
_IDENTITY = table(Identity)

# Made once: building a statement costs more than running it.
_FIND = (
    select(_REQUESTER.c.id, _REQUESTER.c.name, _REQUESTER.c.language)
    .join(_IDENTITY, _IDENTITY.c.requester_id == _REQUESTER.c.id)
    .where(_IDENTITY.c.kind == bindparam("kind"), _IDENTITY.c.address == bindparam("address"))
)
_ADD = insert(_REQUESTER).returning(_REQUESTER.c.id)
_DROP = delete(_REQUESTER).where(_REQUESTER.c.id == bindparam("requester"))


@dataclass(frozen=True, slots=True)
class Known:
    """A Requester as intake needs them: plain values, no ORM object."""

    id: int
    name: str
    language: str
    new: bool


def resolve(
    session: Session, kind: IdentityKind, address: str, *, name: str = "", now: datetime
) -> Known:
    """Return the Requester whose Identity `address` is, making both where nobody has it yet.

    A new Requester costs two plain inserts: no password, no hash (a KDF here would be the
    dearest part of intake). Safe against two processes that meet the same new address.
    """
    address = normal_address(kind, address)
    found = find(session, kind, address)
    if found is not None:
        return found
    made = _create(session, kind, address, name or address, now=now)
    found = made or find(session, kind, address)
    if found is None:
        raise Transient("somebody took the address and gave it back")
    return found


def find(session: Session, kind: IdentityKind, address: str) -> Known | None:
    """Return the Requester whose Identity `address` is, or None."""
    wanted = {"kind": kind, "address": normal_address(kind, address)}
    row = session.connection().execute(_FIND, wanted).one_or_none()
    return Known(row.id, row.name, row.language, new=False) if row else None


def registered(session: Session, kind: IdentityKind, address: str) -> bool:
    """Return whether somebody registered with this very address (S2-06), not only wrote from it."""
    return bool(
        session.scalar(
            select(Identity.id).where(
                Identity.kind == kind,
                Identity.address == normal_address(kind, address),
                Identity.verified_at.is_not(None),
            )
        )
    )


def visitor(session: Session, *, name: str, now: datetime) -> Requester:
    """Return a new Requester without an address: somebody at the chat who gave none."""
    name = contents.storable(name)[:200] or "Visitatore"
    person = Requester(name=name, language="it", created_at=now)
    session.add(person)
    session.flush()
    return person


def add(
    session: Session, *, name: str, identities: dict[IdentityKind, str], now: datetime
) -> Requester:
    """Register a person with verified Identities.

    Raises Conflict where somebody else has one of the addresses, CallerError on a bad address.
    """
    for kind, address in identities.items():
        if kind in (IdentityKind.EMAIL, IdentityKind.PEC) and "@" not in address:
            raise CallerError(f"«{address}» non è un indirizzo di posta.")
        if find(session, kind, address) is not None:
            raise Conflict(f"L'indirizzo «{address}» appartiene già a un richiedente.")
    person = Requester(name=name, language="it", created_at=now)
    person.identities = [
        Identity(kind=kind, address=normal_address(kind, address), verified_at=now)
        for kind, address in identities.items()
    ]
    session.add(person)
    session.flush()
    return person


def normal_address(kind: IdentityKind, address: str) -> str:
    """Return an address as it is stored: mail addresses and sign-in names in lower case."""
    address = address.strip()
    return address if kind in (IdentityKind.CMS, IdentityKind.TELEGRAM) else address.lower()


def _create(
    session: Session, kind: IdentityKind, address: str, name: str, *, now: datetime
) -> Known | None:
    """Insert Requester and Identity; None where somebody else just took the address."""
    connection = session.connection()
    name = contents.storable(name)[:200]
    person = {"name": name, "language": "it", "created_at": now}
    requester_id: int = connection.execute(_ADD, person).scalar_one()
    identity = {"requester_id": requester_id, "kind": kind, "address": address}
    # Passing over instead of failing: a failed statement would need a savepoint for each sender.
    take = contents.insert_or_pass(connection.dialect.name, _IDENTITY, _IDENTITY.c.id)
    if connection.execute(take, identity).scalar_one_or_none() is None:
        connection.execute(_DROP, {"requester": requester_id})
        return None
    return Known(requester_id, name, "it", new=True)
