"""Turns rows into what templates show: plain values, no query, no rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Row

from core.desk_profile import DeskProfile
from core.model import (
    Attachment,
    AuthorKind,
    Channel,
    Conversation,
    Delivery,
    DeliveryState,
    Message,
    Operator,
    Requester,
    Severity,
    Status,
    Ticket,
    Visibility,
)
from portal import labels, moments, uploads
from portal.language import gettext
from portal.queue_view import View
from portal.reading import Reader

#: Picture types that browsers show without running anything.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
#: Delivery states that are worth a line below an answer, and can be tried again.
_TRY_AGAIN = frozenset({DeliveryState.FAILED})


@dataclass(frozen=True, slots=True)
class Eyes:
    """Through whose eyes Messages are shown, and when."""

    reader: Reader
    now: datetime
    desk: DeskProfile
    deliveries: Mapping[int, Delivery] = field(default_factory=dict)
    ticket_url: str = ""
    """Console only: where the answers' buttons post to."""


def messages(rows: Iterable[Message], eyes: Eyes) -> list[dict[str, Any]]:
    """Return Messages as partials/message.html wants them."""
    return [message(row, eyes) for row in rows]


def message(row: Message, eyes: Eyes) -> dict[str, Any]:
    """Return one Message."""
    operator = eyes.reader.operator is not None
    mine = _mine(row, eyes.reader)
    day = moments.local(row.at).date()
    delivery = eyes.deliveries.get(row.id) if operator else None
    return {
        "id": row.id,
        "seq": row.seq,
        "kind": row.author_kind.value,
        "internal": row.visibility is Visibility.INTERNAL,
        "mine": mine,
        "client_id": row.external_id if mine and row.channel is Channel.WEB else None,
        "author_name": _author(row, eyes.desk, told=not operator and mine),
        "at": row.at,
        "day": day.isoformat(),
        "day_label": moments.day_label(day, moments.local(eyes.now).date()),
        "channel": row.channel.value,
        "channel_label": gettext(labels.CHANNELS[row.channel]),
        "text": row.body_text,
        "html_url": f"/messaggi/{row.id}/html" if row.body_html_clean else None,
        "full_text": row.full_text,
        "attachments": [attachment(one) for one in row.attachments if not one.inline],
        "delivery": _delivery(delivery, eyes.ticket_url) if delivery else None,
        "raw_url": f"/console/posta/{row.raw_mail_id}" if operator and row.raw_mail_id else None,
    }


def own(row: Message, reader: Reader) -> bool:
    """Return whether the reader wrote a Message themselves, in this browser or another."""
    if reader.operator is not None:
        return row.operator_id == reader.operator.id
    return _mine(row, reader)


def attachment(row: Attachment) -> dict[str, Any]:
    """Return one file."""
    return {
        "id": row.id,
        "url": f"/allegati/{row.id}",
        "name": row.name,
        "size": row.size,
        "image": row.content_type in PICTURES,
    }


def queue_row(
    row: Row[Any], desk: DeskProfile, operator: Operator, *, unread: int, view: View
) -> dict[str, Any]:
    """Return one Ticket as partials/queue_row.html wants it."""
    order = round(row.updated_at.timestamp() * 1000)
    return {
        "id": row.id,
        "number": desk.format_number(row.number),
        "url": view.url(f"/console/ticket/{row.id}"),
        "subject": row.subject,
        "snippet": " ".join((row.snippet or "").split())[:140],
        "requester_name": row.requester_name,
        "desk_name": desk.name,
        "desk_code": desk.code,
        "channel": row.channel.value,
        "channel_label": gettext(labels.CHANNELS[row.channel]),
        "status": row.status.value,
        "status_label": desk.status_label(row.status.value),
        **_severity(row.severity, desk),
        "assignee_name": row.assignee_name,
        "mine": row.assignee_id == operator.id,
        "unread": unread,
        "last_at": row.updated_at,
        "sort": order if view.oldest_first else -order,
    }


def request_row(row: Row[Any], desk: DeskProfile, *, unread: int) -> dict[str, Any]:
    """Return one Ticket as a line of a Requester's list."""
    label = desk.status_label(row.status.value)
    if unread and desk.unread and row.status is not Status.CLOSED:
        label = desk.unread.label
    return {
        "number": desk.format_number(row.number),
        "url": f"/richieste/{row.conversation_id}",
        "subject": row.subject,
        "status": row.status.value,
        "status_label": label,
        "unread": unread,
        "desk_name": desk.name,
        "last_at": row.last_at,
        "opened_at": row.opened_at,
    }


def request_head(ticket: Ticket, conversation: Conversation, desk: DeskProfile) -> dict[str, Any]:
    """Return a Ticket as partials/request_head.html wants it."""
    return {
        "id": ticket.id,
        "number": desk.format_number(ticket.number),
        "subject": conversation.subject,
        "status": ticket.status.value,
        "status_label": desk.status_label(ticket.status.value),
        "status_help": desk.status_help(ticket.status.value) or None,
        "desk_name": desk.name,
        "opened_at": ticket.opened_at,
        "assignee_name": ticket.assignee.name if ticket.assignee else None,
        "closed": ticket.ended,
    }


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a Ticket in the console."""

    requester: Requester
    organisation: str | None
    others: Sequence[dict[str, Any]]
    history: Sequence[dict[str, Any]]
    may_answer: bool


def ticket(
    row: Ticket, conversation: Conversation, desk: DeskProfile, operator: Operator, around: Around
) -> dict[str, Any]:
    """Return a Ticket as the console's panes want it."""
    person = around.requester
    return {
        "id": row.id,
        "number": desk.format_number(row.number),
        "reference": desk.subject_reference(row.number),
        "subject": conversation.subject,
        "status": row.status.value,
        "status_label": desk.status_label(row.status.value),
        **_severity(row.severity, desk),
        "desk_name": desk.name,
        "channel": conversation.channel.value,
        "channel_label": gettext(labels.CHANNELS[conversation.channel]),
        "opened_at": row.opened_at,
        "last_at": conversation.updated_at,
        "version": round(row.updated_at.timestamp() * 1000),
        "assignee_name": row.assignee.name if row.assignee else None,
        "mine": row.assignee_id == operator.id,
        "requester": {
            "name": person.name,
            "email": row.contact_email or person.email,
            "phone": person.phone,
            "organisation": around.organisation,
        },
        "extra": [{"label": gettext("Soluzione"), "value": row.solution}] if row.solution else [],
        "others": list(around.others),
        "timeline": list(around.history),
        "actions": actions(row, desk) if around.may_answer else [],
    }


def other(row: Ticket, subject: str, desk: DeskProfile) -> dict[str, Any]:
    """Return another Ticket of the same Requester, which may stand at another Desk."""
    return {
        "number": desk.format_number(row.number),
        "url": f"/console/ticket/{row.id}",
        "subject": subject,
        "status": row.status.value,
        "status_label": desk.status_label(row.status.value),
    }


def actions(row: Ticket, desk: DeskProfile) -> list[dict[str, Any]]:
    """Return the buttons that a Ticket's status allows, under the desk's own labels."""
    words, url = desk.buttons, f"/console/ticket/{row.id}"
    found = []
    if row.status is Status.OPEN:
        found.append(_action("take", words.take, f"{url}/prendi", primary=True))
    if row.status in (Status.TAKEN, Status.PENDING_REQUESTER, Status.PENDING_THIRD):
        solve = _action("solve", words.solve, f"{url}/risolvi", primary=True)
        found.append(solve | {"text_label": gettext("Soluzione"), "text_required": True})
    if row.status is Status.SOLVED:
        found.append(_action("reopen", words.reopen, f"{url}/riapri"))
    direct = desk.direct_close and row.status in (Status.OPEN, Status.TAKEN)
    if row.status is Status.SOLVED or direct:
        found.append(_action("close", words.close, f"{url}/chiudi"))
    return found


def composer(desk: DeskProfile, url: str, *, label: str, button: str) -> dict[str, Any]:
    """Return a Requester's composer as partials/composer.html wants it."""
    return {
        "url": url,
        "client_id": str(uuid4()),
        "placeholder": "",
        "label": label,
        "button": button,
        "max_bytes": uploads.max_together(desk.attachments),
        "limits": uploads.in_words(desk.attachments),
        "text": None,
        "error": None,
        "ask_who": False,
        "requester_name": None,
        "requester_email": None,
    }


def console_composer(
    row: Ticket, conversation: Conversation, desk: DeskProfile, operator: Operator, around: Around
) -> dict[str, Any]:
    """Return the Operator's composer as partials/console_composer.html wants it."""
    by_mail = conversation.channel in (Channel.EMAIL, Channel.PHONE)
    why_not = None
    if row.ended:
        why_not = gettext("La richiesta è chiusa: puoi ancora scrivere una nota interna.")
    elif not around.may_answer:
        why_not = gettext("Il tuo ruolo in questo sportello permette solo note interne.")
    return {
        "url": f"/console/ticket/{row.id}/messaggi",
        "client_id": str(uuid4()),
        "visibility": "internal" if why_not else "public",
        "text": None,
        "error": None,
        "max_bytes": uploads.max_together(desk.attachments),
        "limits": uploads.in_words(desk.attachments),
        "to_text": _to(around.requester.name, row.contact_email if by_mail else None),
        "signature": desk.sign(operator.name) if by_mail else None,
        "note_only_text": why_not,
    }


def reusable(found: Iterable[tuple[Attachment, Message]]) -> list[dict[str, Any]]:
    """Return the files of a Conversation that an answer may carry again."""
    return [
        {
            **attachment(file),
            "from_text": f"{said.author_name}, {moments.exact(said.at)}",
        }
        for file, said in found
    ]


def _mine(row: Message, reader: Reader) -> bool:
    if reader.operator is not None:
        return row.author_kind in (AuthorKind.OPERATOR, AuthorKind.ASSISTANT)
    if reader.person is not None:
        return row.requester_id == reader.person.id
    return row.author_kind is AuthorKind.REQUESTER


def _author(row: Message, desk: DeskProfile, *, told: bool) -> str:
    if told:
        return gettext("Tu")
    if row.author_kind is AuthorKind.ASSISTANT and desk.assistant_name:
        return desk.assistant_name
    return row.author_name or gettext(labels.AUTHORS.get(row.author_kind, ""))


def _delivery(row: Delivery, ticket_url: str) -> dict[str, Any]:
    state, label = labels.DELIVERIES[row.state]
    again = row.state in _TRY_AGAIN
    return {
        "state": state,
        "label": gettext(label),
        "reason": (row.reason or None) if row.state is not DeliveryState.SENT else None,
        "retry_url": f"{ticket_url}/invii/{row.id}/riprova" if again else None,
    }


def _severity(stored: Severity | None, desk: DeskProfile) -> dict[str, Any]:
    if stored is None:
        return {"severity": None, "severity_label": None}
    return {
        "severity": labels.SEVERITIES[stored],
        "severity_label": desk.severity_label(stored.value),
    }


def _action(code: str, label: str, url: str, *, primary: bool = False) -> dict[str, Any]:
    return {
        "code": code,
        "label": label,
        "url": url,
        "primary": primary,
        "text_label": None,
        "text_required": False,
        "text": None,
    }


def _to(name: str, address: str | None) -> str:
    if address is None:
        return gettext("A {name}, in chat").format(name=name)
    whom = name if name == address else f"{name} <{address}>"
    return gettext("A {whom}, via e-mail").format(whom=whom)
