"""Puts the portal together: addresses, headers, errors, files, live endpoint; starts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from servestatic import ServeStaticASGI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from core.changes import Changes
from core.db import Store
from core.errors import CallerError, Transient
from portal import faults
from portal.edge import Handler, Rules, page
from portal.headers import SecurityHeaders
from portal.live import Hub, live, long_poll
from portal.pages import access, catcher, chat, console, files, home, mail, requests
from portal.templating import BUILT, STATIC, Templates
from portal.visit import PortalSettings, Site

CONSOLE = Rules(area="console")
CONSOLE_SIGN_IN = Rules(area="console", hashes=True)
CONSOLE_FILES = Rules(area="console", files=True)
FILES = Rules(files=True)
SIGN_IN = Rules(hashes=True)


def create_site(
    store: Store, settings: PortalSettings, changes: Changes, *, built: Path = BUILT
) -> ASGIApp:
    """Return the portal as an ASGI application.

    `changes` need not have started; `built` is where the front end's build lies. Nothing is read
    from the store before the first page, and `/healthz` never reads it.
    """
    site = Site(store, settings, Templates(built=built))
    hub = Hub(site, changes)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.start()
        yield
        hub.stop()

    app = FastAPI(
        routes=[*_routes(), WebSocketRoute("/live", live), *_desk_routes()],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        exception_handlers={
            CallerError: faults.caller_error,
            Transient: faults.transient_error,
            HTTPException: faults.http_error,
        },
    )
    app.state.site, app.state.hub = site, hub
    return SecurityHeaders(_with_files(app, built), secure=settings.secure)


async def healthz(_: Request) -> Response:
    """Say that this process answers."""
    return PlainTextResponse("ok")


def _routes() -> Sequence[BaseRoute]:
    return [
        Route("/healthz", healthz),
        Route("/", page(home.home)),
        *_form("/accedi", access.sign_in_form, access.sign_in, SIGN_IN),
        _post("/esci", access.sign_out),
        *_form("/account", access.account, access.change_password, SIGN_IN),
        Route("/richieste", page(requests.requests)),
        *_form("/richieste/{conversation}", requests.request, requests.answer, FILES),
        Route("/richieste/{conversation}/messaggi", long_poll(page(requests.following))),
        Route("/allegati/{attachment}", page(files.attachment)),
        Route("/messaggi/{message}/html", page(files.mail_html)),
        *_console_routes(),
        Route("/demo/posta", page(catcher.catcher, CONSOLE)),
        Route("/demo/posta/{name}", page(catcher.caught, CONSOLE)),
        Route("/demo/posta/{name}/originale", page(catcher.original, CONSOLE)),
        Route("/demo/posta/{name}/file/{number}", page(catcher.file, CONSOLE)),
    ]


def _console_routes() -> Sequence[BaseRoute]:
    ticket = "/console/ticket/{ticket}"
    return [
        *_form(
            "/console/accedi",
            access.operator_sign_in_form,
            access.operator_sign_in,
            CONSOLE_SIGN_IN,
        ),
        _post("/console/esci", access.operator_sign_out, CONSOLE),
        *_form(
            "/console/account",
            access.operator_account,
            access.change_operator_password,
            CONSOLE_SIGN_IN,
        ),
        Route("/console", page(console.queue, CONSOLE)),
        Route(ticket, page(console.ticket, CONSOLE)),
        Route(f"{ticket}/messaggi", long_poll(page(console.following, CONSOLE))),
        _post(f"{ticket}/messaggi", console.say, CONSOLE_FILES),
        _post(f"{ticket}/prendi", console.take, CONSOLE),
        _post(f"{ticket}/risolvi", console.solve, CONSOLE),
        _post(f"{ticket}/chiudi", console.close, CONSOLE),
        _post(f"{ticket}/riapri", console.reopen, CONSOLE),
        _post(f"{ticket}/invii/{{delivery}}/riprova", console.resend, CONSOLE),
        Route("/console/posta", page(mail.mails, CONSOLE)),
        Route("/console/posta/{mail}", page(mail.mail, CONSOLE)),
        Route("/console/posta/{mail}/originale", page(mail.source, CONSOLE)),
        _post("/console/posta/{mail}/riprova", mail.retry, CONSOLE),
        _post("/console/posta/{mail}/ammetti", mail.admit, CONSOLE),
        _post("/console/posta/{mail}/archivia", mail.archive, CONSOLE),
        _post("/console/posta/invii/{delivery}/riprova", mail.resend, CONSOLE),
    ]


def _desk_routes() -> Sequence[BaseRoute]:
    # Last: a desk's code is a first part that nothing else has taken.
    return [
        Route("/{desk}", page(home.desk)),
        *_form("/{desk}/chat", chat.chat, chat.write, FILES),
        Route("/{desk}/chat/messaggi", long_poll(page(chat.following))),
    ]


def _form(path: str, show: Handler, take_in: Handler, rules: Rules) -> Sequence[BaseRoute]:
    plain = Rules(area=rules.area)
    return [Route(path, page(show, plain)), _post(path, take_in, rules)]


def _post(path: str, handler: Handler, rules: Rules | None = None) -> Route:
    return Route(path, page(handler, rules or Rules()), methods=["POST"])


def _with_files(app: ASGIApp, built: Path) -> ASGIApp:
    """Serve the built files beside the application: precompressed, and for ever by hashed names."""
    if not built.is_dir():
        return app
    hashed = r"^.+\.[0-9A-Z]{8}\.[a-z0-9]+$"
    served: ASGIApp = ServeStaticASGI(
        app, root=built, prefix=STATIC, immutable_file_test=hashed, allow_all_origins=False
    )
    return served
