"""Deferred work: claimed once each, leased, retried, set aside, and never lost with a worker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import inline_worker
from app.inline_worker import InlineWorker
from app.jobs import Handler, Recurring
from app.runner import Runner
from core import clock, mailbox, outbox
from core.changes import Changes
from core.db import Store
from core.errors import Permanent, Transient
from core.model import EntryState, OutboxEntry
from core.outbox import LEASE, Job
from tests.mailroom import KYBERNES, RTPEC, Mailroom
from tests.world import MONDAY, World, undone


def put(store: Store, *texts: str, topic: str = "test.work") -> list[int]:
    """Put work in the outbox and return its ids."""
    with store.begin() as session:
        outbox.put_all(session, topic, [{"text": one} for one in texts], now=MONDAY)
    with store.read() as session:
        return list(session.scalars(select(OutboxEntry.id).order_by(OutboxEntry.id)))[-len(texts) :]


def claim(store: Store, *, later: timedelta = timedelta(0), **chosen: Any) -> list[Job]:
    """Claim at some time after Monday noon."""
    with store.begin() as session:
        return outbox.claim(session, now=MONDAY + later, **chosen)


def entries(store: Store) -> list[OutboxEntry]:
    """Return all entries, oldest first."""
    with store.read() as session:
        return list(session.scalars(select(OutboxEntry).order_by(OutboxEntry.id)))


# --- the table ---------------------------------------------------------------------------------


def test_eight_workers_claim_two_thousand_entries_once_each(store: Store) -> None:
    ids = put(store, *(str(number) for number in range(2_000)))
    start = threading.Barrier(8)

    def work(_: int) -> list[int]:
        mine: list[int] = []
        start.wait(timeout=30)
        while jobs := claim(store):
            assert len(jobs) <= outbox.CLAIM
            mine += [job.id for job in jobs]
            with store.begin() as session:
                assert outbox.finish(session, jobs) == len(jobs)
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [one for share in pool.map(work, range(8)) for one in share]
    assert sorted(claimed) == ids
    assert {entry.state for entry in entries(store)} == {EntryState.DONE}
    assert {entry.attempts for entry in entries(store)} == {1}


def test_the_oldest_comes_first_and_what_is_not_due_waits(store: Store) -> None:
    with store.begin() as session:
        for minutes in (5, -1, 0, -2):
            due = MONDAY + timedelta(minutes=minutes)
            outbox.put(session, "test.work", {"text": str(minutes)}, now=MONDAY, due_at=due)
        assert outbox.next_due(session) == MONDAY - timedelta(minutes=2)
    assert [job.payload["text"] for job in claim(store, limit=1)] == ["-2"]
    assert {job.payload["text"] for job in claim(store)} == {"-1", "0"}
    assert claim(store) == []
    assert {job.payload["text"] for job in claim(store, later=timedelta(minutes=5))} == {
        "-2",
        "-1",
        "0",
        "5",
    }


def test_a_claim_may_be_narrowed(store: Store) -> None:
    first, second = put(store, "a", "b")
    put(store, "c", topic="other.work")
    assert [job.topic for job in claim(store, topics=["other.work"])] == ["other.work"]
    assert [job.id for job in claim(store, ids=[second])] == [second]
    assert claim(store, fresh=False) == []
    assert [job.id for job in claim(store, fresh=True)] == [first]
    late = timedelta(minutes=2)
    assert claim(store, later=late, fresh=True) == []
    assert len(claim(store, later=late, fresh=False)) == 3


def test_a_lease_ends_and_its_holder_then_records_nothing(store: Store) -> None:
    put(store, "a")
    [first] = claim(store)
    assert claim(store, later=LEASE - timedelta(seconds=1)) == []
    [second] = claim(store, later=LEASE)
    assert (second.id, second.attempts) == (first.id, 2)
    with store.begin() as session:
        assert outbox.finish(session, [first]) == 0
        assert not outbox.fail(session, first, ValueError(), retry=outbox.Retry(None, counted=True))
        assert outbox.finish(session, [second]) == 1
        assert outbox.finish(session, []) == 0


def test_a_renewed_lease_holds(store: Store) -> None:
    put(store, "a")
    jobs = claim(store)
    with store.begin() as session:
        outbox.renew(session, jobs, now=MONDAY + timedelta(seconds=20))
    assert claim(store, later=LEASE + timedelta(seconds=10)) == []
    assert len(claim(store, later=LEASE + timedelta(seconds=20))) == 1


def test_a_failure_is_recorded_and_tried_again_later(store: Store) -> None:
    put(store, "a")
    [job] = claim(store)
    with store.begin() as session:
        retry = outbox.Retry(MONDAY + timedelta(minutes=1), counted=True)
        assert outbox.fail(session, job, ValueError("no"), retry=retry)
    [entry] = entries(store)
    assert (entry.state, entry.last_error, entry.attempts) == (
        EntryState.WAITING,
        "ValueError: no",
        1,
    )
    assert claim(store) == []
    [job] = claim(store, later=timedelta(minutes=1))
    with store.begin() as session:
        waits = outbox.Retry(MONDAY + timedelta(minutes=2), counted=False)
        assert outbox.fail(session, job, Transient("away", channel_down=True), retry=waits)
    assert [(entry.attempts, entry.last_error) for entry in entries(store)] == [(1, "away")]


def test_what_was_given_up_can_be_put_back(store: Store) -> None:
    put(store, "a")
    [job] = claim(store)
    with store.begin() as session:
        outbox.fail(session, job, Permanent("no"), retry=outbox.Retry(None, counted=True))
    assert [entry.state for entry in entries(store)] == [EntryState.GIVEN_UP]
    assert claim(store, later=timedelta(days=9)) == []
    later = MONDAY + timedelta(days=9)
    with store.begin() as session:
        outbox.put_back(session, session.get_one(OutboxEntry, job.id), now=later)
    [again] = claim(store, later=timedelta(days=9))
    # Five days of trying begin anew.
    assert (again.attempts, again.created_at) == (1, later)


def test_one_key_is_one_entry_also_for_two_at_once(store: Store) -> None:
    start = threading.Barrier(8)

    def put_once(_: int) -> bool:
        start.wait(timeout=30)
        with store.begin() as session:
            return outbox.put(session, "test.work", {}, now=MONDAY, dedupe_key="one")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put_once, range(8))) == [False] * 7 + [True]
    assert len(entries(store)) == 1


def test_those_who_asked_are_told_of_work_after_its_commit(store: Store) -> None:
    told: list[int] = []
    store.on_committed_work(told.extend)
    with undone(store) as session:
        outbox.put(session, "test.work", {}, now=MONDAY)
    assert told == []
    with store.begin() as session:
        outbox.put(session, "test.work", {}, now=MONDAY)
        outbox.put_all(session, "test.work", [{}, {}], now=MONDAY)
        outbox.put_all(session, "test.work", [], now=MONDAY)
        assert told == []
    assert told == [entry.id for entry in entries(store)]


# --- the Runner --------------------------------------------------------------------------------


class Bench:
    """Handlers that note what they do, and can be told to fail."""

    def __init__(self, *, together: bool = True, attempts: int | None = 5) -> None:
        self.poison: dict[str, BaseException] = {}
        self.spoils: dict[str, BaseException] = {}
        self.thought: list[str] = []
        self.recorded: list[str] = []
        self.noted: list[tuple[str, bool]] = []
        self.handler = Handler(
            think=self.think,
            record=self.record,
            failed=self.failed,
            attempts=attempts,
            together=together,
        )

    def think(self, _store: Store, payload: dict[str, Any]) -> str:
        text: str = payload["text"]
        self.thought.append(text)
        if text in self.poison:
            raise self.poison[text]
        return text

    def record(self, _session: Session, thought: Any, /, *, now: Any) -> None:
        assert now is not None
        if thought in self.spoils:
            raise self.spoils[thought]
        self.recorded.append(thought)

    def failed(
        self,
        _session: Session,
        payload: dict[str, Any],
        _fault: BaseException,
        *,
        given_up: bool,
        now: Any,
    ) -> None:
        assert now is not None
        self.noted.append((payload["text"], given_up))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch, store: Store) -> World:
    """Return a world whose clock the Runner reads."""
    world = World(store)
    monkeypatch.setattr(clock, "now", lambda: world.now)
    return world


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("where", ["poison", "spoils"])
def test_one_that_fails_spoils_nothing_for_the_others(
    store: Store, now: World, *, together: bool, where: str
) -> None:
    bench = Bench(together=together)
    getattr(bench, where)["c"] = ValueError("no")
    put(store, *"abcde")
    assert Runner(store, {"test.work": bench.handler}).run_due() == 5
    states = [entry.state for entry in entries(store)]
    assert states == [EntryState.DONE] * 2 + [EntryState.WAITING] + [EntryState.DONE] * 2
    assert {"a", "b", "d", "e"} <= set(bench.recorded)
    assert bench.noted == [("c", False)]


def test_poison_is_set_aside_after_five_tries(store: Store, now: World) -> None:
    bench = Bench()
    bench.poison["a"] = ValueError("no")
    put(store, "a", "b")
    runner = Runner(store, {"test.work": bench.handler})
    for _ in range(6):
        runner.run_due()
        now.later(hours=9)
    assert bench.thought.count("a") == 5
    assert bench.noted == [("a", False)] * 4 + [("a", True)]
    assert [entry.state for entry in entries(store)] == [EntryState.GIVEN_UP, EntryState.DONE]


def test_what_kills_its_worker_is_set_aside_and_alone(store: Store, now: World) -> None:
    bench = Bench()
    ids = put(store, "deadly", "b", "c")
    # A worker claimed all three and was never heard of again.
    assert len(claim(store)) == 3
    now.later(seconds=61)
    runner = Runner(store, {"test.work": bench.handler})
    for _ in range(4):
        # So was each that took the first: it gets no company.
        with store.begin() as session:
            jobs = outbox.claim(session, now=now.now, limit=1, fresh=False, topics=["test.work"])
        assert [job.id for job in jobs] == ids[:1]
        now.later(seconds=61)
        with store.begin() as session:
            session.execute(
                update(OutboxEntry).where(OutboxEntry.id != ids[0]).values(due_at=now.now)
            )
    while runner.run_due():
        pass
    assert bench.thought == ["b", "c"]
    assert bench.noted == [("deadly", True)]
    first, *others = entries(store)
    assert first.state is EntryState.GIVEN_UP
    assert "never came to an end" in (first.last_error or "")
    assert {entry.state for entry in others} == {EntryState.DONE}


def test_what_was_thought_under_a_lost_lease_is_not_recorded(store: Store, now: World) -> None:
    bench = Bench()
    put(store, "a")
    taken: list[Job] = []

    def slow(_store: Store, payload: dict[str, Any]) -> str:
        now.later(seconds=61)
        with store.begin() as session:
            taken.extend(outbox.claim(session, now=now.now))
        text: str = payload["text"]
        return text

    handler = Handler(
        think=slow, record=bench.record, failed=bench.failed, attempts=5, together=True
    )
    Runner(store, {"test.work": handler}).run_due()
    [entry] = entries(store)
    assert (entry.state, entry.claim, entry.attempts) == (EntryState.WAITING, taken[0].claim, 2)
    assert bench.noted == []


def test_a_fault_under_a_lost_lease_is_not_noted(store: Store, now: World) -> None:
    bench = Bench()
    put(store, "a")

    def slow(_store: Store, _payload: dict[str, Any]) -> str:
        now.later(seconds=61)
        with store.begin() as session:
            outbox.claim(session, now=now.now)
        raise Transient("late")

    handler = Handler(
        think=slow, record=bench.record, failed=bench.failed, attempts=5, together=False
    )
    Runner(store, {"test.work": handler}).run_due()
    assert bench.noted == []
    assert entries(store)[0].last_error is None


def test_a_crash_between_claim_and_record_loses_nothing(mailroom: Mailroom) -> None:
    mailroom.spool(mailroom.mail())
    with mailroom.store.begin() as session:
        assert len(outbox.claim(session, now=mailroom.world.now)) == 1
    mailroom.process()
    assert mailroom.tickets() == []
    mailroom.world.later(seconds=60)
    mailroom.process()
    assert len(mailroom.tickets()) == 1


def test_two_workers_whose_mails_want_the_same_desks_do_not_lose_one(mailroom: Mailroom) -> None:
    # Each batch holds the counters of its desks until it commits, in the order of its mails.
    for number in range(40):
        desk = (RTPEC, KYBERNES)[number % 2]
        mailroom.spool(mailroom.mail(to=desk), desk)
    start = threading.Barrier(2)

    def work(_: int) -> None:
        start.wait(timeout=30)
        for _ in range(6):
            mailroom.process()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    # What a deadlock put off is tried again after a while.
    mailroom.world.later(minutes=2)
    mailroom.process()
    assert len(mailroom.tickets()) == 40
    assert {entry.state for entry in mailroom.outbox(mailbox.PROCESS)} == {EntryState.DONE}


def test_one_entry_can_be_run_by_its_id(store: Store, now: World) -> None:
    bench = Bench()
    first, second = put(store, "a", "b")
    runner = Runner(store, {"test.work": bench.handler})
    assert runner.run_entry(second)
    assert not runner.run_entry(second)
    assert bench.recorded == ["b"]
    assert entries(store)[0].id == first
    assert runner.run_due() == 1


def test_topics_of_nobody_are_left_alone(store: Store, now: World) -> None:
    put(store, "a", topic="unknown.work")
    assert Runner(store, {"test.work": Bench().handler}).run_due() == 0
    assert [entry.attempts for entry in entries(store)] == [0]


def test_leases_of_long_work_are_renewed(
    store: Store, now: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.runner.RENEW_SECONDS", 0.01)
    bench = Bench()
    put(store, "a")
    renewed = threading.Event()
    real = outbox.renew

    def renew(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        renewed.set()

    monkeypatch.setattr(outbox, "renew", renew)

    def slow(_store: Store, payload: dict[str, Any]) -> str:
        assert renewed.wait(timeout=30)
        text: str = payload["text"]
        return text

    handler = Handler(
        think=slow, record=bench.record, failed=bench.failed, attempts=5, together=True
    )
    runner = Runner(store, {"test.work": handler})
    runner.start()
    try:
        assert runner.run_due() == 1
    finally:
        runner.stop()
    assert bench.recorded == ["a"]


def test_a_renewal_that_fails_is_tried_again(
    store: Store, now: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.runner.RENEW_SECONDS", 0.01)
    calls = threading.Semaphore(0)

    def renew(*_: Any, **__: Any) -> None:
        calls.release()
        raise RuntimeError("away")

    monkeypatch.setattr(outbox, "renew", renew)
    put(store, "a")
    bench = Bench()

    def slow(_store: Store, payload: dict[str, Any]) -> str:
        assert calls.acquire(timeout=30)
        assert calls.acquire(timeout=30)
        text: str = payload["text"]
        return text

    handler = Handler(
        think=slow, record=bench.record, failed=bench.failed, attempts=5, together=True
    )
    runner = Runner(store, {"test.work": handler})
    runner.start()
    try:
        assert runner.run_due() == 1
    finally:
        runner.stop()
    assert [entry.state for entry in entries(store)] == [EntryState.DONE]


# --- the threads -------------------------------------------------------------------------------


def test_worker_threads_wake_for_new_work_and_outlive_faults(
    store: Store, now: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.inline_worker.IDLE_SECONDS", 60)
    done = threading.Event()
    bench = Bench()

    def record(_session: Session, thought: Any, /, *, now: Any) -> None:
        bench.record(_session, thought, now=now)
        if thought == "last":
            done.set()

    handler = Handler(
        think=bench.think, record=record, failed=bench.failed, attempts=5, together=True
    )
    runner = Runner(store, {"test.work": handler})
    faults = iter([Transient("away"), RuntimeError("a fault of ours")])
    real = runner.run_due

    def run_due(topics: list[str]) -> int:
        fault = next(faults, None)
        if fault is not None:
            raise fault
        return real(topics)

    monkeypatch.setattr(runner, "run_due", run_due)
    changes = Changes(store)
    worker = InlineWorker(store, runner, changes, threads=2)
    changes.start()
    worker.start()
    try:
        put(store, *(str(number) for number in range(30)))
        put(store, "last")
        assert done.wait(timeout=30)
    finally:
        worker.stop()
        changes.stop()
    assert sorted(bench.recorded) == sorted(["last", *(str(number) for number in range(30))])
    with store.read() as session:
        left = session.scalar(select(func.count()).where(OutboxEntry.state == EntryState.WAITING))
    assert left == 0


def test_what_recurs_runs_and_outlives_a_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = threading.Event()

    def broken(_session: Session, *, now: Any) -> None:
        raise ValueError(now)

    def runs(_session: Session, *, now: Any) -> None:
        assert now is not None
        ran.set()

    jobs = tuple(
        Recurring(name=name, every=timedelta(hours=1), run=run)
        for name, run in (("broken", broken), ("runs", runs))
    )
    monkeypatch.setattr(inline_worker, "RECURRING", jobs)
    changes = Changes(store)
    worker = InlineWorker(store, Runner(store, {}), changes, threads=0)
    worker.start()
    try:
        assert ran.wait(timeout=30)
    finally:
        worker.stop()
