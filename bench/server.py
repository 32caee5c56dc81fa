"""What is measured, each in a process of its own: `python -m bench.server KIND [FOLDER]`.

Prints its port and serves until it is ended. `discard` and `files` are the limits that intake is
compared with: the same aiosmtpd on the same event loop, that keeps nothing, or one fsynced file a
mail. `mail` and `worker` are Sportello's processes, but for one thing: what goes out is not sent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy.orm import Session as StoreSession

from app.inline_worker import InlineWorker
from app.jobs import Handler
from app.processes import THREADS
from app.runner import Runner
from app.wiring import install_desks
from bench.world import open_world
from core import mailbox, notifications
from core.changes import Changes
from core.db import Store
from mail_ingest import intake
from mail_ingest.arrival import Listen
from mail_ingest.smtp_server import MailServer
from mail_ingest.spool import SpoolWriter


class Discard:
    """Takes every mail and forgets it."""

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 OK"


class Files:
    """Writes every mail to a file of its own, fsynced with its folder before the answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        await asyncio.get_running_loop().run_in_executor(None, self._write, content)
        return "250 OK"

    def _write(self, content: bytes) -> None:
        with (self._folder / uuid4().hex).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        handle = os.open(self._folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def reference(handler: Discard | Files) -> None:
    """Serve a plain aiosmtpd."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: SMTP(handler, loop=loop, enable_SMTPUTF8=True), "127.0.0.1", 0, backlog=512
        )
        _tell(listening.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def mail(folder: Path) -> None:
    """Serve Sportello's listener and spool."""
    store = open_world(folder)
    with ExitStack() as stack:
        spool = SpoolWriter(store, install_desks(store))
        spool.start()
        stack.callback(spool.stop)
        listener = MailServer(spool, Listen())
        port = listener.start()[1]
        stack.callback(listener.stop)
        _wait(port)


class _NotSent:
    """Stands where the courier does: takes what goes out and leaves it."""

    def think(self, _store: Store, _payload: dict[str, Any]) -> None:
        """Do nothing."""

    def record(self, _session: StoreSession, _thought: None, *, now: datetime) -> None:
        """Write nothing."""

    def failed(self, *_: object, **__: object) -> None:
        """Nothing can fail here."""


def worker(folder: Path) -> None:
    """Run Sportello's worker process; mails that go out are rendered, claimed and not sent."""
    store = open_world(folder)
    courier = _NotSent()
    handlers = {
        mailbox.PROCESS: Handler(
            think=intake.think,
            record=intake.record,
            failed=intake.failed,
            attempts=5,
            together=True,
        ),
        notifications.DELIVER: Handler(
            think=courier.think,
            record=courier.record,
            failed=courier.failed,
            attempts=None,
            together=True,
        ),
    }
    changes = Changes(store)
    working = InlineWorker(store, Runner(store, handlers), changes, threads=THREADS)
    with ExitStack() as stack:
        working.start()
        stack.callback(working.stop)
        changes.start()
        stack.callback(changes.stop)
        _wait(0)


def _tell(port: int) -> None:
    print(port, flush=True)


def _wait(port: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    _tell(port)
    stop.wait()


KINDS: dict[str, Callable[[Path], None]] = {
    "discard": lambda _: reference(Discard()),
    "files": lambda folder: reference(Files(folder)),
    "mail": mail,
    "worker": worker,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](Path(sys.argv[2] if len(sys.argv) > 2 else "."))
