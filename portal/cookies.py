"""The cookies of one request and of its answer: named, protected and set in one way."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class _Change:
    value: str
    seconds: int | None


class Jar:
    """Reads cookies by their short names and collects what the answer will set.

    By https a name begins with `__Host-`, which no other host and no plain connection can set.
    """

    def __init__(self, connection: HTTPConnection, *, secure: bool) -> None:
        """Take the cookies that came."""
        self._came = connection.cookies
        self._secure = secure
        self._changes: dict[str, _Change] = {}

    def get(self, name: str) -> str:
        """Return a cookie's value, or an empty text."""
        if name in self._changes:
            return self._changes[name].value
        return self._came.get(self._full(name), "")

    def names(self) -> list[str]:
        """Return the short names of the cookies that came."""
        prefix = self._full("")
        return [name.removeprefix(prefix) for name in self._came if name.startswith(prefix)]

    def put(self, name: str, value: str, *, seconds: int | None = None) -> None:
        """Set a cookie; without `seconds` it ends with the browser."""
        self._changes[name] = _Change(value, seconds)

    def drop(self, name: str) -> None:
        """Remove a cookie."""
        self._changes[name] = _Change("", 0)

    def write(self, response: Response) -> None:
        """Put all changes on an answer."""
        for name, change in self._changes.items():
            response.set_cookie(
                self._full(name),
                change.value,
                max_age=change.seconds,
                path="/",
                secure=self._secure,
                httponly=True,
                samesite="lax",
            )

    def _full(self, name: str) -> str:
        return f"__Host-sportello-{name}" if self._secure else f"sportello-{name}"
