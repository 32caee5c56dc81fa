"""Registers the people who ask and the bodies they belong to; proves no address by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import CallerError, Conflict
from core.model import (
    Identity,
    IdentityKind,
    Membership,
    MembershipRole,
    Office,
    Organisation,
    Requester,
)
from core.operators import is_address
from core.requesters import normal_address

_MAILBOXES = (IdentityKind.EMAIL, IdentityKind.PEC)


def register(
    session: Session,
    *,
    name: str,
    identities: Mapping[IdentityKind, str],
    password_hash: str | None,
    now: datetime,
) -> Requester:
    """Register a person: their Identities are theirs, proved, and a password lets them sign in.

    Somebody who so far only wrote from one of the addresses is that same person: name and
    password are set, their Tickets stay theirs. Raises Conflict where one of the Identities is a
    registered person's, or two are two people's; CallerError on a bad name or address.
    """
    if not name.strip():
        raise CallerError("Il nome del richiedente è vuoto.")
    wanted = {kind: normal_address(kind, address) for kind, address in identities.items()}
    for kind, address in wanted.items():
        if not address or (kind in _MAILBOXES and not is_address(address)):
            raise CallerError(f"«{address}» non è un indirizzo di posta.")
    person = _known(session, wanted) or Requester(name="", language="it", created_at=now)
    person.name = " ".join(name.split())[:200]
    person.password_hash = password_hash
    session.add(person)
    here = {(one.kind, one.address): one for one in person.identities}
    for kind, address in wanted.items():
        identity = here.get((kind, address))
        if identity is None:
            identity = Identity(kind=kind, address=address)
            person.identities.append(identity)
        identity.verified_at = now
    session.flush()
    return person


def organisation(
    session: Session, name: str, *, kind: str = "", offices: Sequence[str] = ()
) -> Organisation:
    """Return the Organisation of this name, made where it is new, with at least these Offices."""
    found = session.scalar(select(Organisation).where(Organisation.name == name))
    if found is None:
        found = Organisation(name=name, kind=kind, areas=[])
        session.add(found)
        session.flush()
    known = set(session.scalars(select(Office.name).where(Office.organisation_id == found.id)))
    session.add_all(
        Office(organisation_id=found.id, name=office) for office in offices if office not in known
    )
    session.flush()
    return found


def join(session: Session, person: Requester, body: Organisation, role: MembershipRole) -> None:
    """Make a person a member of an Organisation; a repeat changes the role."""
    member = session.get(Membership, (person.id, body.id))
    if member is None:
        member = Membership(requester_id=person.id, organisation_id=body.id)
        session.add(member)
    member.role = role
    session.flush()


def _known(session: Session, wanted: Mapping[IdentityKind, str]) -> Requester | None:
    """Return whom the Identities belong to, if that is one person who is not registered yet."""
    found: dict[int, Requester] = {}
    for kind, address in wanted.items():
        identity = session.scalar(
            select(Identity).where(Identity.kind == kind, Identity.address == address)
        )
        if identity is None:
            continue
        if identity.verified_at is not None or identity.requester.password_hash is not None:
            raise Conflict(f"«{address}» è già di un richiedente registrato.")
        found[identity.requester_id] = identity.requester
    if len(found) > 1:
        raise Conflict("Gli indirizzi sono di persone diverse.")
    return next(iter(found.values()), None)
