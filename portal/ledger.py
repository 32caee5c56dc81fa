"""Reads the ledger of incoming mail, and the outgoing mail that was given up, for Operators."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Mapping, Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from core.desk_profile import DeskProfile
from core.errors import NotFound
from core.model import (
    Content,
    Conversation,
    Delivery,
    DeliveryState,
    Disposition,
    Operator,
    RawMail,
    Ticket,
)
from portal import labels
from portal.language import gettext
from portal.queries import COUNT_CAP

PAGE = 50
#: Filters by their name in the address -> label and dispositions.
FILTERS: Mapping[str, tuple[str, frozenset[Disposition]]] = {
    "da-decidere": ("Da decidere", frozenset({Disposition.HELD, Disposition.GIVEN_UP})),
    "in-lavorazione": ("In lavorazione", frozenset({Disposition.WAITING})),
    "ammesse": ("Ammesse", frozenset({Disposition.ACCEPTED})),
    "ignorate": ("Ignorate", frozenset({Disposition.IGNORED, Disposition.RECEIPT})),
    "respinte": ("Respinte", frozenset({Disposition.BOUNCED})),
    "duplicate": ("Duplicate", frozenset({Disposition.DUPLICATE})),
    "tutte": ("Tutte", frozenset(Disposition)),
}
FIRST_FILTER = "da-decidere"
#: Ends after which a mail may still be let in (core.mailbox.admit).
ADMISSIBLE = frozenset({Disposition.HELD, Disposition.IGNORED})
#: Characters of a mail's source that a page shows.
SHOWN = 40_000


def lines(session: Session, operator: Operator, chosen: str, *, before: int) -> Sequence[Row[Any]]:
    """Return a page of the ledger, newest first, and one line more if there is one."""
    query = _lines(operator).where(RawMail.disposition.in_(FILTERS[chosen][1]))
    if before:
        query = query.where(RawMail.id < before)
    return session.execute(query.order_by(RawMail.id.desc()).limit(PAGE + 1)).all()


def line(session: Session, operator: Operator, raw_id: int) -> RawMail:
    """Return one line of an Operator's desks; raises NotFound for any other."""
    found = session.get(RawMail, raw_id)
    if found is None or found.desk_id not in {one.desk_id for one in operator.desks}:
        raise NotFound
    return found


def shown_line(session: Session, operator: Operator, raw_id: int) -> Row[Any]:
    """Return one line as `lines` does; raises NotFound."""
    row = session.execute(_lines(operator).where(RawMail.id == raw_id)).one_or_none()
    if row is None:
        raise NotFound
    return row


def undelivered(session: Session, operator: Operator) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the outgoing mail of an Operator's desks that was given up, newest first."""
    return session.execute(
        select(Delivery, Ticket.id.label("ticket_id"), Ticket.number)
        .outerjoin(Ticket, Ticket.conversation_id == Delivery.conversation_id)
        .where(
            Delivery.state == DeliveryState.FAILED,
            Delivery.desk_id.in_([one.desk_id for one in operator.desks]),
        )
        .order_by(Delivery.id.desc())
        .limit(PAGE)
    ).all()


def waiting(session: Session, operator: Operator) -> int:
    """Return how many lines wait for an Operator's decision, up to COUNT_CAP + 1."""
    some = (
        select(RawMail.id)
        .where(
            RawMail.desk_id.in_([one.desk_id for one in operator.desks]),
            RawMail.disposition.in_(FILTERS[FIRST_FILTER][1]),
        )
        .limit(COUNT_CAP + 1)
    )
    return session.scalar(select(func.count()).select_from(some.subquery())) or 0


def shown(row: Row[Any], desk: DeskProfile) -> dict[str, Any]:
    """Return a line of the ledger as console/mail.html wants it."""
    raw: RawMail = row.RawMail
    given_up, undecided = Disposition.GIVEN_UP, FILTERS[FIRST_FILTER][1]
    here = f"/console/posta/{raw.id}"
    return {
        "id": raw.id,
        "received_at": raw.received_at,
        "sender": raw.from_address or raw.envelope_from or "<>",
        "recipient": raw.recipient,
        "subject": raw.subject or "",
        "size": row.size or 0,
        "disposition": "processing" if raw.disposition is Disposition.WAITING else raw.disposition,
        "disposition_label": gettext(labels.DISPOSITIONS[raw.disposition]),
        "reason": raw.reason,
        "ticket": _ticket(row, desk),
        "raw_url": here,
        "retry_url": f"{here}/riprova" if raw.disposition is given_up else None,
        "admit_url": f"{here}/ammetti" if raw.disposition in ADMISSIBLE else None,
        "archive_url": f"{here}/archivia" if raw.disposition in undecided else None,
        "resent": raw.repeats,
    }


def shown_undelivered(row: Row[Any], desk: DeskProfile) -> dict[str, Any]:
    """Return an outgoing mail that was given up as a line of the same list."""
    delivery: Delivery = row.Delivery
    ticket_url = f"/console/ticket/{row.ticket_id}" if row.ticket_id else "/console/posta"
    return {
        "id": f"d{delivery.id}",
        "received_at": delivery.created_at,
        "sender": desk.address,
        "recipient": delivery.recipient,
        "subject": delivery.subject,
        "size": len(delivery.body_text.encode()),
        "disposition": "given_up",
        "disposition_label": gettext("Non consegnata"),
        "reason": delivery.reason,
        "ticket": _ticket(row, desk),
        "raw_url": ticket_url,
        "retry_url": f"/console/posta/invii/{delivery.id}/riprova",
        "admit_url": None,
        "archive_url": None,
        "resent": 0,
    }


def source(raw: bytes) -> dict[str, Any]:
    """Return a mail's headers, decoded for reading, and the beginning of its source."""
    message = email.message_from_bytes(raw[: SHOWN * 2], policy=email.policy.compat32)
    text = raw[: SHOWN + 1].decode("utf-8", "replace")
    _, _, body = text.replace("\r\n", "\n").partition("\n\n")
    return {
        "headers": [[name, decoded(str(value))] for name, value in message.items()],
        "text": body[:SHOWN],
        "cut": len(raw) > SHOWN,
    }


def decoded(value: str) -> str:
    """Return a header as people read it; what cannot be decoded stays as it is."""
    plain = " ".join(value.split())
    try:
        return str(make_header(decode_header(plain)))
    except (HeaderParseError, ValueError, LookupError):
        return plain


def _lines(operator: Operator) -> Any:
    return (
        select(RawMail, Content.size, Ticket.id.label("ticket_id"), Ticket.number)
        .outerjoin(Content, Content.sha256 == RawMail.sha256)
        .outerjoin(Conversation, Conversation.id == RawMail.conversation_id)
        .outerjoin(Ticket, Ticket.conversation_id == RawMail.conversation_id)
        .where(RawMail.desk_id.in_([one.desk_id for one in operator.desks]))
    )


def _ticket(row: Row[Any], desk: DeskProfile) -> dict[str, Any] | None:
    if row.ticket_id is None:
        return None
    return {"number": desk.format_number(row.number), "url": f"/console/ticket/{row.ticket_id}"}
