"""A portal on a real port, and somebody who uses it: pages by httpx, live by websockets."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from core.changes import Changes
from core.db import Store
from portal.live import Hub
from portal.site import create_site
from tests.world import PASSWORD

_CSRF = re.compile(r'<meta name="csrf" content="([^"]*)">')
LOGINS = {
    "giulia": ("/accedi", "giulia.bianchi@comune.prato.example"),
    "marco": ("/accedi", "marco.neri@comune.siena.example"),
    "anna": ("/console/accedi", "anna.rossi@sportello.example"),
    "bruno": ("/console/accedi", "bruno.conti@sportello.example"),
}


@dataclass(frozen=True)
class TestSettings:
    """Settings of a portal under test."""

    __test__ = False

    data: Path
    demo: bool = True
    secure: bool = False
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()


class Server(uvicorn.Server):
    """A portal in a thread of this process."""

    def install_signal_handlers(self) -> None:
        """Leave the signals to pytest."""

    @property
    def address(self) -> str:
        """Where it listens, as `127.0.0.1:12345`."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    @property
    def hub(self) -> Hub:
        """What knows its live connections."""
        app: Any = self.config.app
        while not isinstance(app, FastAPI):
            app = app.application if hasattr(app, "application") else app._app  # noqa: SLF001 - a wrapper
        hub: Hub = app.state.hub
        return hub


@contextmanager
def serving(store: Store, settings: TestSettings, **options: Any) -> Iterator[Server]:
    """Run a portal on a free port; `options` are those of create_site."""
    changes = Changes(store)
    config = uvicorn.Config(
        create_site(store, settings, changes, **options),
        port=0,
        log_level="error",
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    changes.start()
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield server
    server.should_exit = True
    thread.join(timeout=10)
    changes.stop()


@dataclass
class Browser:
    """One person's browser: keeps cookies, brings a page's token back with each form."""

    address: str
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open the browser."""
        self.client = httpx.Client(base_url=f"http://{self.address}", timeout=30)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """Open an address; redirects are not followed."""
        return self.client.get(url, **options)

    def csrf(self, url: str) -> str:
        """Return the token of a page."""
        found = _CSRF.search(self.get(url).text)
        assert found is not None, f"{url} has no token"
        return found[1]

    def post(
        self, url: str, data: dict[str, Any] | None = None, *, page: str = "", **options: Any
    ) -> httpx.Response:
        """Send a form of `page` (or of the address itself), with that page's token."""
        token = self.csrf(page or url)
        return self.client.post(url, data={"csrf": token, **(data or {})}, **options)

    def sign_in(self, who: str, password: str = PASSWORD) -> httpx.Response:
        """Sign a person of the world in."""
        url, login = LOGINS[who]
        return self.post(url, {"login": login, "password": password})

    def write(
        self,
        url: str,
        text: str,
        *,
        page: str = "",
        client_id: str = "",
        script: bool = True,
        **fields: Any,
    ) -> httpx.Response:
        """Send a composer's form, as its script does or as a plain form."""
        files = fields.pop("files", None)
        data = {"text": text, "client_id": client_id or str(uuid4()), **fields}
        headers = {"Accept": "application/json"} if script else {}
        return self.post(url, data, page=page, headers=headers, files=files)

    @contextmanager
    def live(self, *, console: bool = False, **options: Any) -> Iterator[Live]:
        """Open the live socket of a page; `options` are those of websockets' connect."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())
        area = "?area=console" if console else ""
        headers = {"Cookie": cookies, "Origin": f"http://{self.address}"}
        url = f"ws://{self.address}/live{area}"
        with connect(url, additional_headers=headers, **options) as socket:
            yield Live(socket)

    def close(self) -> None:
        """Close the browser."""
        self.client.close()


@dataclass
class Live:
    """The live socket of one tab."""

    socket: ClientConnection

    def hello(
        self,
        streams: Sequence[tuple[int, int]] = (),
        *,
        view: str | None = None,
        token: str | None = None,
    ) -> None:
        """Say what the page follows, and from where."""
        told = [{"conversation": str(one), "after": after} for one, after in streams]
        frame = {
            "type": "hello",
            "streams": told,
            "queue": view is not None,
            "view": view,
            "token": token,
        }
        self.send(frame)

    def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        self.socket.send(json.dumps(frame))

    def next(self, kind: str, *, timeout: float = 5) -> dict[str, Any]:
        """Return the next frame of a kind, passing over others."""
        until = time.monotonic() + timeout
        while True:
            frame: dict[str, Any] = json.loads(
                self.socket.recv(timeout=max(0.01, until - time.monotonic()))
            )
            if frame["type"] == kind:
                return frame

    def all(self, *, seconds: float = 0.6) -> list[dict[str, Any]]:
        """Return every frame that comes within some time, or until the socket is closed."""
        found = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                found.append(json.loads(self.socket.recv(timeout=left)))
            except (TimeoutError, ConnectionClosed):
                break
        return found
