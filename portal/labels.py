"""The Italian words for stored codes that are the same at every desk."""

from __future__ import annotations

from collections.abc import Mapping

from core.desk_profile import DeskProfile
from core.model import (
    AuthorKind,
    Channel,
    DeliveryState,
    Disposition,
    Fact,
    Severity,
    Status,
    TimelineEntry,
)
from portal.language import gettext

CHANNELS: Mapping[Channel, str] = {
    Channel.EMAIL: "e-mail",
    Channel.PEC: "PEC",
    Channel.WEB: "chat",
    Channel.TELEGRAM: "Telegram",
    Channel.PHONE: "telefono",
    Channel.REPORT: "diagnostica",
}
#: Who stands above a Message that nobody signed.
AUTHORS: Mapping[AuthorKind, str] = {
    AuthorKind.SYSTEM: "Sistema",
    AuthorKind.ASSISTANT: "Assistente",
    AuthorKind.DIAGNOSTIC_AGENT: "Diagnostica",
}
#: Severity as pages colour it, 1 being the worst.
SEVERITIES: Mapping[Severity, int] = {
    Severity.HIGH: 1,
    Severity.MEDIUM: 2,
    Severity.LOW: 3,
    Severity.INFO: 4,
}
#: State of a Delivery -> its code in templates, and its words.
DELIVERIES: Mapping[DeliveryState, tuple[str, str]] = {
    DeliveryState.WAITING: ("queued", "in coda"),
    DeliveryState.SENT: ("sent", "inviata"),
    DeliveryState.UNCERTAIN: ("queued", "invio da confermare"),
    DeliveryState.FAILED: ("failed", "non consegnata"),
    DeliveryState.SUPPRESSED: ("failed", "non inviata"),
}
DISPOSITIONS: Mapping[Disposition, str] = {
    Disposition.WAITING: "In lavorazione",
    Disposition.ACCEPTED: "Ammessa",
    Disposition.HELD: "Trattenuta",
    Disposition.BOUNCED: "Respinta",
    Disposition.IGNORED: "Ignorata",
    Disposition.RECEIPT: "Ricevuta",
    Disposition.DUPLICATE: "Duplicata",
    Disposition.GIVEN_UP: "Non riuscita",
}
VIEWS: Mapping[str, str] = {
    "da-gestire": "Da gestire",
    "mie": "Assegnate a me",
    "libere": "Non assegnate",
    "da-leggere": "Da leggere",
    "risolte": "Risolte",
    "chiuse": "Chiuse",
    "tutte": "Tutte",
}
#: What a Timeline entry says, `{who}` being its actor.
FACTS: Mapping[Fact, str] = {
    Fact.TICKET_OPENED: "{who} ha aperto la richiesta",
    Fact.TICKET_TAKEN: "{who} ha preso in carico la richiesta",
    Fact.STATUS_CHANGED: "{who}: da «{old}» a «{new}»",
    Fact.TICKET_SOLVED: "{who} ha risolto: {reason}",
    Fact.TICKET_CLOSED: "{who} ha chiuso la richiesta",
    Fact.HOLDER_CHANGED: "La conversazione passa a {who}",
    Fact.REQUESTER_WROTE: "{who} ha scritto",
    Fact.OPERATOR_WROTE: "{who} ha risposto",
    Fact.NOTE_WRITTEN: "{who} ha scritto una nota interna",
    Fact.MAIL_SETTLED: "Mail {new}: {reason}",
    Fact.DELIVERY_CHANGED: "Mail a {recipient}: {new} {reason}",
    Fact.NOTICE_SUPPRESSED: "Avviso a {recipient} non inviato: {reason}",
    Fact.PARTICIPANT_ADDED: "{who} segue la richiesta",
    Fact.OPERATOR_CHANGED: "{who} ha cambiato il proprio accesso",
}


def fact(entry: TimelineEntry, who: str, desk: DeskProfile) -> str:
    """Say what a Timeline entry records, in the desk's words."""
    return gettext(FACTS[entry.kind]).format(
        who=who,
        old=_value(entry.from_value, desk),
        new=_value(entry.to_value, desk),
        reason=entry.reason or "",
        recipient=entry.data.get("recipient", ""),
    )


def _value(stored: str | None, desk: DeskProfile) -> str:
    if stored in {status.value for status in Status}:
        return desk.status_label(stored)
    if stored in {state.value for state in DeliveryState}:
        return gettext(DELIVERIES[DeliveryState(stored)][1])
    if stored in {disposition.value for disposition in Disposition}:
        return gettext(DISPOSITIONS[Disposition(stored)]).lower()
    return stored or ""
