"""The lost-mail ledger: each mail seen has a line, committed before it is accepted, and an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from core import contents, outbox, timeline
from core.access import require_answering
from core.errors import NotPossible, Transient
from core.model import Content, Conversation, Disposition, Fact, Operator, RawMail, table
from core.ports import ports
from core.timeline import Change

#: The Outbox topic of a mail that waits to be understood.
PROCESS = "mail.process"

_RAW = table(RawMail)
_CONTENT = table(Content)

# Made once: building a statement costs more than running it.
_SETTLE = (
    update(_RAW)
    .where(_RAW.c.id == bindparam("line"), _RAW.c.disposition == Disposition.WAITING)
    .values(
        {
            name: bindparam(name)
            for name in (
                "disposition",
                "reason",
                "conversation_id",
                "from_address",
                "subject",
                "message_id",
                "body_hash",
                "auto_reason",
            )
        }
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One mail for one Desk, as it came."""

    desk_id: int
    raw: bytes
    fingerprint: str
    """Of the bytes less trace headers: a resend has the same."""
    recipient: str
    envelope_from: str
    source: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFacts:
    """What the ledger line says of a mail that was read."""

    from_address: str | None = None
    subject: str | None = None
    message_id: str | None = None
    body_hash: str | None = None
    auto_reason: str | None = None


def spool(session: Session, arrivals: Sequence[Arrival], *, now: datetime) -> None:
    """Write mails to the ledger and their processing to the outbox; a resend only counts up.

    Once the transaction is committed the mails may be answered with 250 (RFC 5321 section 4.5).
    """
    files = ports(session).files
    hashes = [contents.digest(one.raw) for one in arrivals]
    rows: list[dict[str, object]] = []
    for sha256, one in zip(hashes, arrivals, strict=True):
        inline = len(one.raw) <= contents.INLINE_BYTES
        if not inline:
            files.write(sha256, one.raw)
        rows.append({"sha256": sha256, "size": len(one.raw), "data": one.raw if inline else None})
    contents.insert_once(session, _CONTENT, rows)
    fresh = [
        raw_id
        for sha256, one in zip(hashes, arrivals, strict=True)
        if (raw_id := _insert_line(session, sha256, one)) is not None
    ]
    outbox.put_all(session, PROCESS, [{"raw": raw_id} for raw_id in fresh], now=now)


def settle(
    session: Session,
    raw_id: int,
    disposition: Disposition,
    *,
    reason: str = "",
    facts: MailFacts,
    conversation_id: int | None = None,
    now: datetime,
) -> None:
    """Give a mail its end, once: each line has one disposition with its reason.

    Raises Transient where it got one meanwhile. What became a Message has its fact already; any
    other end is one.
    """
    values = {
        "line": raw_id,
        "disposition": disposition,
        "reason": reason,
        "conversation_id": conversation_id,
        "from_address": facts.from_address,
        "subject": contents.storable(facts.subject) if facts.subject is not None else None,
        "message_id": facts.message_id,
        "body_hash": facts.body_hash,
        "auto_reason": facts.auto_reason,
    }
    settled = session.connection().execute(_SETTLE, values)
    if settled.rowcount != 1:
        raise Transient("the mail was settled meanwhile")
    if disposition is not Disposition.ACCEPTED:
        line = session.get_one(RawMail, raw_id, populate_existing=True)
        _record(session, line, timeline.SYSTEM, Disposition.WAITING, now=now)


def give_up(session: Session, raw_id: int, *, reason: str, now: datetime) -> None:
    """Set a mail aside that could not be processed; it stays visible, whole, with *Try again*."""
    line = session.get_one(RawMail, raw_id)
    if line.disposition is Disposition.WAITING:
        line.disposition, line.reason = Disposition.GIVEN_UP, contents.storable(reason)
        _record(session, line, timeline.SYSTEM, Disposition.WAITING, now=now)


def retry(session: Session, line: RawMail, operator: Operator, *, now: datetime) -> None:
    """Process a mail again that was set aside."""
    _back_to_work(session, line, operator, (Disposition.GIVEN_UP,), admitted=False, now=now)


def admit(session: Session, line: RawMail, operator: Operator, *, now: datetime) -> None:
    """Let a held or ignored mail in: it becomes a Message where it would go, or opens a Ticket.

    Raises NotAllowed to whom may not answer there, too: the Conversation may be another Desk's.
    """
    if line.conversation_id is not None:
        there = session.get_one(Conversation, line.conversation_id)
        require_answering(operator, there.desk_id)
    let_in = (Disposition.HELD, Disposition.IGNORED)
    _back_to_work(session, line, operator, let_in, admitted=True, now=now)


def refuse(session: Session, line: RawMail, operator: Operator, *, now: datetime) -> None:
    """Put a held or set-aside mail away for good; its line and its bytes stay."""
    require_answering(operator, line.desk_id)
    session.refresh(line, with_for_update={"of": RawMail})
    if line.disposition not in (Disposition.HELD, Disposition.GIVEN_UP):
        raise NotPossible
    old, line.disposition = line.disposition, Disposition.IGNORED
    line.reason = f"{line.reason} · archiviata da {operator.name}".strip(" ·")
    _record(session, line, timeline.actor(operator), old, now=now)


def _back_to_work(
    session: Session,
    line: RawMail,
    operator: Operator,
    expected: tuple[Disposition, ...],
    *,
    admitted: bool,
    now: datetime,
) -> None:
    require_answering(operator, line.desk_id)
    session.refresh(line, with_for_update={"of": RawMail})
    if line.disposition is Disposition.WAITING:
        return
    if line.disposition not in expected:
        raise NotPossible("Questa mail è già stata sistemata.")
    old, line.disposition = line.disposition, Disposition.WAITING
    outbox.put(session, PROCESS, {"raw": line.id, "admitted": admitted}, now=now)
    _record(session, line, timeline.actor(operator), old, now=now)


def _record(
    session: Session, line: RawMail, actor: str, old: Disposition, *, now: datetime
) -> None:
    change = Change(
        kind=Fact.MAIL_SETTLED,
        actor=actor,
        desk_id=line.desk_id,
        conversation_id=line.conversation_id,
        from_value=old,
        to_value=line.disposition,
        reason=line.reason,
        data={"raw": line.id},
    )
    timeline.record(session, change, now=now)


def _insert_line(session: Session, sha256: str, one: Arrival) -> int | None:
    """Insert the line of a mail; None where the same mail for the same recipient has one."""
    connection = session.connection()
    recipient = one.recipient[:320]
    raw_id: int | None = connection.execute(
        contents.insert_or_pass(connection.dialect.name, _RAW, _RAW.c.id),
        {
            "desk_id": one.desk_id,
            "sha256": sha256,
            "fingerprint": one.fingerprint,
            "recipient": recipient,
            "envelope_from": contents.storable(one.envelope_from)[:320],
            "source": one.source,
            "received_at": one.received_at,
            "repeats": 0,
            "disposition": Disposition.WAITING,
            "reason": "",
        },
    ).scalar_one_or_none()
    if raw_id is None:
        counted = connection.execute(
            update(_RAW)
            .where(_RAW.c.fingerprint == one.fingerprint, _RAW.c.recipient == recipient)
            .values(repeats=_RAW.c.repeats + 1)
        )
        if counted.rowcount != 1:
            # Passed over, but not as a resend: a mail must not be answered 250 for that.
            raise Transient("the ledger did not take the mail")
    return raw_id
