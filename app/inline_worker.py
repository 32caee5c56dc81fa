"""The embedded binding: threads that claim from the outbox, woken by the store's own changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime

import structlog

from app.jobs import RECURRING
from app.runner import Runner
from core import clock
from core.changes import Changes
from core.db import Store
from core.errors import SportelloError

#: Seconds that a worker sleeps at most: work that falls due later needs nobody to wake it.
IDLE_SECONDS = 1.0
#: Seconds that a stop waits for all threads: the supervisor kills after fifteen.
STOP_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class InlineWorker:
    """Worker threads of one process, and one that runs what recurs."""

    def __init__(self, store: Store, runner: Runner, changes: Changes, *, threads: int) -> None:
        """Work with `threads` threads, and one for each topic that waits for a peer.

        Nothing runs before `start`.
        """
        self._store = store
        self._runner = runner
        self._wake = threading.Condition()
        self._tick = 0
        self._stopping = False
        self._forget = changes.listen(lambda _: self._poke())
        shared, alone = runner.groups
        self._threads = [
            threading.Thread(
                target=self._work, args=(topics,), name=f"worker-{number}", daemon=True
            )
            for number, topics in enumerate([shared] * threads + alone)
        ]
        self._threads.append(threading.Thread(target=self._recur, name="recurring", daemon=True))

    def start(self) -> None:
        """Begin to work."""
        self._runner.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is being worked on, then end."""
        self._forget()
        self._stopping = True
        self._poke()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.1, deadline - time.monotonic()))
        self._runner.stop()

    def _poke(self) -> None:
        with self._wake:
            self._tick += 1
            self._wake.notify_all()

    def _work(self, topics: Sequence[str]) -> None:
        while not self._stopping:
            tick = self._tick
            try:
                if self._runner.run_due(topics):
                    continue
            except SportelloError as fault:
                _log.warning("worker.waits", fault=str(fault))
            except Exception:  # noqa: BLE001 - a worker that dies is work that stays undone
                _log.exception("worker.failed")
            with self._wake:
                # A change between the look and here must not be slept over.
                if self._tick == tick and not self._stopping:
                    self._wake.wait(IDLE_SECONDS)

    def _recur(self) -> None:
        due: dict[str, datetime] = {}
        while not self._stopping:
            now = clock.now()
            for job in RECURRING:
                if due.get(job.name, now) > now:
                    continue
                due[job.name] = now + job.every
                try:
                    job.work(self._store)
                except Exception:  # noqa: BLE001 - one sweep's fault must not end the others
                    _log.exception("sweep.failed", sweep=job.name)
            with self._wake:
                if not self._stopping:
                    self._wake.wait(IDLE_SECONDS * 10)
