"""What every page has around its own content: names, addresses, menus, who is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.model import Operator
from portal.language import gettext
from portal.visit import Visit

SITE = {
    "name": "Sportello",
    "tagline": "Assistenza ai servizi fiduciari e della pubblica amministrazione",
    "owner_name": "Sportello",
    "owner_url": None,
    "privacy_url": None,
    "legal_url": None,
    "accessibility_url": None,
}
PORTAL = {
    "home": "/",
    "sign_in": "/accedi",
    "sign_out": "/esci",
    "requests": "/richieste",
    "password": "/account",
    "live": "/live",
    "console": "/console",
}
CONSOLE = {
    "home": "/",
    "sign_in": "/console/accedi",
    "sign_out": "/console/esci",
    "queue": "/console",
    "mail": "/console/posta",
    "account": "/console/account",
    "live": "/live?area=console",
    "console": "/console",
}


def portal_page(visit: Visit, *, current: str = "", **content: Any) -> dict[str, Any]:
    """Return the context of a portal page; `current` is the address of its menu item."""
    person = visit.login.person if visit.login else None
    items = [("/", gettext("Sportelli")), ("/richieste", gettext("Le mie richieste"))]
    return {
        **_everywhere(visit),
        "urls": PORTAL,
        "person": {"name": person.name, "email": _email(person)} if person else None,
        "nav": [
            {"label": label, "url": url, "current": url == current, "count": None}
            for url, label in items
        ],
        "desk": None,
        **content,
    }


def console_page(
    visit: Visit, figures: Mapping[str, int], *, current: str = "", **content: Any
) -> dict[str, Any]:
    """Return the context of an Operator's page; `figures` are those of queries.counts."""
    person = visit.login.person if visit.login else None
    items = [
        ("libere", "/console", gettext("Coda")),
        ("posta", "/console/posta", gettext("Posta")),
    ]
    if visit.site.settings.demo:
        items.append(("demo", "/demo/posta", gettext("Mail uscite")))
    return {
        **_everywhere(visit),
        "urls": CONSOLE,
        "person": _initialled(person) if person else None,
        "nav": [
            {
                "key": key,
                "label": label,
                "url": url,
                "current": url == current,
                "count": figures.get(key),
            }
            for key, url, label in items
        ],
        "desk": None,
        **content,
    }


def fragment(visit_csrf: str, *, console: bool) -> dict[str, Any]:
    """Return what fragments of a page need of its context."""
    return {"csrf": visit_csrf, "urls": CONSOLE if console else PORTAL, "site": SITE, "lang": "it"}


def _everywhere(visit: Visit) -> dict[str, Any]:
    return {"lang": "it", "csrf": visit.csrf, "site": SITE, "notices": visit.notices()}


def _initialled(person: Any) -> dict[str, str]:
    words = person.name.split()
    initials = "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()
    return {"name": person.name, "email": _email(person), "initials": initials}


def _email(person: Any) -> str:
    if isinstance(person, Operator):
        return person.email
    known = [identity.address for identity in person.identities]
    return person.email or (known[0] if known else "")
