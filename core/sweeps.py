"""What recurs: each sweep is one query over an indexed column, with time as an argument."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.model import EntryState, LoginFailure, LoginSession, OutboxEntry

#: How long finished work can be looked up (`sportello outbox list --all`).
DONE_WORK_KEPT = timedelta(days=7)
#: How long a failed sign-in counts for anything.
FAILURES_KEPT = timedelta(days=1)
#: Rows that one sweep takes away, so that no transaction grows long.
AT_ONCE = 5_000


def forget_logins(session: Session, *, now: datetime) -> None:
    """Delete sign-ins that ended and failures that count no more."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at < now))
    session.execute(delete(LoginFailure).where(LoginFailure.at < now - FAILURES_KEPT))


def forget_done_work(session: Session, *, now: datetime) -> bool:
    """Delete Outbox entries that were finished long ago; what was given up stays.

    Returns whether there may be more than one transaction took away.
    """
    old = (
        select(OutboxEntry.id)
        .where(OutboxEntry.state == EntryState.DONE, OutboxEntry.created_at < now - DONE_WORK_KEPT)
        .order_by(OutboxEntry.id)
        .limit(AT_ONCE)
    )
    gone = session.connection().execute(delete(OutboxEntry).where(OutboxEntry.id.in_(old)))
    return gone.rowcount >= AT_ONCE
