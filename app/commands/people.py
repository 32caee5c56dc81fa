"""`sportello operator` and `sportello requester`: who answers and who asks."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import Data, group, note, opened, say, say_table, settings_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.wiring import Installation
    from core.model import IdentityKind, Operator

operators = group("The people who answer: add, password, disable.")
requesters = group("The people who ask: add.")


class Role(enum.StrEnum):
    """The roles of core.model.OperatorRole, spelt here so that --help need not load the store."""

    OPERATORE = "operatore"
    TECNICO = "tecnico"
    AMMINISTRATIVO = "amministrativo"
    AMMINISTRATORE_SISTEMA = "amministratore_sistema"


Email = Annotated[str, typer.Argument(metavar="EMAIL", help="E-mail address; they sign in by it.")]
AskPassword = Annotated[
    bool,
    typer.Option(
        "--ask-password", help="Ask for the password, or read it from standard input [make one up]."
    ),
]


@operators.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="First name and surname.")],
    email: Email,
    data: Data = None,
    desk: Annotated[
        list[str] | None,
        typer.Option("--desk", metavar="CODE", help="At this desk; may be repeated [all]."),
    ] = None,
    role: Annotated[Role, typer.Option(help="What they are there.")] = Role.OPERATORE,
    ask_password: AskPassword = False,
) -> None:
    """Add an Operator, or give one who exists further desks, or another role.

    A new Operator's password is printed once. One who was disabled may sign in again.
    """
    from app.passwords import asked, made_up
    from core import clock, passwords
    from core import operators as verbs
    from core.model import OperatorRole

    _require_address(email)
    _require_name(name)
    with opened(settings_of(data)) as here:
        rows = _desks(here, desk)
        places = dict.fromkeys(rows.values(), OperatorRole(role))
        with here.store.read() as session:
            known = verbs.find(session, email) is not None
        password = (asked() if ask_password else made_up()) if not known or ask_password else None
        password_hash = passwords.hashed(password) if password else None
        with here.store.begin() as session:
            now = clock.now()
            operator = verbs.find(session, email)
            if operator is None:
                operator = verbs.add(
                    session,
                    name=name,
                    email=email,
                    password_hash=password_hash,
                    desks=places,
                    now=now,
                )
            else:
                verbs.enable(session, operator, now=now)
                verbs.assign(session, operator, places, now=now)
                if password_hash:
                    verbs.set_password(session, operator, password_hash, now=now)
            say(f"operator: {operator.name} <{operator.email}>, {role} at {', '.join(rows)}")
    if password and not ask_password:
        say(f"password: {password}")
    elif known and not password:
        note("The Operator was there before: name and password are as they were.")


@operators.command("list")
def list_(data: Data = None) -> None:
    """List Operators with their desks and roles."""
    from sqlalchemy import select
    from sqlalchemy.orm import selectinload

    from core.model import Operator

    with opened(settings_of(data)) as here, here.store.read() as session:
        codes = {row: code for code, row in here.desk_ids.items()}
        query = select(Operator).options(selectinload(Operator.desks)).order_by(Operator.email)
        say_table(
            ("EMAIL", "NAME", "SIGN-IN", "DESKS"),
            (
                (
                    one.email,
                    one.name,
                    "yes" if one.active and one.password_hash else "no",
                    ", ".join(f"{codes[at.desk_id]} ({at.role})" for at in one.desks),
                )
                for one in session.scalars(query)
            ),
        )


@operators.command()
def password(email: Email, data: Data = None, ask_password: AskPassword = False) -> None:
    """Give an Operator a new password, printed once; they are signed out everywhere."""
    from app.passwords import asked, made_up
    from core import clock, passwords
    from core import operators as verbs

    with opened(settings_of(data)) as here:
        with here.store.read() as session:
            active = _operator(session, email).active
        new = asked() if ask_password else made_up()
        new_hash = passwords.hashed(new)
        with here.store.begin() as session:
            verbs.set_password(session, _operator(session, email), new_hash, now=clock.now())
    say(f"operator: {email.strip().lower()}")
    if not ask_password:
        say(f"password: {new}")
    if not active:
        note("The Operator is disabled: `sportello operator add` lets them in again.")


@operators.command()
def disable(email: Email, data: Data = None) -> None:
    """Bar an Operator from signing in, at once; what they wrote stays."""
    from core import clock
    from core import operators as verbs
    from core.errors import NotPossible

    with opened(settings_of(data)) as here, here.store.begin() as session:
        operator = _operator(session, email)
        try:
            verbs.disable(session, operator, now=clock.now())
        except NotPossible as fault:
            raise NotPossible(
                f"{operator.email} is the last administrator: add another first with"
                " `sportello operator add NAME EMAIL --role amministratore_sistema`."
            ) from fault
        say(f"operator: {operator.name} <{operator.email}>, disabled")


@requesters.command("add")
def add_requester(  # noqa: PLR0913 - a person has that many sides; each option has a name
    name: Annotated[str, typer.Argument(metavar="NAME", help="First name and surname.")],
    email: Email,
    *,
    data: Data = None,
    pec: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Certified mail address, too.")
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Helpdesk Code or user name to sign in by, too."),
    ] = None,
    organisation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Member of it; made if it is new.")
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Administers the organisation: sees its Tickets.")
    ] = False,
    sign_in: Annotated[
        bool,
        typer.Option(
            " /--no-password", show_default=False, help="Register only the addresses: no sign-in."
        ),
    ] = True,
    ask_password: AskPassword = False,
) -> None:
    """Register a Requester: their addresses count as proved, and they may sign in.

    Somebody who wrote before from that address keeps their Tickets. The password is printed once.
    """
    from app.passwords import asked, made_up
    from core import clock, passwords, registration
    from core.errors import Conflict
    from core.model import IdentityKind, MembershipRole

    _require_name(name)
    if admin and not organisation:
        raise typer.BadParameter("--admin needs --organisation NAME.")
    identities = {IdentityKind.EMAIL: email, IdentityKind.PEC: pec, IdentityKind.LOGIN: code}
    given = {kind: one for kind, one in identities.items() if one}
    for address in filter(None, (email, pec)):
        _require_address(address)
    with opened(settings_of(data)) as here:
        password = (asked() if ask_password else made_up()) if sign_in else None
        password_hash = passwords.hashed(password) if password else None
        with here.store.begin() as session:
            try:
                person = registration.register(
                    session,
                    name=name,
                    identities=given,
                    password_hash=password_hash,
                    now=clock.now(),
                )
            except Conflict as fault:
                raise Conflict(_taken(given)) from fault
            if organisation:
                body = registration.organisation(session, organisation)
                role = MembershipRole.ORGANISATION_ADMIN if admin else MembershipRole.USER
                registration.join(session, person, body, role)
            say(f"requester: {person.name} <{person.email}>")
    if password and not ask_password:
        say(f"password: {password}")


def _taken(identities: Mapping[IdentityKind, str]) -> str:
    return f"{' or '.join(identities.values())} is a registered Requester's: nothing was changed."


def _operator(session: Session, email: str) -> Operator:
    from core import operators as verbs
    from core.errors import NotFound

    operator = verbs.find(session, email)
    if operator is None:
        raise NotFound(f"no Operator signs in as {email}: see `sportello operator list`.")
    return operator


def _desks(here: Installation, codes: list[str] | None) -> dict[str, int]:
    """Return the rows of the desks named, or of all that have a file."""
    from core.errors import CallerError

    desks = here.store.ports.desks
    for code in codes or ():
        if code not in desks:
            raise CallerError(f"no desk has the code `{code}`: there are {', '.join(desks)}.")
    return {code: here.desk_ids[code] for code in codes or desks}


def _require_address(email: str) -> None:
    from core.errors import CallerError
    from core.operators import is_address

    if not is_address(email.strip()):
        raise CallerError(f"`{email}` is no mail address: write it as name@domain.")


def _require_name(name: str) -> None:
    from core.errors import CallerError

    if not name.strip():
        raise CallerError("the name is empty.")
