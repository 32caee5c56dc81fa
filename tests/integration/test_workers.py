"""Batches and topics of the workers: in which order rows are held, and what waits for nobody."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.inline_worker import InlineWorker
from app.jobs import RECURRING, Handler
from app.runner import MOST_CLAIMS, Runner
from core import clock, outbox, sweeps
from core.changes import Changes
from core.db import Store
from core.errors import Transient
from core.model import EntryState, OutboxEntry
from tests.world import MONDAY


@pytest.fixture(autouse=True)
def _monday(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: MONDAY)


class Book:
    """A handler that notes what it records."""

    def __init__(self, **options: Any) -> None:
        self.recorded: list[int] = []
        usual: dict[str, Any] = {"attempts": 5, "together": True}
        self.handler = Handler(
            think=self.think, record=self.record, failed=self.failed, **usual | options
        )

    def think(self, _store: Store, payload: dict[str, Any]) -> int:
        number: int = payload["number"]
        return number

    def record(self, _session: Session, thought: Any, /, *, now: datetime) -> None:
        assert now == MONDAY
        self.recorded.append(thought)

    def failed(self, *_: Any, **__: Any) -> None:
        """Note nothing."""


def put(store: Store, *numbers: int, topic: str = "test.work") -> None:
    """Put work in the outbox."""
    with store.begin() as session:
        outbox.put_all(session, topic, [{"number": one} for one in numbers], now=MONDAY)


def states(store: Store) -> list[EntryState]:
    """Return the states of all entries, oldest first."""
    with store.read() as session:
        return [one.state for one in session.query(OutboxEntry).order_by(OutboxEntry.id)]


def test_a_batch_holds_its_rows_in_one_order(store: Store) -> None:
    book = Book(locks=lambda number: number % 10)
    put(store, 12, 31, 22, 11)
    assert Runner(store, {"test.work": book.handler}).run_due() == 4
    assert book.recorded == [31, 11, 12, 22]


def test_a_channel_that_is_down_is_not_asked_for_each_entry(store: Store) -> None:
    asked: list[int] = []

    def down(_store: Store, payload: dict[str, Any]) -> int:
        asked.append(payload["number"])
        raise Transient("the relay is away", channel_down=True)

    book = Book(attempts=None, together=False, own_threads=True)
    away = Handler(
        think=down,
        record=book.record,
        failed=book.failed,
        attempts=None,
        together=False,
        own_threads=True,
    )
    put(store, *range(20))
    runner = Runner(store, {"test.work": away})
    while runner.run_due():
        pass
    assert len(asked) <= 2
    with store.read() as session:
        tried = session.query(OutboxEntry).filter(OutboxEntry.due_at > MONDAY).count()
    assert tried <= 2


def test_a_slow_peer_holds_up_nothing_else(store: Store) -> None:
    release, intake = threading.Event(), threading.Event()

    def slow(_store: Store, _payload: dict[str, Any]) -> int:
        assert release.wait(timeout=60)
        return 0

    def quick(_store: Store, _payload: dict[str, Any]) -> int:
        intake.set()
        return 0

    def handler(think: Any, *, own: bool) -> Handler:
        book = Book()
        return Handler(
            think=think,
            record=book.record,
            failed=book.failed,
            attempts=None,
            together=False,
            own_threads=own,
        )

    put(store, *range(50), topic="test.slow")
    handlers = {"test.slow": handler(slow, own=True), "test.quick": handler(quick, own=False)}
    worker = InlineWorker(store, Runner(store, handlers), Changes(store), threads=2)
    worker.start()
    try:
        put(store, 1, topic="test.quick")
        assert intake.wait(timeout=20)
    finally:
        release.set()
        worker.stop()


def test_what_kills_its_worker_ends_though_its_tries_are_not_counted(store: Store) -> None:
    book = Book(attempts=None, together=False)
    put(store, 1)
    with store.begin() as session:
        session.execute(update(OutboxEntry).values(attempts=MOST_CLAIMS))
    Runner(store, {"test.work": book.handler}).run_due()
    assert book.recorded == []
    assert states(store) == [EntryState.GIVEN_UP]


def test_a_sweep_goes_on_until_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "AT_ONCE", 2)
    put(store, *range(5))
    with store.begin() as session:
        long_ago = MONDAY - sweeps.DONE_WORK_KEPT * 2
        session.execute(update(OutboxEntry).values(state=EntryState.DONE, created_at=long_ago))
    for job in RECURRING:
        job.work(store)
    assert states(store) == []
