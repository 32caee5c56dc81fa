"""Tickets as plain values for the command line: one query for a list, a fixed few for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.orm import Session

from core.db import Store
from core.desk_profile import Desks
from core.errors import CallerError, NotFound
from core.model import (
    Attachment,
    Conversation,
    Desk,
    Identity,
    IdentityKind,
    Message,
    Operator,
    Requester,
    Ticket,
    TimelineEntry,
)
from core.references import subject_references

_MAILBOXES = (IdentityKind.EMAIL, IdentityKind.PEC)


def tickets(
    store: Store, *, desk: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return Tickets, newest first. Raises CallerError where no desk has the code `desk`."""
    query = _tickets().order_by(Ticket.opened_at.desc(), Ticket.id.desc()).limit(limit)
    if desk is not None:
        query = query.where(Desk.code == _known(store.ports.desks, desk))
    with store.read() as session:
        return [_listed(store.ports.desks, row) for row in session.execute(query)]


def ticket(store: Store, number: str, *, desk: str | None = None) -> dict[str, Any]:
    """Return one Ticket with Messages and Timeline.

    `number` is plain, as the desk writes it, or a reference `[desk #number]`. Raises NotFound, and
    CallerError where it says nothing or Tickets of several desks have it.
    """
    with store.read() as session:
        row = _one(session, store.ports.desks, number, desk)
        return _listed(store.ports.desks, row) | {
            "contact_email": row.contact_email,
            "priority": row.priority,
            "solution": row.solution,
            "updated_at": row.updated_at.isoformat(),
            "messages": _messages(session, row.conversation_id),
            "timeline": _timeline(session, row.conversation_id),
        }


def _tickets() -> Select[*tuple[Any, ...]]:
    # The address that a Requester is known by: their first mailbox; a chat's visitor may have none.
    address = (
        select(Identity.address)
        .where(Identity.requester_id == Requester.id, Identity.kind.in_(_MAILBOXES))
        .order_by(Identity.id)
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(
            Ticket.number,
            Ticket.status,
            Ticket.severity,
            Ticket.contact_email,
            Ticket.priority,
            Ticket.solution,
            Ticket.opened_at,
            Ticket.updated_at,
            Ticket.conversation_id,
            Desk.code,
            Conversation.subject,
            Conversation.channel,
            Conversation.last_seq,
            address.label("address"),
            Operator.email.label("assignee"),
        )
        .join(Desk, Desk.id == Ticket.desk_id)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .join(Requester, Requester.id == Conversation.requester_id)
        .outerjoin(Operator, Operator.id == Ticket.assignee_id)
    )


def _listed(desks: Desks, row: Row[Any]) -> dict[str, Any]:
    # A desk whose file was taken away still has its Tickets; then the number is written plainly.
    profile = desks.get(row.code)
    return {
        "number": profile.format_number(row.number) if profile else str(row.number),
        "sequence": row.number,
        "desk": row.code,
        "subject": row.subject,
        "requester": row.address or row.contact_email,
        "status": row.status.value,
        "severity": row.severity.value if row.severity else None,
        "channel": row.channel.value,
        "opened_at": row.opened_at.isoformat(),
        "messages": row.last_seq,
        "assignee": row.assignee,
        "conversation": row.conversation_id,
    }


def _one(session: Session, desks: Desks, number: str, desk: str | None) -> Row[Any]:
    cited = subject_references(number)
    if cited:
        desk, sequence = cited[0]
    elif number.lstrip("#").isdecimal():
        sequence = int(number.lstrip("#"))
    else:
        raise CallerError(f"`{number}` is no Ticket number: give digits, or [desk #digits].")
    conditions: list[ColumnElement[bool]] = [Ticket.number == sequence]
    if desk is not None:
        conditions.append(Desk.code == _known(desks, desk))
    rows = session.execute(_tickets().where(*conditions).order_by(Desk.code)).all()
    if not rows:
        where = f"desk {desk}" if desk else "any desk"
        raise NotFound(f"no Ticket {sequence} at {where}: see `sportello tickets list`.")
    if len(rows) > 1:
        codes = ", ".join(row.code for row in rows)
        raise CallerError(f"Ticket {sequence} is at several desks ({codes}): choose with --desk.")
    return rows[0]


def _known(desks: Desks, code: str) -> str:
    if code not in desks:
        raise CallerError(f"no desk has the code `{code}`: there are {', '.join(desks)}.")
    return code


def _messages(session: Session, conversation_id: int) -> list[dict[str, Any]]:
    files: defaultdict[int, list[Attachment]] = defaultdict(list)
    query = (
        select(Attachment)
        .join(Message, Message.id == Attachment.message_id)
        .where(Message.conversation_id == conversation_id)
        .order_by(Attachment.id)
    )
    for file in session.scalars(query):
        files[file.message_id].append(file)
    messages = session.scalars(
        select(Message).where(Message.conversation_id == conversation_id).order_by(Message.seq)
    )
    return [_message(one, files[one.id]) for one in messages]


def _message(message: Message, files: Sequence[Attachment]) -> dict[str, Any]:
    return {
        "seq": message.seq,
        "author": {"kind": message.author_kind.value, "name": message.author_name},
        "visibility": message.visibility.value,
        "channel": message.channel.value,
        "at": message.at.isoformat(),
        "text": message.body_text,
        "attachments": [
            {
                "name": file.name,
                "type": file.content_type,
                "size": file.size,
                "sha256": file.sha256,
                "inline": file.inline,
            }
            for file in files
        ],
    }


def _timeline(session: Session, conversation_id: int) -> list[dict[str, Any]]:
    entries = session.scalars(
        select(TimelineEntry)
        .where(TimelineEntry.conversation_id == conversation_id)
        .order_by(TimelineEntry.id)
    )
    return [
        {
            "kind": entry.kind.value,
            "actor": entry.actor,
            "from": entry.from_value,
            "to": entry.to_value,
            "reason": entry.reason,
            "data": entry.data,
            "at": entry.at.isoformat(),
        }
        for entry in entries
    ]
