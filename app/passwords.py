"""Passwords at the command line: made up, or asked for without an echo; never an argument."""

from __future__ import annotations

import secrets
import sys

from app.asking import ask_hidden
from core.errors import CallerError
from core.passwords import LONGEST, SHORTEST

#: No letters that are mistaken for one another when read aloud or typed over.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # pragma: allowlist secret


def made_up() -> str:
    """Return a random password, easy to read aloud: 20 letters in groups, about 99 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


def asked() -> str:
    """Ask for a new password, twice at a terminal; else read one line of standard input.

    Raises CallerError on a bad length, or where the two differ.
    """
    password = good(ask_hidden("Password"))
    if sys.stdin.isatty() and ask_hidden("The same again") != password:
        raise CallerError("the two passwords differ: try again.")
    return password


def good(password: str) -> str:
    """Return `password`; raises CallerError where it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise CallerError(f"a password has {SHORTEST} to {LONGEST} characters: choose another.")
    return password
