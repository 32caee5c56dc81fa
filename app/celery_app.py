"""The scaled binding: Celery on RabbitMQ, fed from the outbox; a task carries one row's id.

The row is the truth: a broker that was flushed, restarted or away loses nothing, because a sweep
puts what is due on the queue again, and a task for a row that is done does nothing.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import structlog
from celery import Celery, signals

from app.jobs import RECURRING, job_list
from app.observability import start_logging
from app.runner import Runner
from app.wiring import bind_broker, courier, open_installation
from config.settings import Settings, load
from core import clock, outbox

#: Seconds between two looks for rows that no task came for.
SWEEP_SECONDS = 5
#: A row that is due for longer has probably lost its task.
OVERDUE = timedelta(seconds=10)
#: Rows that one look puts on the queue.
SWEEP_ROWS = 1_000
#: Seconds during which a broker that is away is not asked again.
AWAY_SECONDS = 5.0
#: Entries that may wait to be announced.
ANNOUNCED_AHEAD = 10_000
#: Seconds that an ending process gives to what is not yet announced.
DRAIN_SECONDS = 2.0

RUN_ENTRY = "sportello.run_entry"
SWEEP = "sportello.sweep"
RECUR = "sportello.recur"

_log = structlog.get_logger(__name__)


def celery_app(settings: Settings) -> Celery:
    """Return the Celery application of an installation; with no worker around it, only a sender."""
    app = Celery("sportello", broker=settings.broker)
    app.conf.update(
        task_default_queue=settings.queue,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=4,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"confirm_publish": True},
        timezone="UTC",
        beat_schedule={
            "sweep": {"task": SWEEP, "schedule": SWEEP_SECONDS},
            **{
                job.name: {
                    "task": RECUR,
                    "schedule": job.every.total_seconds(),
                    "args": [job.name],
                }
                for job in RECURRING
            },
        },
    )
    return app


class Announcer:
    """Tells the broker of committed Outbox entries, from a thread of its own.

    Nobody who commits waits for a broker: one that blocks its publishers would hold them for ever.
    What it is not told of, the sweep makes up for.
    """

    def __init__(self, settings: Settings) -> None:
        """Send to the installation's broker; the thread starts with the first entry."""
        self._app = celery_app(settings)
        self._away_until = 0.0
        self._ids: queue.Queue[int] = queue.Queue(maxsize=ANNOUNCED_AHEAD)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __call__(self, entry_ids: Sequence[int]) -> None:
        """Have one task sent an entry; those beyond ANNOUNCED_AHEAD are left to the sweep."""
        self._start()
        with suppress(queue.Full):
            for entry_id in entry_ids:
                self._ids.put_nowait(entry_id)

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait until all is sent or dropped, so long at most; return whether it is."""
        deadline = time.monotonic() + seconds
        while self._ids.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self._ids.unfinished_tasks

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()
                # A command that puts work and ends shall still tell of it.
                atexit.register(self.drain)

    def _run(self) -> None:
        while True:
            entry_id = self._ids.get()
            try:
                self._send(entry_id)
            finally:
                self._ids.task_done()

    def _send(self, entry_id: int) -> None:
        if time.monotonic() < self._away_until:
            return
        try:
            self._app.send_task(RUN_ENTRY, args=[entry_id], retry=False)
        except Exception as fault:  # noqa: BLE001 - the commit stands, whatever the broker says
            self._away_until = time.monotonic() + AWAY_SECONDS
            _log.warning("broker.away", fault=f"{type(fault).__name__}: {fault}"[:300])


class _Worker:
    """What a worker process of Celery holds: opened after the fork, never before."""

    def __init__(self) -> None:
        settings = load()
        start_logging(settings)
        here = open_installation(settings)
        bind_broker(here)
        self.store = here.store
        self.runner = Runner(here.store, job_list(courier(settings)))
        self.announce = Announcer(settings)
        self.runner.start()


def run_worker(settings: Settings, *, concurrency: int) -> None:
    """Work off the queue until SIGTERM, in `concurrency` processes."""
    # Its processes open the installation themselves, from their environment.
    os.environ.update(settings.environment())
    app = _with_tasks(celery_app(settings))
    app.worker_main(
        [
            "worker",
            f"--concurrency={concurrency}",
            "--loglevel=WARNING",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def run_beat(settings: Settings) -> None:
    """Tick until SIGTERM: one beat an installation."""
    schedule = settings.data / "beat-schedule"
    app = _with_tasks(celery_app(settings))
    app.Beat(loglevel="WARNING", schedule=str(schedule)).run()


class _Tasks:
    """The tasks of one worker process; what they work with is opened when first needed."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._opened: _Worker | None = None

    @property
    def worker(self) -> _Worker:
        self._opened = self._opened or _Worker()
        return self._opened

    def run_entry(self, entry_id: int) -> None:
        """Run one Outbox entry, unless it is done or in other hands."""
        self.worker.runner.run_entry(entry_id)

    def sweep(self) -> None:
        """Put on the queue what is due and has lost its task."""
        if self._waiting() >= SWEEP_ROWS:
            # A backlog is no loss: more tasks for the same rows would only lengthen it.
            return
        with self.worker.store.read() as session:
            late = outbox.overdue(session, before=clock.now() - OVERDUE, limit=SWEEP_ROWS)
        self.worker.announce(late)

    def recur(self, name: str) -> None:
        """Run one of the recurring sweeps."""
        for job in RECURRING:
            if job.name == name:
                job.work(self.worker.store)

    def _waiting(self) -> int:
        with self._app.connection_for_read() as connection:
            queue = connection.default_channel.queue_declare(
                self._app.conf.task_default_queue, passive=True
            )
        return int(queue.message_count)


def _with_tasks(app: Celery) -> Celery:
    tasks = _Tasks(app)
    app.task(tasks.run_entry, name=RUN_ENTRY, typing=False)
    app.task(tasks.sweep, name=SWEEP, typing=False)
    app.task(tasks.recur, name=RECUR, typing=False)
    # Not before the fork: a database connection must not be shared by two processes.
    signals.worker_process_init.connect(lambda **_: tasks.worker, weak=False)
    return app
