"""What the portal's pages show of a desk, from its desk file; plain values for templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from core.desk_profile import DeskProfile
from core.desk_texts import Contact, Guide
from portal.language import gettext
from portal.opening import opening

_KINDS = {
    "phone": "Telefono",
    "email": "E-mail",
    "web": "Sito",
    "chat": "Chat",
    "form": "Modulo",
    "address": "Indirizzo",
}


def desk_page(desk: DeskProfile, now: datetime) -> dict[str, Any]:
    """Return a desk as templates/portal/desk.html wants it."""
    staffed = opening(desk, now)
    brand = desk.brand
    lead, landing, sections = _landing(desk)
    return {
        "code": desk.code,
        "name": desk.name,
        "owner_name": brand.organisation if brand else desk.name,
        "tagline": brand.product if brand and brand.product else None,
        "summary": lead,
        "url": f"/{desk.code}",
        "landing": landing,
        "contacts": [contact for contact in map(_contact, desk.contacts) if contact],
        "hours": list(desk.hours_text),
        "presence": {"open": staffed.open, "text": staffed.text} if staffed else None,
        "chat_url": f"/{desk.code}/chat" if desk.chat.enabled else None,
        "sign_in_url": f"/accedi?sportello={desk.code}",
        "assistant_name": desk.assistant_name or None,
        "sections": sections,
    }


def desk_card(desk: DeskProfile, now: datetime) -> dict[str, Any]:
    """Return a desk as the list of all desks shows it: in one short line what it is for."""
    page = desk_page(desk, now)
    return page | {"summary": page["tagline"] or page["summary"]}


def _landing(desk: DeskProfile) -> tuple[str, list[str], list[dict[str, Any]]]:
    guide = desk.landing
    sections = [] if guide is None else list(_sections(guide))
    table = _targets(desk)
    sections += [table] if table else []
    title = guide.title if guide else ""
    lead = " · ".join(filter(None, [title, *(guide.subtitles if guide else ())]))
    product = desk.brand.product if desk.brand else ""
    untitled = [s for s in sections if not s["title"]]
    paragraphs = [text for section in untitled for text in section["paragraphs"]]
    return lead or product, paragraphs, [s for s in sections if s["title"]]


def _sections(guide: Guide) -> Iterator[dict[str, Any]]:
    for section in guide.sections:
        paragraphs = [*section.paragraphs, *(f"– {item}" for item in section.items)]
        yield {"title": section.heading, "paragraphs": paragraphs, "table": None}
    if guide.footer:
        yield {"title": "", "paragraphs": list(guide.footer), "table": None}


def _targets(desk: DeskProfile) -> dict[str, Any] | None:
    published = desk.published_targets
    if published is None:
        return None
    rows = [[desk.severity_label(code), *cells] for code, cells in published.rows.items()]
    table = {
        "caption": published.intro or gettext("Tempi per gravità"),
        "head": [published.heading, *published.columns],
        "rows": rows,
    }
    return {"title": gettext("Tempi di risposta"), "paragraphs": [], "table": table}


def _contact(contact: Contact) -> dict[str, Any]:
    label, value = _label_and_value(contact)
    return {
        "kind": contact.kind,
        "label": label,
        "value": value,
        "href": _href(contact),
        "note": contact.note or None,
    }


def _label_and_value(contact: Contact) -> tuple[str, str]:
    """Split a published line such as `NUMERO VERDE: 800400701` without losing a letter of it."""
    label, colon, rest = contact.text.partition(":")
    if contact.value and contact.text.endswith(contact.value):
        head = contact.text.removesuffix(contact.value).rstrip(" :")
        return head or gettext(_KINDS[contact.kind]), contact.value
    if colon and not rest.startswith("//"):
        return label.strip(), rest.strip()
    return gettext(_KINDS[contact.kind]), contact.text


def _href(contact: Contact) -> str | None:
    value = contact.value
    if contact.kind == "phone" and value:
        return "tel:" + re.sub(r"[^\d+]", "", value)
    if contact.kind == "email" and "@" in value:
        return f"mailto:{value}"
    return value if value.startswith(("https://", "http://")) else None
