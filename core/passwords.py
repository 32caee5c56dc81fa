"""Hashes passwords by argon2id and checks them: slow on purpose, so never in a transaction."""

from __future__ import annotations

from functools import cache

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from core.errors import CallerError

#: Characters that a new password has at least (security.md section 1, V6).
SHORTEST = 12
#: Characters that are read at most: hashing megabytes is somebody's attack, not a password.
LONGEST = 1000

# OWASP's first argon2id choice: 19 MiB, two passes, one lane.
_HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))


def hashed(password: str) -> str:
    """Return the argon2id hash of a new password; raises CallerError on a bad length."""
    if len(password) < SHORTEST:
        raise CallerError(f"Scegli una password di almeno {SHORTEST} caratteri.")
    if len(password) > LONGEST:
        raise CallerError(f"La password può avere al massimo {LONGEST} caratteri.")
    return _HASHER.hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Return whether `password` is the one behind `stored`.

    Without a stored hash it works just as long and says no, so that the time an answer takes
    does not tell which names exist.
    """
    try:
        right = _HASHER.verify(password[:LONGEST], stored or _of_nobody())
    except UnknownHashError:
        right = False
    return right and stored is not None


def needs_new_hash(password: str, stored: str) -> str | None:
    """Return a hash by today's parameters where `stored` was made by older ones, else None."""
    return _HASHER.verify_and_update(password, stored)[1]


@cache
def _of_nobody() -> str:
    return _HASHER.hash("the password of nobody")
