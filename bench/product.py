"""Sportello as people start it: `sportello serve` on a data folder, and an Operator's browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.measure import GivenUp
from bench.world import PASSWORD, operator_address

_CSRF = re.compile(r'name="csrf"[^>]*(?:content|value)="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Product:
    """A running `sportello serve`."""

    process: subprocess.Popen[str]
    url: str
    begun: float
    """When it was started, by `time.perf_counter`."""

    def cpu(self) -> float:
        """Return the CPU seconds of all its processes so far."""
        parent = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    def get(self, path: str, browser: httpx.Client | None = None) -> httpx.Response:
        """Open a page, waiting for the server to come up; raises GivenUp where it does not."""
        try:
            return (browser or httpx.Client(timeout=60)).get(self.url + path)
        except httpx.HTTPError as fault:
            raise GivenUp(f"the portal does not answer: {fault}") from fault


@contextmanager
def serving(folder: Path, **settings: str | int) -> Iterator[Product]:
    """Run `sportello serve` on a data folder until the block ends."""
    program = Path(sys.executable).with_name("sportello")
    said = {f"SPORTELLO_{name.upper()}": str(value) for name, value in settings.items()}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [str(program), "serve", "--data", str(folder), "--port", "0", "--smtp-port", "0"],
        env=os.environ | said,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(folder / "log.txt").open("w"),
        text=True,
    )
    try:
        yield Product(process, _address(process, folder), begun)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen[str], folder: Path) -> str:
    assert process.stdout
    for line in process.stdout:
        name, _, address = line.strip().partition(": ")
        if name == "portal":
            return address
    words = (folder / "log.txt").read_text().strip().splitlines()
    raise GivenUp(f"`sportello serve` does not start: {words[-1] if words else 'no words'}")


def token(page: httpx.Response) -> str:
    """Return the form token of a page; raises GivenUp where it has none."""
    found = _CSRF.search(page.text)
    if found is None:
        raise GivenUp(f"no form on {page.url} ({page.status_code})")
    return found[1]


def sign_in(product: Product, number: int = 1) -> httpx.Client:
    """Return the browser of an Operator who has signed in."""
    browser = httpx.Client(base_url=product.url, timeout=60)
    form = {
        "csrf": token(product.get("/console/accedi", browser)),
        "login": operator_address(number),
        "password": PASSWORD,
    }
    answer = browser.post("/console/accedi", data=form)
    if not answer.is_redirect:
        raise GivenUp(f"nobody can sign in ({answer.status_code})")
    return browser
