"""Room for mail: the octets that wait in memory, and how a full disk is known."""

from __future__ import annotations

import errno
import threading

from mail_ingest.arrival import SpoolFull

#: Disk full as the file system, SQLite (SQLITE_FULL) and PostgreSQL (disk_full) say it.
_FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT}
_SQLITE_FULL = 13
_POSTGRES_FULL = "53100"


class Room:
    """Octets that all dialogues of a listener may hold together; safe to share by threads."""

    def __init__(self, octets: int) -> None:
        self._left = octets
        self._lock = threading.Lock()

    def take(self, octets: int) -> bool:
        """Take room for so many octets; False, and nothing taken, where there is not enough."""
        with self._lock:
            if octets > self._left:
                return False
            self._left -= octets
            return True

    def give(self, octets: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += octets


def is_full(error: BaseException | None) -> bool:
    """Return True when the error, or what caused it, says that the disk is full."""
    for _ in range(10):
        if error is None:
            return False
        if isinstance(error, SpoolFull) or _says_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_full(error: BaseException) -> bool:
    return (
        (isinstance(error, OSError) and error.errno in _FULL_ERRNO)
        or getattr(error, "sqlite_errorcode", None) == _SQLITE_FULL
        or getattr(error, "sqlstate", None) == _POSTGRES_FULL
    )
