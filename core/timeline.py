"""Writes facts: each change leaves one append-only row, in the transaction that makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from core.model import Fact, Operator, Requester, TimelineEntry, table

#: Actors that are nobody's person.
SYSTEM = "system"
ASSISTANT = "assistant"

_INSERT = insert(table(TimelineEntry))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One fact to be recorded."""

    kind: Fact
    actor: str
    desk_id: int | None = None
    conversation_id: int | None = None
    from_value: str | None = None
    to_value: str | None = None
    reason: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def actor(person: Operator | Requester) -> str:
    """Return the name under which a person stands in the Timeline, as `operator:7`."""
    return f"{person.__tablename__}:{person.id}"


def record(session: Session, change: Change, *, now: datetime) -> None:
    """Append one fact."""
    session.connection().execute(
        _INSERT,
        {
            "desk_id": change.desk_id,
            "conversation_id": change.conversation_id,
            "kind": change.kind,
            "actor": change.actor,
            "from_value": change.from_value,
            "to_value": change.to_value,
            "reason": change.reason,
            "data": change.data,
            "at": now,
        },
    )
