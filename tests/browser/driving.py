"""Driving the pages as people do: launch flags, a watch over what must never happen, signing in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from tests.acceptance.product import PASSWORD, Product
from tests.acceptance.services import chromium

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
CONTEXT: Mapping[str, Any] = {
    "locale": "it-IT",
    "timezone_id": "Europe/Rome",
    "viewport": {"width": 1280, "height": 900},
}
# Generous: machines that run tests are shared.
expect.set_options(timeout=20_000)

#: What the browser itself says on its console while the server is away or refuses, as it must.
_NETWORK = re.compile(r"Failed to load resource|WebSocket connection to .* failed")


def launch_arguments() -> dict[str, Any]:
    """Return how Chromium is started; no test goes on where there is none."""
    return {"executable_path": chromium(), "args": list(FLAGS)}


class Watch:
    """Collects what a page must not do: script errors, console errors, requests to others."""

    def __init__(self, product: Product) -> None:
        """Know which address is ours."""
        self._ours = urlsplit(product.portal).netloc
        self.faults: list[str] = []
        #: Set while the server is meant to be away: then failing requests are no fault.
        self.away = False

    def over(self, page: Page) -> Page:
        """Watch a page from its first request on."""
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("console", self._said)
        page.on("request", self._asked)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        expected = self.away and _NETWORK.search(message.text)
        if message.type == "error" and not expected:
            where = message.location.get("url", "")
            self.faults.append(f"console: {message.text} ({where})")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self._ours:
            self.faults.append(f"foreign request: {request.url}")


def watching(product: Product) -> Iterator[Watch]:
    """Fail, in the end, a test in which something happened that must not."""
    watch = Watch(product)
    yield watch
    if watch.faults:
        pytest.fail("\n".join(dict.fromkeys(watch.faults)))


def sign_in_operator(page: Page, product: Product, email: str, password: str = PASSWORD) -> None:
    """Sign an Operator in by the form; ends on the queue."""
    page.goto(f"{product.portal}/console")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Accedi").click()
    expect(page).to_have_url(re.compile(r"/console$"))


def sign_in_requester(page: Page, product: Product, email: str, password: str = PASSWORD) -> None:
    """Sign a Requester in by the form; ends on the list of their Tickets."""
    page.goto(f"{product.portal}/richieste")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.locator("main").get_by_role("button", name="Accedi").click()
    expect(page.get_by_role("heading", name="Le mie richieste")).to_be_visible()


def without_reload(page: Page) -> None:
    """Mark a page; `not_reloaded` then proves that it is still the same one."""
    page.evaluate("window.marked = true")


def not_reloaded(page: Page) -> None:
    """Fail where the page was loaded again since it was marked."""
    assert page.evaluate("window.marked") is True, "the page was reloaded"
