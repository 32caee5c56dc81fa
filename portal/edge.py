"""Where a request crosses from the event loop into a thread, once, and becomes a Visit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from anyio import to_thread
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from core import clock, logins
from core.errors import CallerError, Transient
from portal import faults, frame
from portal.cookies import Jar
from portal.uploads import PLAIN_FORM, Form, forget, length, read_form
from portal.visit import (
    KINDS,
    Area,
    Refused,
    SignInFirst,
    Site,
    Visit,
    cookie_of,
    peer_of,
    recall,
    require_same_origin,
    require_token,
)

SAFE = frozenset({"GET", "HEAD"})

Handler = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one address before its handler sees a request."""

    area: Area = "portal"
    files: bool = False
    """Whether its form may bring files."""
    hashes: bool = False
    """Whether it checks passwords."""


_PLAIN = Rules()


def page(handler: Handler, rules: Rules = _PLAIN) -> Endpoint:
    """Return the endpoint that runs `handler` in a thread, inside a reading session.

    An unsafe request is refused unless it comes from our own page with that page's token.
    """

    async def endpoint(request: Request) -> Response:
        try:
            return await cross(request)
        except (CallerError, Transient, HTTPException):
            raise
        except Exception as fault:  # noqa: BLE001 - answered here, so that the connection lives on
            return faults.our_error(request, fault)

    async def cross(request: Request) -> Response:
        site: Site = request.app.state.site
        form = Form()
        if request.method not in SAFE:
            require_same_origin(request, site.settings)
            if rules.files and length(request) > PLAIN_FORM:
                await to_thread.run_sync(
                    _admit_large, site, request, rules.area, limiter=site.page_threads
                )
            form = await read_form(request, files=rules.files)
        limiter = site.hashing_threads if rules.hashes else site.page_threads
        try:
            return await to_thread.run_sync(
                _answer, handler, rules, site, request, form, limiter=limiter
            )
        finally:
            await forget(form)

    return endpoint


def _admit_large(site: Site, request: Request, area: Area) -> None:
    """Let a large body be read: of who is signed in, or of a browser that our page was sent to.

    The form's own token comes inside the body, so this is what is known before. Raises
    SignInFirst, Refused, TooManyAttempts.
    """
    now, kind = clock.now(), KINDS[area]
    cookies = Jar(request, secure=site.settings.secure)
    with site.store.read() as session:
        if logins.recall(session, kind, cookies.get(cookie_of(kind)), now=now):
            return
    if area == "console":
        raise SignInFirst(area)
    if not cookies.get("stranger"):
        raise Refused
    # Whoever opens our page has the cookie: what they send is bounded by their address.
    site.bytes_sent.act(peer_of(request), amount=length(request), now=now)


def _answer(handler: Handler, rules: Rules, site: Site, request: Request, form: Form) -> Response:
    with site.store.read() as session:
        visit = Visit(site, request, clock.now(), rules.area, form, session)
        try:
            recall(visit)
            if request.method not in SAFE:
                require_token(visit)
                # What is read from here on is read anew: the handler changes things.
                session.close()
            response = _handle(handler, visit)
        except SignInFirst as fault:
            response = _to_sign_in(visit, fault)
        except CallerError as fault:
            if not visit.wants_json:
                raise
            response = visit.json({"error": str(fault)}, status=faults.status_of(fault))
        visit.cookies.write(response)
        return response


def _handle(handler: Handler, visit: Visit) -> Response:
    try:
        return handler(visit)
    except IntegrityError:
        # The same form twice at the same moment: the second one finds what the first one made.
        visit.session.close()
        return handler(visit)


def _to_sign_in(visit: Visit, fault: SignInFirst) -> Response:
    if visit.wants_json:
        return visit.json({"error": str(fault)}, status=401)
    urls = frame.CONSOLE if fault.area == "console" else frame.PORTAL
    request = visit.request
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = f"?next={quote(here)}" if request.method in SAFE else ""
    return visit.go(urls["sign_in"] + asked)
