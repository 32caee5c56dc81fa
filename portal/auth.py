"""Signing in and out, and one's own password: cookies and hashes around core.logins."""

from __future__ import annotations

from typing import Any

from core import logins, passwords
from core.errors import CallerError
from core.logins import Kind, Person
from portal.language import gettext
from portal.visit import Visit, cookie_of

#: Cookies of a visitor's chats begin so; they end with the login of whoever shares the browser.
CHAT = "chat-"


class WrongCredentials(CallerError):
    """Nome utente o password non corretti. Controlla di averli scritti bene."""


class FieldErrors(CallerError):
    """Alcuni campi sono da correggere."""

    def __init__(self, by_field: dict[str, str]) -> None:
        """Take what is wrong, by field."""
        super().__init__()
        self.by_field = by_field


def enter(visit: Visit, kind: Kind, *, name: str, password: str) -> None:
    """Sign somebody in: a new token each time; raises WrongCredentials, TooManyAttempts.

    The try is counted before the password is looked at, and the hash is computed outside of any
    transaction, for an unknown name too.
    """
    with visit.store.begin() as session:
        logins.attempt(session, name=name, peer=visit.peer, now=visit.now)
        who = logins.credential(session, kind, name)
    stored = who.password_hash if who else None
    if not passwords.matches(password, stored) or who is None or stored is None:
        raise WrongCredentials
    new_hash = passwords.needs_new_hash(password, stored)
    cookie = cookie_of(kind)
    with visit.store.begin() as session:
        logins.sign_out(session, visit.cookies.get(cookie))
        token = logins.sign_in(session, who, name=name, new_hash=new_hash, now=visit.now)
    visit.cookies.put(cookie, token)
    visit.cookies.drop("stranger")


def leave(visit: Visit, kind: Kind) -> None:
    """Sign out: the login ends in the store, and the browser forgets its chats too."""
    cookie = cookie_of(kind)
    with visit.store.begin() as session:
        logins.sign_out(session, visit.cookies.get(cookie))
    visit.cookies.drop(cookie)
    for name in visit.cookies.names():
        if name.startswith(CHAT):
            visit.cookies.drop(name)


def change_password(visit: Visit, person: Person, name: str) -> None:
    """Give the person who asks another password; raises FieldErrors, TooManyAttempts."""
    form, errors = visit.form, {}
    with visit.store.begin() as session:
        logins.attempt(session, name=name, peer=visit.peer, now=visit.now)
    if not passwords.matches(form.text("current"), person.password_hash):
        errors["current"] = gettext("La password attuale non è giusta.")
    if form.text("password") != form.text("repeat"):
        errors["repeat"] = gettext("Le due password non sono uguali.")
    new_hash = ""
    try:
        new_hash = passwords.hashed(form.text("password"))
    except CallerError as fault:
        errors["password"] = str(fault)
    if errors:
        raise FieldErrors(errors)
    keep = visit.login.token_hash if visit.login else None
    with visit.store.begin() as session:
        kind: Kind = type(person)
        fresh: Any = session.get_one(kind, person.id)
        logins.change_password(session, fresh, new_hash, keep=keep, now=visit.now)
        logins.forgive(session, name=name)
