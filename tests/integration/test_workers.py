"""Batches and topics of the workers: in which order rows are held, and what waits for nobody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.jobs import Handler
from app.runner import Runner
from core import clock, outbox
from core.db import Store
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
