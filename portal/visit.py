"""One request as handlers see it: who asks, what the form says, which page goes back; no rules."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from anyio import CapacityLimiter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from core import logins
from core.db import Store
from core.desk_profile import DeskProfile, Desks
from core.errors import CallerError, NotFound
from core.logins import Kind, SignedIn
from core.model import Desk, Operator, Requester
from portal.cookies import Jar
from portal.templating import Templates
from portal.throttle import Throttle
from portal.uploads import MEGABYTE, Form

Area = Literal["portal", "console"]
#: Whose login counts in which area.
KINDS: dict[Area, Kind] = {"portal": Requester, "console": Operator}
_LONGEST_ID = len("999999999999999999")
Level = Literal["success", "info", "warning", "danger"]


class PortalSettings(Protocol):
    """What the portal needs to know of the installation (config.settings.Settings has it)."""

    @property
    def data(self) -> Path: ...
    @property
    def demo(self) -> bool: ...
    @property
    def secure(self) -> bool: ...
    @property
    def public_url(self) -> str: ...
    @property
    def trusted_proxies(self) -> tuple[str, ...]: ...


class Refused(CallerError):
    """La pagina era aperta da troppo tempo: ricaricala e riprova."""


class SignInFirst(CallerError):
    """La sessione è terminata: accedi di nuovo."""

    def __init__(self, area: Area) -> None:
        """Remember where one signs in."""
        super().__init__()
        self.area = area


@dataclass(frozen=True)
class Site:
    """What all requests share."""

    store: Store
    settings: PortalSettings
    templates: Templates
    page_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(4))
    """Answer pages (architecture.md section 6: more threads only fight over the interpreter)."""
    hashing_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """Check passwords: that is heavy, and pages must not wait behind it."""
    live_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """Read what live connections are to be told."""
    chats_begun: Throttle = field(default_factory=lambda: Throttle(limit=30, seconds=600))
    """Chats that one address may begin: an office is many people."""
    words_written: Throttle = field(default_factory=lambda: Throttle(limit=60, seconds=60))
    """Messages that one chat may take from its visitor: nobody types one a second for long."""
    bytes_sent: Throttle = field(
        default_factory=lambda: Throttle(limit=300 * MEGABYTE, seconds=600)
    )
    """Bytes of large forms that one address may send without being signed in."""
    _desk_ids: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def desks(self) -> Desks:
        """The desk files of this installation."""
        return self.store.ports.desks

    def desk_id(self, session: Session, code: str) -> int:
        """Return the row of a desk; raises NotFound where there is no such desk."""
        if code not in self.desks:
            raise NotFound
        found = self.desk_ids(session).get(code)
        if found is None:
            raise NotFound
        return found

    def desk_ids(self, session: Session) -> dict[str, int]:
        """Return the rows of all desks by code; they never change once they are there."""
        if len(self._desk_ids) < len(self.desks):
            rows = session.execute(select(Desk.code, Desk.id)).all()
            with self._lock:
                self._desk_ids.update((row.code, row.id) for row in rows if row.code in self.desks)
        return self._desk_ids

    def profile(self, session: Session, desk_id: int) -> DeskProfile:
        """Return a desk's profile by its row; raises NotFound where its file is gone."""
        for code, known in self.desk_ids(session).items():
            if known == desk_id:
                return self.desks[code]
        raise NotFound

    def open_desks(self, session: Session) -> list[int]:
        """Return the rows of the desks whose Organisations' administrators see all of theirs."""
        return [
            desk_id
            for code, desk_id in self.desk_ids(session).items()
            if self.desks[code].visibility.organisation_admin_sees_organisation
        ]


@dataclass
class Visit:
    """One request: made and used in one thread, forgotten with its answer."""

    site: Site
    request: Request
    now: datetime
    area: Area
    form: Form
    session: Session
    """For reading; an unsafe request's changes go through `site.store.begin()`."""
    login: SignedIn | None = None
    cookies: Jar = field(init=False)

    def __post_init__(self) -> None:
        """Open the cookies."""
        self.cookies = Jar(self.request, secure=self.site.settings.secure)

    @property
    def store(self) -> Store:
        """The store."""
        return self.site.store

    @property
    def peer(self) -> str:
        """Where the request came from."""
        return peer_of(self.request)

    @property
    def wants_json(self) -> bool:
        """Whether a script asks, and not a person's form."""
        return wants_json(self.request)

    @property
    def operator(self) -> Operator:
        """The Operator who asks; raises SignInFirst where nobody of that kind is signed in."""
        if self.login is None or not isinstance(self.login.person, Operator):
            raise SignInFirst("console")
        return self.login.person

    @property
    def requester(self) -> Requester:
        """The Requester who asks; raises SignInFirst where nobody of that kind is signed in."""
        if self.login is None or not isinstance(self.login.person, Requester):
            raise SignInFirst("portal")
        return self.login.person

    @cached_property
    def csrf(self) -> str:
        """The token that this page's forms bring back."""
        if self.login is not None:
            return self.login.csrf
        return csrf_of(self.stranger)

    @cached_property
    def stranger(self) -> str:
        """The secret that a browser holds before anybody signs in; made on first use."""
        secret = self.cookies.get("stranger")
        if not secret:
            secret = secrets.token_urlsafe(32)
            self.cookies.put("stranger", secret)
        return secret

    def number(self, name: str) -> int:
        """Return a number of the path; raises NotFound where it is none that a row could have."""
        text = self.request.path_params[name]
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID):
            raise NotFound
        return int(text)

    def acting(self, session: Session) -> Operator:
        """Return the Operator who acts, inside the transaction in which they act."""
        operator = session.get(Operator, self.operator.id)
        if operator is None or not operator.active:
            raise SignInFirst("console")
        return operator

    def say(self, text: str, level: Level = "success") -> None:
        """Show a line at the top of the page that comes next."""
        plain = json.dumps([level, text[:600]], ensure_ascii=False).encode()
        self.cookies.put("notice", base64.urlsafe_b64encode(plain).decode(), seconds=60)

    def notices(self) -> list[dict[str, str]]:
        """Return what the page before wanted said here, once."""
        raw = self.cookies.get("notice")
        if not raw:
            return []
        self.cookies.drop("notice")
        try:
            level, text = json.loads(base64.urlsafe_b64decode(raw))
        except ValueError:
            return []
        levels = ("success", "info", "warning", "danger")
        return [{"level": level, "text": str(text)}] if level in levels else []

    def page(self, template: str, context: Mapping[str, Any], *, status: int = 200) -> Response:
        """Return a page; `context` goes on top of what every page has (portal/frame.py)."""
        return HTMLResponse(self.site.templates.render(template, context), status)

    def go(self, url: str) -> Response:
        """Send the browser on, as after every form."""
        return RedirectResponse(url, 303)

    def json(self, body: Mapping[str, Any], *, status: int = 200) -> Response:
        """Answer a script."""
        return JSONResponse(body, status)


def csrf_of(stranger: str) -> str:
    """Return the form token of somebody who is not signed in: derived, so that it can be shown."""
    return hashlib.sha256(b"csrf\0" + stranger.encode()).hexdigest()


def require_same_origin(request: HTTPConnection, settings: PortalSettings) -> None:
    """Raise Refused where a browser says that another site sends the request."""
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Refused
    origin = request.headers.get("origin")
    # Compared whole and never taken apart: `null` and nonsense are nobody's.
    if origin is not None and origin.lower() not in _our_origins(request, settings):
        raise Refused


def _our_origins(request: HTTPConnection, settings: PortalSettings) -> set[str]:
    host = request.headers.get("host", "").lower()
    # A proxy in front may speak https where we are spoken to by http.
    schemes = ("https",) if settings.secure else ("http", "https")
    ours = {f"{scheme}://{host}" for scheme in schemes if host}
    if settings.public_url:
        # It may also pass another Host on.
        public = urlsplit(settings.public_url)
        ours.add(f"{public.scheme}://{public.netloc}".lower())
    return ours


def require_token(visit: Visit) -> None:
    """Raise Refused where the form's token is not the one that this browser was given."""
    sent = visit.request.headers.get("x-csrf-token") or visit.form.text("csrf")
    if not hmac.compare_digest(sent.encode(), visit.csrf.encode()):
        raise Refused


def recall(visit: Visit) -> None:
    """Find out who is signed in, and write down a sign of life where it is time to."""
    kind = KINDS[visit.area]
    token = visit.cookies.get(cookie_of(kind))
    visit.login = logins.recall(visit.session, kind, token, now=visit.now)
    if visit.login and visit.now - visit.login.seen_at > logins.SIGN_OF_LIFE:
        with visit.store.begin() as session:
            logins.sign_of_life(session, visit.login, now=visit.now)


def cookie_of(kind: Kind) -> str:
    """Return the name of the cookie that holds a login."""
    return "operator" if kind is Operator else "requester"


def safe_next(url: str, otherwise: str) -> str:
    """Return an address of ours to go to after signing in, never somebody else's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return otherwise
    ours = url.startswith("/") and not url.startswith(("//", "/\\"))
    plain = not (parts.scheme or parts.netloc) and url.isprintable() and "\\" not in url
    return url if ours and plain else otherwise


def peer_of(request: HTTPConnection) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "unknown"


def wants_json(request: HTTPConnection) -> bool:
    """Whether a script asks, and not a person's form."""
    return "application/json" in request.headers.get("accept", "")
