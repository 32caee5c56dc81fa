"""Makes an installation: data folder, settings, store, first administrator; asks nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from app.passwords import made_up
from app.wiring import install_desks, mail_out, open_store
from config.settings import Saved, Settings, save
from core import clock, migrate, operators, passwords
from core.db import Store
from core.errors import SetupError
from core.model import Operator, OperatorRole
from mail_ingest.sender import Mailer

#: Settings that belong to one start, not to the installation.
_NOT_KEPT = frozenset({"data", "demo"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """Who is to administer the installation, where nobody does yet."""

    name: str
    email: str
    password: str | None
    """None: one is made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made."""

    administrators: tuple[str, ...]
    """Addresses of those who administer now."""
    password: str | None
    """The password that was made up, to be shown once."""
    mail_fault: str | None
    """Why outgoing mail does not work; None where it works or is not set up."""


def set_up(settings: Settings, administrator: Administrator) -> Made:
    """Make or complete the installation of `settings`; a repeat changes only the settings.

    Raises SetupError where the folder, the store or a desk file is not good.
    """
    try:
        # People's mail is kept here: nobody else on the machine need read it.
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        save(settings.data, to_keep(settings))
    except OSError as fault:
        raise SetupError(
            f"{settings.data} cannot be written ({fault.strerror}): choose another with --data."
        ) from fault
    store = open_store(settings)
    try:
        migrate.upgrade(store)
        made_up_one = _first_administrator(store, administrator)
        with store.read() as session:
            emails = tuple(one.email for one in operators.administrators(session))
    finally:
        store.close()
    return Made(administrators=emails, password=made_up_one, mail_fault=_mail_fault(settings))


def to_keep(settings: Settings) -> Mapping[str, Saved]:
    """Return what settings.toml is to hold: what was said, by file, environment or answer."""
    said = settings.model_dump(
        mode="json", exclude_none=True, include=set(settings.model_fields_set) - _NOT_KEPT
    )
    # A folder named from here must be found from elsewhere too.
    paths = {"desks": settings.desks, "mail_ca_file": settings.mail_ca_file}
    return said | {name: str(path.resolve()) for name, path in paths.items() if path}


def has_administrator(settings: Settings) -> bool:
    """Return whether somebody administers already; False where there is no store yet."""
    if not settings.database and not (settings.data / "sportello.sqlite").is_file():
        return False
    store = open_store(settings)
    try:
        migrate.upgrade(store)
        with store.read() as session:
            return bool(operators.administrators(session))
    finally:
        store.close()


def administrator_from_environment() -> Administrator:
    """Return the first administrator that SPORTELLO_ADMIN_NAME, _EMAIL and _PASSWORD name."""
    return Administrator(
        name=os.environ.get("SPORTELLO_ADMIN_NAME") or "Amministratore",
        email=os.environ.get("SPORTELLO_ADMIN_EMAIL") or "admin@localhost",
        password=os.environ.get("SPORTELLO_ADMIN_PASSWORD") or None,
    )


def _first_administrator(store: Store, wanted: Administrator) -> str | None:
    """Add the administrator where there is none; return the password if it was made up."""
    desk_ids = install_desks(store)
    with store.read() as session:
        if operators.administrators(session):
            return None
    password = wanted.password or made_up()
    password_hash = passwords.hashed(password)
    places = {desk_ids[code]: OperatorRole.AMMINISTRATORE_SISTEMA for code in store.ports.desks}
    with store.begin() as session:
        now = clock.now()
        known: Operator | None = operators.find(session, wanted.email)
        if known is None:
            operators.add(
                session,
                name=wanted.name,
                email=wanted.email,
                password_hash=password_hash,
                desks=places,
                now=now,
            )
        else:
            operators.enable(session, known, now=now)
            operators.assign(session, known, places, now=now)
            operators.set_password(session, known, password_hash, now=now)
    return None if wanted.password else password


def _mail_fault(settings: Settings) -> str | None:
    out = mail_out(settings)
    if out is None:
        return None
    mailer = Mailer(out)
    try:
        unreachable = mailer.check()
    finally:
        mailer.close()
    return unreachable.reason if unreachable else None
