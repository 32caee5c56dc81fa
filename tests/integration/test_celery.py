"""The scaled binding on a real broker: the row is the truth, a lost task loses nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select, update

from app import celery_app as binding
from app.celery_app import OVERDUE, Announcer, celery_app
from config.settings import Settings
from core import clock, mailbox, migrate
from core.model import Desk, EntryState, OutboxEntry
from tests import world as the_world
from tests.acceptance.product import Process, until
from tests.acceptance.services import BROKER, Scaled, scaled
from tests.mailroom import Mailroom
from tests.world import World

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq, pytest.mark.faults, pytest.mark.slow]


class Scale:
    """A store and a queue of their own, with worker processes on them."""

    def __init__(self, services: Scaled, folder: Path, stack: ExitStack) -> None:
        """Migrate the store and fill it; no process runs yet."""
        self.services, self.folder, self.stack = services, folder, stack
        self.settings = Settings(
            data=folder,
            database=services.environment["SPORTELLO_DATABASE"],
            broker=BROKER,
            queue=services.name,
        )
        self.store = the_world.open_store(self.settings.store_url, folder)
        stack.callback(self.store.close)
        migrate.upgrade(self.store)
        self.mailroom = Mailroom(World(the_world.fill(self.store).store))
        self.mailroom.world.now = clock.now()
        self.mailroom.world.desk_ids = {
            desk.code: desk.id
            for desk in self.mailroom._all(select(Desk))  # noqa: SLF001 - a test's own helper
        }
        self.announcer = Announcer(self.settings)

    def accept(self, mails: int = 1) -> None:
        """Accept mails; who asked is told after the commit, as in the process of the listener."""
        for _ in range(mails):
            self.mailroom.spool(self.mailroom.mail())

    def run(self, role: str) -> Process:
        """Start `sportello worker` or `beat`."""
        process = Process(
            [role, "--data", str(self.folder)],
            {**self.settings.environment(), "TZ": "Europe/Rome"},
            self.folder / f"{role}.log",
        )
        self.stack.callback(process.kill)
        return process

    def age(self, by: timedelta = OVERDUE + timedelta(seconds=1)) -> None:
        """Let time pass for all work that waits: leases have ended, tasks are overdue."""
        with self.store.begin() as session:
            session.execute(
                update(OutboxEntry)
                .where(OutboxEntry.state == EntryState.WAITING)
                .values(due_at=clock.now() - by)
            )

    def done(self, tickets: int) -> bool:
        """Say whether so many Tickets are there and no mail waits."""
        waiting = [
            one for one in self.mailroom.outbox(mailbox.PROCESS) if one.state is EntryState.WAITING
        ]
        return len(self.mailroom.tickets()) == tickets and not waiting


@pytest.fixture
def scale(tmp_path: Path) -> Iterator[Scale]:
    """Lend a store and a queue; processes are gone and so are both in the end."""
    with scaled() as services, ExitStack() as stack:
        yield Scale(services, tmp_path, stack)


def kill(process: Process) -> None:
    """Kill a worker with all its children, without a word."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in family:
        one.send_signal(signal.SIGKILL)
    process.kill()
    psutil.wait_procs(family[1:], timeout=10)


def test_committed_work_is_done_by_workers(scale: Scale) -> None:
    scale.store.on_committed_work(scale.announcer)
    scale.run("worker")
    scale.accept(10)
    until(lambda: scale.done(10), "ten Tickets", 60)
    # What a Message causes is announced by the worker's own commit: its delivery was tried.
    until(
        lambda: all(
            "sportello init" in (one.last_error or "")
            for one in scale.mailroom.outbox("mail.deliver")
        ),
        "each confirmation tried",
        60,
    )


def test_a_worker_killed_in_the_middle_loses_nothing(scale: Scale) -> None:
    scale.store.on_committed_work(scale.announcer)
    worker = scale.run("worker")
    with scale.store.begin() as session:
        # The worker has claimed the mail and waits here for the desk's next number.
        session.execute(select(Desk).with_for_update(key_share=True))
        scale.accept(3)
        until(
            lambda: any(one.claim for one in scale.mailroom.outbox(mailbox.PROCESS)), "a claim", 60
        )
        kill(worker)
    assert scale.mailroom.tickets() == []
    scale.age()
    scale.run("worker")
    scale.run("beat")
    until(lambda: scale.done(3), "three Tickets", 60)
    assert [one.disposition.value for one in scale.mailroom.ledger()] == ["accepted"] * 3


def test_a_queue_that_was_purged_is_filled_again(scale: Scale) -> None:
    scale.store.on_committed_work(scale.announcer)
    scale.accept(5)
    assert scale.announcer.drain(30)
    assert scale.services.purge() == 5
    scale.age()
    scale.run("worker")
    scale.run("beat")
    until(lambda: scale.done(5), "five Tickets", 60)


def test_a_broker_that_is_away_undoes_no_commit(scale: Scale) -> None:
    away = Announcer(scale.settings.model_copy(update={"broker": "amqp://127.0.0.1:9//"}))
    asked: list[str] = []
    real = away._app.send_task  # noqa: SLF001 - to count what is asked of the broker

    def send_task(name: str, **options: Any) -> Any:
        asked.append(name)
        return real(name, **options)

    away._app.send_task = send_task  # noqa: SLF001 - as above
    scale.store.on_committed_work(away)
    scale.accept(3)
    assert len(scale.mailroom.outbox(mailbox.PROCESS)) == 3
    assert away.drain(30)
    # It was asked once, and then left alone for a while.
    assert len(asked) == 1
    scale.age()
    scale.run("worker")
    scale.run("beat")
    until(lambda: scale.done(3), "three Tickets", 60)


def test_a_broker_that_blocks_its_publishers_holds_up_no_commit(scale: Scale) -> None:
    release = threading.Event()
    stuck = Announcer(scale.settings)
    stuck._app.send_task = lambda *_, **__: release.wait(60)  # noqa: SLF001 - as a memory alarm
    scale.store.on_committed_work(stuck)
    try:
        scale.accept(3)
        assert len(scale.mailroom.outbox(mailbox.PROCESS)) == 3
        assert not stuck.drain(0.1)
    finally:
        release.set()
    assert stuck.drain(30)


def test_a_backlog_is_not_doubled(scale: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "SWEEP_ROWS", 2)
    for name, value in scale.settings.environment().items():
        monkeypatch.setenv(name, value)
    app = celery_app(scale.settings)
    tasks = binding._Tasks(app)  # noqa: SLF001 - what a worker runs
    scale.store.on_committed_work(scale.announcer)
    scale.accept(2)
    assert scale.announcer.drain(30)
    announced: list[int] = []

    class Worker:
        store = scale.store

        def announce(self, ids: list[int]) -> None:
            announced.extend(ids)

    tasks._opened = Worker()  # type: ignore[assignment] # noqa: SLF001 - no second store here
    scale.age()
    tasks.sweep()
    assert announced == []
    scale.services.purge()
    tasks.sweep()
    assert len(announced) == 2
    app.close()


def test_a_task_that_comes_twice_is_done_once(scale: Scale) -> None:
    scale.accept(3)
    entries = [one.id for one in scale.mailroom.outbox(mailbox.PROCESS)]
    for _ in range(5):
        scale.announcer(entries)
    scale.run("worker")
    until(lambda: scale.done(3), "three Tickets", 60)
    assert {one.attempts for one in scale.mailroom.outbox(mailbox.PROCESS)} == {1}


def test_a_worker_ends_when_told(scale: Scale) -> None:
    scale.store.on_committed_work(scale.announcer)
    worker = scale.run("worker")
    scale.accept()
    until(lambda: scale.done(1), "a Ticket", 60)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.stop() == 0
