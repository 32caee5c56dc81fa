"""What core needs from outside, named here and bound in app/wiring.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.orm import Session

from core.contents import FileStore
from core.desk_profile import Desks


@dataclass(frozen=True, slots=True)
class Rendered:
    """One text ready to go out."""

    subject: str
    text: str
    html: str | None


class Render(Protocol):
    """Turns a template id and its context into the text of a notice."""

    def __call__(self, template: str, context: Mapping[str, Any], *, language: str) -> Rendered:
        """Return the rendered text; raises nothing that a desk file can cause: checked at start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that is bound to a store; travels in `session.info`."""

    desks: Desks
    render: Render
    files: FileStore
    reply_keys: tuple[bytes, ...]
    """Keys of reply tokens: the first signs, all verify."""
    public_url: str
    """Where people reach the portal, without a slash at the end."""
    loop_stamp: str
    """The mark in automatic mail of this installation, by which it knows its own."""


def ports(session: Session) -> Ports:
    """Return the ports that the session's store was opened with."""
    bound: Ports = session.info["ports"]
    return bound
