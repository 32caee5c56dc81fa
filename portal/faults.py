"""Turns errors into answers: which status, which page, and an incident's code for ours."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from core.errors import CallerError, Conflict, NotAllowed, NotFound, NotPossible
from core.logins import TooManyAttempts, spoken
from portal import frame
from portal.uploads import TooLarge
from portal.visit import SignInFirst, Site, wants_json

#: Error -> status; the first that fits counts.
STATUS: tuple[tuple[type[CallerError], int], ...] = (
    (NotFound, 404),
    (NotAllowed, 403),
    (SignInFirst, 401),
    (TooManyAttempts, 429),
    (TooLarge, 413),
    (Conflict, 409),
    (NotPossible, 409),
    (CallerError, 400),
)
#: Statuses that templates/error.html has words for; a page that asks otherwise is answered by 400.
_SPOKEN = frozenset({400, 403, 404, 405, 413, 429, 500, 503})

_log = structlog.get_logger(__name__)


def status_of(fault: CallerError) -> int:
    """Return the HTTP status that says whose fault it was."""
    return next(status for kind, status in STATUS if isinstance(fault, kind))


async def caller_error(request: Request, fault: Exception) -> Response:
    """Answer somebody who asked for what is not possible."""
    assert isinstance(fault, CallerError)  # noqa: S101 - registered for no other
    wait = fault.seconds if isinstance(fault, TooManyAttempts) else None
    return _answer(request, status_of(fault), text=str(fault), wait=wait)


async def http_error(request: Request, fault: Exception) -> Response:
    """Answer an address that is not there, a method that is not meant, a form that is broken."""
    assert isinstance(fault, HTTPException)  # noqa: S101 - registered for no other
    response = _answer(request, fault.status_code, text=str(fault.detail))
    response.headers.update(fault.headers or {})
    return response


async def transient_error(request: Request, fault: Exception) -> Response:
    """Answer while the store does not."""
    _log.warning("portal.unavailable", path=request.url.path, fault=str(fault))
    response = _answer(request, 503, text="Servizio momentaneamente non disponibile.")
    response.headers["Retry-After"] = "5"
    return response


def our_error(request: Request, fault: Exception) -> Response:
    """Answer after a fault of ours, with the code under which the log has it."""
    incident = token_hex(6)
    _log.error("portal.failed", incident=incident, path=request.url.path, exc_info=fault)
    return _answer(request, 500, text=f"Errore interno ({incident}).", incident=incident)


def _answer(
    request: Request,
    status: int,
    *,
    text: str,
    wait: int | None = None,
    incident: str | None = None,
) -> Response:
    headers = {"Retry-After": str(wait)} if wait else {}
    if wants_json(request):
        return JSONResponse({"error": text}, status, headers)
    site: Site = request.app.state.site
    code = status if status in _SPOKEN else 400
    error = {"code": code, "retry_text": spoken(wait) if wait else None, "incident": incident}
    context: dict[str, Any] = {
        "lang": "it",
        "csrf": "",
        "site": frame.SITE,
        "urls": frame.PORTAL,
        "person": None,
        "nav": [],
        "notices": [],
        "desk": None,
        "error": error,
    }
    return HTMLResponse(site.templates.render("error.html", context), status, headers)
