"""Puts work back that ended badly: mails that became no Message, entries that were given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from core import mailbox, outbox, timeline
from core.model import Disposition, EntryState, Fact, OutboxEntry, RawMail
from core.timeline import Change

#: Ends after which a mail may be processed again. Not `accepted`, which is a Message already, nor
#: `waiting`, which is still to come.
REPEATABLE = (
    Disposition.GIVEN_UP,
    Disposition.HELD,
    Disposition.BOUNCED,
    Disposition.IGNORED,
    Disposition.DUPLICATE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which lines of the ledger; None leaves a side open. Both ends are meant to be in."""

    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None


def mails(session: Session, chosen: Range | None, *, now: datetime) -> list[int]:
    """Process mails again and return their ledger lines: those given up, or all of a range.

    A mail that became a Message is left alone, so a repeat of a range is harmless.
    """
    query = select(RawMail).order_by(RawMail.id)
    if chosen is None:
        query = query.where(RawMail.disposition == Disposition.GIVEN_UP)
    else:
        query = query.where(RawMail.disposition.in_(REPEATABLE))
        query = query.where(*_conditions(chosen))
    lines = session.scalars(query.with_for_update()).all()
    _process_again(session, lines, now=now)
    return [line.id for line in lines]


def given_up(session: Session, ids: Sequence[int] | None, *, now: datetime) -> list[int]:
    """Try given-up Outbox entries again, all or those of `ids`; return which they were."""
    query = select(OutboxEntry).where(OutboxEntry.state == EntryState.GIVEN_UP)
    if ids is not None:
        query = query.where(OutboxEntry.id.in_(ids))
    entries = session.scalars(query.order_by(OutboxEntry.id).with_for_update()).all()
    for entry in entries:
        if entry.topic == mailbox.PROCESS:
            line = session.get(RawMail, entry.payload["raw"], with_for_update=True)
            if line is not None and line.disposition is Disposition.GIVEN_UP:
                _reopen(session, line, now=now)
        outbox.put_back(session, entry, now=now)
    session.flush()
    return [entry.id for entry in entries]


def _conditions(chosen: Range) -> list[ColumnElement[bool]]:
    conditions = []
    if chosen.first is not None:
        conditions.append(RawMail.id >= chosen.first)
    if chosen.last is not None:
        conditions.append(RawMail.id <= chosen.last)
    if chosen.since is not None:
        conditions.append(RawMail.received_at >= chosen.since)
    if chosen.until is not None:
        conditions.append(RawMail.received_at <= chosen.until)
    return conditions


def _process_again(session: Session, lines: Sequence[RawMail], *, now: datetime) -> None:
    stuck = {
        entry.payload["raw"]: entry
        for entry in session.scalars(
            select(OutboxEntry).where(
                OutboxEntry.topic == mailbox.PROCESS, OutboxEntry.state == EntryState.GIVEN_UP
            )
        )
    }
    for line in lines:
        _reopen(session, line, now=now)
        if line.id in stuck:
            # The same entry, so that nothing given up is left over.
            outbox.put_back(session, stuck[line.id], now=now)
        else:
            outbox.put(session, mailbox.PROCESS, {"raw": line.id}, now=now)
    session.flush()


def _reopen(session: Session, line: RawMail, *, now: datetime) -> None:
    old, line.disposition = line.disposition, Disposition.WAITING
    change = Change(
        kind=Fact.MAIL_SETTLED,
        actor=timeline.SYSTEM,
        desk_id=line.desk_id,
        conversation_id=line.conversation_id,
        from_value=old,
        to_value=Disposition.WAITING,
        reason=line.reason,
        data={"raw": line.id},
    )
    timeline.record(session, change, now=now)
