"""Who answers, and where: adds Operators, assigns, disables, sets passwords; hashes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from core import timeline
from core.errors import CallerError, Conflict, NotPossible
from core.model import DeskMembership, Fact, LoginSession, Operator, OperatorRole
from core.timeline import Change

# Made once: intake asks for each reply.
_FIND = select(Operator).where(Operator.email == bindparam("email"))


def add(
    session: Session,
    *,
    name: str,
    email: str,
    password_hash: str | None,
    desks: Mapping[int, OperatorRole],
    by: str = timeline.SYSTEM,
    now: datetime,
) -> Operator:
    """Add an Operator with a role at each Desk of `desks` (by its row).

    Raises Conflict where the address is an Operator's already, CallerError on a bad name or
    address.
    """
    email = email.strip().lower()
    if not name.strip():
        raise CallerError("Il nome dell'operatore è vuoto.")
    if not is_address(email):
        raise CallerError(f"«{email}» non è un indirizzo di posta.")
    if find(session, email) is not None:
        raise Conflict(f"L'indirizzo «{email}» è già di un operatore.")
    operator = Operator(
        name=" ".join(name.split())[:200],
        email=email,
        password_hash=password_hash,
        created_at=now,
    )
    session.add(operator)
    session.flush()
    _record(session, operator, "added", by, now=now)
    assign(session, operator, desks, by=by, now=now)
    return operator


def find(session: Session, email: str) -> Operator | None:
    """Return the Operator who signs in by this address, disabled or not; None where nobody does."""
    return session.scalar(_FIND, {"email": email.strip().lower()})


def assign(
    session: Session,
    operator: Operator,
    desks: Mapping[int, OperatorRole],
    *,
    by: str = timeline.SYSTEM,
    now: datetime,
) -> None:
    """Give an Operator a role at Desks; Desks not named stay as they are, a repeat is harmless."""
    here = {membership.desk_id: membership for membership in operator.desks}
    for desk_id, role in desks.items():
        old = here[desk_id].role if desk_id in here else None
        if old is role:
            continue
        if old is None:
            operator.desks.append(DeskMembership(desk_id=desk_id, role=role, level=1))
        else:
            here[desk_id].role = role
        session.flush()
        change = replace(_change(operator, role.value, by), from_value=old, desk_id=desk_id)
        timeline.record(session, change, now=now)


def set_password(
    session: Session,
    operator: Operator,
    password_hash: str,
    *,
    by: str = timeline.SYSTEM,
    now: datetime,
) -> None:
    """Give an Operator another password; every browser that is signed in must sign in again."""
    operator.password_hash = password_hash
    _sign_out(session, operator)
    _record(session, operator, "password", by, now=now)


def disable(
    session: Session, operator: Operator, *, by: str = timeline.SYSTEM, now: datetime
) -> None:
    """Bar an Operator from signing in, now; what they wrote stays. A repeat is harmless.

    Raises NotPossible for the last administrator, whom nobody could replace from the pages.
    """
    if not operator.active:
        return
    if administers(operator) and administrators(session) == [operator]:
        raise NotPossible("È l'ultimo amministratore di sistema: prima aggiungine un altro.")
    operator.disabled_at = now
    _sign_out(session, operator)
    _record(session, operator, "disabled", by, now=now)


def enable(
    session: Session, operator: Operator, *, by: str = timeline.SYSTEM, now: datetime
) -> None:
    """Let a disabled Operator sign in again, with the password they had. A repeat is harmless."""
    if operator.active:
        return
    operator.disabled_at = None
    session.flush()
    _record(session, operator, "enabled", by, now=now)


def administrators(session: Session) -> list[Operator]:
    """Return the Operators who may sign in and administer the installation."""
    held = select(DeskMembership.operator_id).where(
        DeskMembership.role == OperatorRole.AMMINISTRATORE_SISTEMA
    )
    return list(
        session.scalars(
            select(Operator)
            .where(Operator.disabled_at.is_(None), Operator.id.in_(held))
            .order_by(Operator.id)
        )
    )


def administers(operator: Operator) -> bool:
    """Return whether an Operator administers the installation."""
    return any(one.role is OperatorRole.AMMINISTRATORE_SISTEMA for one in operator.desks)


def staff_new_desk(session: Session, desk_id: int, *, now: datetime) -> None:
    """Let the administrators in at a Desk that is new, so that somebody can read its Tickets."""
    for operator in administrators(session):
        assign(session, operator, {desk_id: OperatorRole.AMMINISTRATORE_SISTEMA}, now=now)


def is_address(text: str) -> bool:
    """Return whether `text` can be the address of a mailbox (`admin@localhost` can)."""
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and not any(one in text for one in ' \t\r\n<>,;:"()[]\\')


def _sign_out(session: Session, operator: Operator) -> None:
    session.execute(delete(LoginSession).where(LoginSession.operator_id == operator.id))


def _record(session: Session, operator: Operator, what: str, by: str, *, now: datetime) -> None:
    session.flush()
    timeline.record(session, _change(operator, what, by), now=now)


def _change(operator: Operator, what: str, by: str) -> Change:
    return Change(
        kind=Fact.OPERATOR_CHANGED, actor=by, to_value=what, data={"operator": operator.id}
    )
