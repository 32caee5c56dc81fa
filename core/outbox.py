"""Deferred work: put in the transaction that causes it, claimed by lease, retried, set aside."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Executable,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from core.contents import insert_or_pass, storable
from core.db import PUT_IN_OUTBOX
from core.errors import Permanent, SportelloError, Transient
from core.model import EntryState, OutboxEntry, table

#: How long a claim holds before another worker may take the entry.
LEASE = timedelta(seconds=60)
#: Rows that one claim takes: 20 costs an eighth of one by one (measured).
CLAIM = 20
#: Waits after the first, second, … failure; then every eight hours, a little spread.
RETRIES = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
)
LATER_RETRIES = timedelta(hours=8)
#: While a channel is down its entries only wait; this often somebody tries again.
CHANNEL_DOWN = timedelta(minutes=1)

_TABLE = table(OutboxEntry)
_INSERT = insert(_TABLE).returning(_TABLE.c.id)
# Literals: a partial index serves only a condition that says at once what the index says. As a
# parameter SQLite would plan anew each time, and PostgreSQL would pass the index over.
_WAITS = _TABLE.c.state == literal_column(f"'{EntryState.WAITING}'")
_NEVER_TRIED = _TABLE.c.attempts == literal_column("0")
_TRIED = _TABLE.c.attempts > literal_column("0")
_NEXT_DUE = select(
    select(func.min(_TABLE.c.due_at)).where(_WAITS, _NEVER_TRIED).scalar_subquery(),
    select(func.min(_TABLE.c.due_at)).where(_WAITS, _TRIED).scalar_subquery(),
)
_FINISH = (
    update(_TABLE)
    .where(
        _TABLE.c.id.in_(bindparam("ids", expanding=True)),
        _TABLE.c.claim.in_(bindparam("claims", expanding=True)),
    )
    .values(state=EntryState.DONE, claim=None, last_error=None)
)
_LATE = union_all(
    *(
        select(_TABLE.c.id, _TABLE.c.due_at).where(
            _WAITS, tried, _TABLE.c.due_at < bindparam("before")
        )
        for tried in (_NEVER_TRIED, _TRIED)
    )
).subquery()
_OVERDUE = select(_LATE.c.id).order_by(_LATE.c.due_at).limit(bindparam("most"))


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed entry, as plain values that may cross threads."""

    id: int
    topic: str
    payload: dict[str, Any]
    attempts: int
    """This one included."""
    claim: str
    created_at: datetime


def put(
    session: Session,
    topic: str,
    payload: dict[str, Any],
    *,
    now: datetime,
    due_at: datetime | None = None,
    dedupe_key: str | None = None,
) -> bool:
    """Put work in the outbox; True unless `dedupe_key` says that it is there already."""
    row = {
        "topic": topic,
        "payload": payload,
        "state": EntryState.WAITING,
        "due_at": due_at or now,
        "attempts": 0,
        "dedupe_key": dedupe_key,
        "created_at": now,
    }
    connection = session.connection()
    insert_: Executable = _INSERT
    if dedupe_key is not None:
        insert_ = insert_or_pass(connection.dialect.name, _TABLE, _TABLE.c.id)
    entry_id: int | None = connection.execute(insert_, row).scalar_one_or_none()
    if entry_id is None:
        return False
    _note(session, [entry_id])
    return True


def put_all(
    session: Session, topic: str, payloads: Sequence[dict[str, Any]], *, now: datetime
) -> None:
    """Put many pieces of the same work in the outbox with one statement."""
    if not payloads:
        return
    rows = [
        {
            "topic": topic,
            "payload": payload,
            "state": EntryState.WAITING,
            "due_at": now,
            "attempts": 0,
            "created_at": now,
        }
        for payload in payloads
    ]
    ids = session.connection().execute(_INSERT, rows).scalars()
    _note(session, list(ids))


def claim(
    session: Session,
    *,
    now: datetime,
    limit: int = CLAIM,
    topics: Sequence[str] | None = None,
    ids: Sequence[int] | None = None,
    fresh: bool | None = None,
) -> list[Job]:
    """Take up to `limit` due entries under a lease, oldest first; nobody else gets them meanwhile.

    `fresh` restricts it to entries that were never tried (True) or that were (False). One
    statement on both databases; PostgreSQL skips rows that another worker is claiming.
    """
    statement = _claiming(by_topic=topics is not None, by_id=ids is not None, fresh=fresh)
    values = {"now": now, "most": limit, "lease": now + LEASE, "name": uuid4().hex}
    if topics is not None:
        values["topics"] = topics
    if ids is not None:
        values["ids"] = ids
    rows = session.connection().execute(statement, values)
    return sorted((Job(*row) for row in rows), key=lambda job: job.id)


def renew(session: Session, jobs: Sequence[Job], *, now: datetime) -> None:
    """Lengthen the lease of jobs that are still being worked on."""
    _mine(session, jobs, due_at=now + LEASE)


def finish(session: Session, jobs: Sequence[Job]) -> int:
    """Record jobs as done and return how many were still held by their claim."""
    if not jobs:
        return 0
    held = {"ids": [job.id for job in jobs], "claims": list({job.claim for job in jobs})}
    return session.connection().execute(_FINISH, held).rowcount


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows a failure: another try at `due_at`, or None for giving up."""

    due_at: datetime | None
    counted: bool


def retry_after(
    fault: BaseException, *, attempts: int, limit: int | None, since: timedelta, now: datetime
) -> Retry:
    """Decide what follows the `attempts`-th failure of work that is `since` old.

    A Permanent error gives up; a channel that is down waits uncounted; otherwise RETRIES, until
    `limit` attempts (None: five days, the time that mail is tried, RFC 5321 section 4.5.4.1).
    """
    if isinstance(fault, Permanent):
        return Retry(None, counted=True)
    if isinstance(fault, Transient) and fault.channel_down:
        return Retry(now + CHANNEL_DOWN, counted=False)
    over = since > timedelta(days=5) if limit is None else attempts >= limit
    if over:
        return Retry(None, counted=True)
    wait = RETRIES[attempts - 1] if attempts <= len(RETRIES) else LATER_RETRIES
    return Retry(now + wait * random.uniform(0.9, 1.1), counted=True)  # noqa: S311 - only spreads retries


def fail(session: Session, job: Job, fault: BaseException, *, retry: Retry) -> bool:
    """Record a failure; False where another worker holds the entry by now, and nothing is."""
    text = str(fault) if isinstance(fault, SportelloError) else f"{type(fault).__name__}: {fault}"
    attempts = job.attempts if retry.counted else job.attempts - 1
    values: dict[str, Any] = {
        "claim": None,
        "last_error": storable(text)[:2000],
        "attempts": attempts,
    }
    if retry.due_at is None:
        values["state"] = EntryState.GIVEN_UP
    else:
        values["due_at"] = retry.due_at
    return bool(_mine(session, [job], **values))


def put_back(session: Session, entry: OutboxEntry, *, now: datetime) -> None:
    """Try a given-up or waiting entry again now, with fresh attempts and all the time again."""
    entry.state, entry.due_at, entry.attempts, entry.claim = EntryState.WAITING, now, 0, None
    entry.created_at = now
    _note(session, [entry.id])


def next_due(session: Session) -> datetime | None:
    """Return when the next waiting entry may be claimed."""
    return min((one for one in _due(session) if one is not None), default=None)


def waiting(session: Session, *, now: datetime) -> tuple[bool, bool]:
    """Return whether there is anything to claim that was never tried, and that was."""
    fresh, tried = (one is not None and one <= now for one in _due(session))
    return fresh, tried


def _due(session: Session) -> tuple[datetime | None, datetime | None]:
    fresh, tried = session.connection().execute(_NEXT_DUE).one()
    return fresh, tried


def overdue(session: Session, *, before: datetime, limit: int) -> list[int]:
    """Return entries that have been due since before a moment, oldest first."""
    return list(session.connection().scalars(_OVERDUE, {"before": before, "most": limit}))


@cache
def _claiming(*, by_topic: bool, by_id: bool, fresh: bool | None) -> Executable:
    due = (
        select(_TABLE.c.id)
        .where(_WAITS, _TABLE.c.due_at <= bindparam("now"))
        .order_by(_TABLE.c.due_at, _TABLE.c.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    if by_topic:
        due = due.where(_TABLE.c.topic.in_(bindparam("topics", expanding=True)))
    if by_id:
        due = due.where(_TABLE.c.id.in_(bindparam("ids", expanding=True)))
    if fresh is not None:
        due = due.where(_NEVER_TRIED if fresh else _TRIED)
    # Not a plain subquery: PostgreSQL may run that again for a row and claim more than `limit`.
    chosen = due.cte("due")
    return (
        update(_TABLE)
        .where(_TABLE.c.id.in_(select(chosen.c.id)))
        .values(due_at=bindparam("lease"), claim=bindparam("name"), attempts=_TABLE.c.attempts + 1)
        .returning(
            _TABLE.c.id,
            _TABLE.c.topic,
            _TABLE.c.payload,
            _TABLE.c.attempts,
            _TABLE.c.claim,
            _TABLE.c.created_at,
        )
    )


def _note(session: Session, ids: list[int]) -> None:
    # The scaled binding hands these to its broker after the commit (app/celery_app.py).
    session.info.setdefault(PUT_IN_OUTBOX, []).extend(ids)


def _mine(session: Session, jobs: Sequence[Job], **values: Any) -> int:
    if not jobs:
        return 0
    done = session.connection().execute(
        update(_TABLE)
        .where(
            _TABLE.c.id.in_([job.id for job in jobs]),
            _TABLE.c.claim.in_({job.claim for job in jobs}),
        )
        .values(**values)
    )
    return done.rowcount
