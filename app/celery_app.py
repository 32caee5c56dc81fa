"""The scaled binding: Celery on RabbitMQ, fed from the outbox; a task carries one row's id.

The row is the truth: a broker that was flushed, restarted or away loses nothing, because a sweep
puts what is due on the queue again, and a task for a row that is done does nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from celery import Celery, signals
from sqlalchemy import select

from app.jobs import RECURRING, job_list
from app.observability import start_logging
from app.runner import Runner
from app.wiring import bind_broker, courier, open_installation
from config.settings import Settings, load
from core import clock
from core.model import EntryState, OutboxEntry

#: Seconds between two looks for rows that no task came for.
SWEEP_SECONDS = 5
#: A row that is due for longer has probably lost its task.
OVERDUE = timedelta(seconds=10)
#: Rows that one look puts on the queue.
SWEEP_ROWS = 1_000
#: Seconds during which a broker that is away is not asked again.
AWAY_SECONDS = 5.0

RUN_ENTRY = "sportello.run_entry"
SWEEP = "sportello.sweep"
RECUR = "sportello.recur"

_log = structlog.get_logger(__name__)


def celery_app(settings: Settings) -> Celery:
    """Return the Celery application of an installation; without a worker around it, only a sender."""
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
    """Tells the broker of committed Outbox entries; a broker that is away is simply not told."""

    def __init__(self, settings: Settings) -> None:
        """Send to the installation's broker."""
        self._app = celery_app(settings)
        self._away_until = 0.0

    def __call__(self, entry_ids: Sequence[int]) -> None:
        """Send one task an entry; the sweep makes up for those that could not be sent."""
        if time.monotonic() < self._away_until:
            return
        try:
            for entry_id in entry_ids:
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


def _with_tasks(app: Celery) -> Celery:
    held: dict[str, _Worker] = {}

    def worker() -> _Worker:
        if "worker" not in held:
            held["worker"] = _Worker()
        return held["worker"]

    @signals.worker_process_init.connect(weak=False)
    def open_early(**_: Any) -> None:
        worker()

    @app.task(name=RUN_ENTRY)
    def run_entry(entry_id: int) -> None:
        worker().runner.run_entry(entry_id)

    @app.task(name=SWEEP)
    def sweep() -> None:
        here = worker()
        with here.store.read() as session:
            overdue = session.scalars(
                select(OutboxEntry.id)
                .where(
                    OutboxEntry.state == EntryState.WAITING,
                    OutboxEntry.due_at < clock.now() - OVERDUE,
                )
                .order_by(OutboxEntry.due_at)
                .limit(SWEEP_ROWS)
            ).all()
        here.announce(overdue)

    @app.task(name=RECUR)
    def recur(name: str) -> None:
        here = worker()
        with here.store.begin() as session:
            for job in RECURRING:
                if job.name == name:
                    job.run(session, now=clock.now())

    return app
