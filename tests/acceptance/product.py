"""The product as its users have it: the command, in processes of its own, reached by its addresses.

Nothing of it is imported; the store is only read, to see what stands in it at a given moment.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx
import psycopg
import pytest

from tests.acceptance.services import Scaled

COMMAND = str(Path(sys.executable).parent / "sportello")
#: Seconds until a start has printed its addresses and answers; generous, machines are shared.
START = 60.0
#: Seconds that a stop may take before it is enforced.
STOP = 25.0

ADMINISTRATOR = "ada@sportello.example"
PASSWORD = "cavallo batteria graffetta"

_SECRET_FREE = {name: value for name, value in os.environ.items() if "SPORTELLO_" not in name}


#: Who answers at the desk `rtpec` in most tests.
OPERATOR = "anna@sportello.example"


def until(met: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Wait until `met` returns something, and return it; fails by saying what did not come."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.05)
    return found


class Process:
    """One running `sportello` command; its standard output line by line, its errors in a file."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Start it."""
        self.lines: list[str] = []
        self.name = arguments[0]
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [COMMAND, *arguments],
                env={**_SECRET_FREE, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def address(self, name: str) -> str:
        """Wait for its line `name: address` and return the address."""

        def printed() -> str | None:
            if not self.alive:
                raise AssertionError(f"sportello {self.name} ended:\n{self.errors()}")
            found = (re.fullmatch(rf"{name}: (\S+)", line) for line in list(self.lines))
            return next((match[1] for match in found if match), None)

        address: str = until(printed, f"`{name}:` printed by sportello {self.name}", START)
        return address

    def errors(self) -> str:
        """Return the end of what it wrote to standard error."""
        return _end(self._log)

    def stop(self) -> int:
        """Ask it to end, enforce it in the end; returns its exit code."""
        if self.alive:
            self._process.terminate()
        try:
            return self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"sportello {self.name} did not end: {self.errors()}") from None

    def kill(self) -> None:
        """End it at once, without a word."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self.lines.append(line.rstrip("\n"))


class Product:
    """An installation with its processes: embedded (one `serve`) or scaled (one of each role)."""

    def __init__(
        self, folder: Path, *, scaled: Scaled | None = None, environment: Mapping[str, str] = {}
    ) -> None:
        """Describe it; nothing is made yet."""
        self.folder = folder
        self.data = folder / "data"
        self.scaled = scaled
        self.environment = {"TZ": "Europe/Rome", **(scaled.environment if scaled else {})}
        self.environment |= environment
        self.processes: dict[str, Process] = {}
        self.portal = ""
        self.smtp = ("", 0)

    # --- life ---------------------------------------------------------------------------------

    def init(self) -> None:
        """Make the installation and its first administrator."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment |= {
            "SPORTELLO_ADMIN_NAME": "Ada Bianchi",
            "SPORTELLO_ADMIN_EMAIL": ADMINISTRATOR,
            "SPORTELLO_ADMIN_PASSWORD": PASSWORD,
        }
        self.run("init", "--yes")

    def start(self, *options: str) -> None:
        """Start everything; a second start takes the addresses of the first again."""
        port, smtp_port = self.portal.rpartition(":")[2] or "0", str(self.smtp[1])
        if self.scaled:
            self._process("portal", "--port", port, *options)
            self._process("mail", "--smtp-port", smtp_port)
            self._process("worker")
            self._process("beat")
        else:
            self._process("serve", "--port", port, "--smtp-port", smtp_port, *options)
        self._reached("portal" if self.scaled else "serve", "mail" if self.scaled else "serve")

    def demo(self, *options: str) -> Process:
        """Start the demonstration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        demo = self._process("demo", "--port", "0", "--smtp-port", "0", *options)
        self._reached("demo", "demo")
        return demo

    def stop(self) -> None:
        """End every process as an administrator would."""
        processes, self.processes = list(self.processes.values()), {}
        for process in processes:
            if process.alive:
                os.kill(process.pid, signal.SIGTERM)
        try:
            for process in processes:
                process.stop()
        finally:
            for process in processes:
                process.kill()

    def kill(self) -> None:
        """End every process as a power cut would."""
        processes, self.processes = list(self.processes.values()), {}
        for process in processes:
            process.kill()

    def restart(self, name: str) -> Process:
        """Start one process of the scaled kind again, which was killed."""
        options = {
            "portal": ("--port", self.portal.rpartition(":")[2]),
            "mail": ("--smtp-port", str(self.smtp[1])),
        }
        return self._process(name, *options.get(name, ()))

    def errors(self) -> str:
        """Return what the processes wrote to standard error last."""
        logs = {log.name: _end(log) for log in sorted(self.folder.glob("*.log"))}
        return "\n".join(f"--- {name}\n{text}" for name, text in logs.items() if text)

    # --- commands -----------------------------------------------------------------------------

    def run(self, *arguments: str, typed: str = "") -> str:
        """Run a command to its end and return its standard output; fails where the command does."""
        done = subprocess.run(
            [COMMAND, *arguments, "--data", str(self.data)],
            env=_SECRET_FREE | self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=START,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"sportello {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def tickets(self, desk: str | None = None) -> list[dict[str, Any]]:
        """Return all Tickets as the command line tells them, newest first."""
        chosen = ["--desk", desk] if desk else []
        found: list[dict[str, Any]] = json.loads(self.run("tickets", "list", "--json", *chosen))
        return found

    def ticket(self, reference: str) -> dict[str, Any]:
        """Return one Ticket by `[desk #number]`, with Messages and Timeline."""
        found: dict[str, Any] = json.loads(self.run("tickets", "show", reference, "--json"))
        return found

    def add_operator(self, name: str, email: str, *, desk: str = "rtpec") -> None:
        """Add an Operator who signs in with PASSWORD."""
        arguments = ("operator", "add", name, email, "--desk", desk, "--ask-password")
        self.run(*arguments, typed=f"{PASSWORD}\n{PASSWORD}\n")

    def add_requester(self, name: str, email: str) -> None:
        """Register a Requester who signs in with PASSWORD."""
        self.run("requester", "add", name, email, "--ask-password", typed=f"{PASSWORD}\n" * 2)

    # --- the store, as it stands now ----------------------------------------------------------

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query says; a connection of its own sees only what is committed."""
        if self.scaled:
            with psycopg.connect(self.scaled.database) as served:
                return served.execute(query.encode()).fetchall()
        path = f"file:{self.data / 'sportello.sqlite'}?mode=ro"
        connection = sqlite3.connect(path, uri=True, timeout=30)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def dispositions(self) -> dict[str, int]:
        """Return how many mails of the ledger ended how."""
        counted = self.rows("SELECT disposition, count(*) FROM raw_mail GROUP BY disposition")
        return dict(counted)

    def wait_processed(self, seconds: float = 60.0) -> None:
        """Wait until no mail of the ledger waits for a worker."""
        until(lambda: not self.dispositions().get("waiting"), "all mail processed", seconds)

    def wait_quiet(self, seconds: float = 60.0) -> None:
        """Wait until no deferred work is left, outgoing mail included."""
        left = "SELECT count(*) FROM outbox_entry WHERE state NOT IN ('done', 'given_up')"
        until(lambda: self.rows(left) == [(0,)], "no deferred work left", seconds)

    def _process(self, name: str, *options: str) -> Process:
        arguments = [name, "--data", str(self.data), *options]
        process = Process(arguments, self.environment, self.folder / f"{name}.log")
        self.processes[name] = process
        return process

    def _reached(self, portal: str, mail: str) -> None:
        self.portal = self.processes[portal].address("portal")
        host, _, port = self.processes[mail].address("smtp").rpartition(":")
        self.smtp = (host, int(port))
        until(self._answers, "an answer of /healthz", START)

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.portal}/healthz", timeout=5).status_code == 200
        return False


@contextmanager
def installed(
    folder: Path, environment: Mapping[str, str], scaled: Scaled | None = None
) -> Iterator[Product]:
    """Make and start an installation with one Operator; it is stopped in the end."""
    product = Product(folder, scaled=scaled, environment=environment)
    product.init()
    product.add_operator("Anna Rossi", OPERATOR)
    try:
        product.start()
        yield product
    finally:
        product.stop()


def add_errors(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put what the products of a failed test had to say beside its failure."""
    if not report.failed:
        return
    for name, thing in getattr(item, "funcargs", {}).items():
        if isinstance(thing, Product):
            report.sections.append((f"standard error of the {name}", thing.errors()))


def _end(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-8_000:]
