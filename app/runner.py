"""Runs claimed jobs: think outside, record inside, keep the lease, say what follows a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog

from app.jobs import Handler
from core import clock, outbox
from core.db import Store
from core.errors import Permanent, SportelloError, Transient
from core.outbox import Job

#: Seconds between two renewals of the leases of jobs that are being worked on.
RENEW_SECONDS = 20
#: Claims of one entry without a set number of tries: five days of retries make some twenty.
MOST_CLAIMS = 50
#: Rows that a claim of work for a slow peer takes: the rest stays free for other processes.
FEW = 2

_log = structlog.get_logger(__name__)


class LeaseLost(Transient):
    """Another worker took the job over: what was thought here is not recorded."""


class Runner:
    """Runs jobs of one store; safe to share by threads."""

    def __init__(self, store: Store, handlers: Mapping[str, Handler]) -> None:
        """Run `handlers` on `store`."""
        self._store = store
        self._handlers = handlers
        self._held: dict[int, Job] = {}
        self._paused: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to renew the leases of jobs that take long."""
        self._renewer.start()

    def stop(self) -> None:
        """End the renewals."""
        self._stop.set()
        self._renewer.join(timeout=5)

    @property
    def groups(self) -> tuple[list[str], list[list[str]]]:
        """Return the topics that share threads, and those that need threads of their own."""
        shared = [topic for topic, handler in self._handlers.items() if not handler.own_threads]
        return shared, [[topic] for topic in self._handlers if topic not in shared]

    def run_due(self, topics: Sequence[str] | None = None) -> int:
        """Claim what is due, of `topics` or all, and run it; return how many jobs that was.

        A topic whose channel was found down is left alone until its entry's next try.
        """
        now = clock.now()
        wanted = self._handlers if topics is None else topics
        topics = [one for one in wanted if self._paused.get(one, now) <= now]
        if not topics:
            return 0
        with self._store.read() as session:
            # Looking costs no write lock; an idle worker must not stand in a writer's way.
            fresh, tried = outbox.waiting(session, now=clock.now())
        done = self._claim_and_run(topics, fresh=True) if fresh else 0
        return done + (self._claim_and_run(topics, fresh=False) if tried else 0)

    def run_entry(self, entry_id: int) -> bool:
        """Run one entry; False where it is not due or somebody else has it."""
        with self._store.begin() as session:
            jobs = outbox.claim(session, now=clock.now(), ids=[entry_id], limit=1)
        self._run(jobs)
        return bool(jobs)

    def _claim_and_run(self, topics: Sequence[str], *, fresh: bool) -> int:
        # What was tried before may have taken its worker with it, so it gets no company: a batch
        # would pay for it with an attempt each.
        limit = outbox.CLAIM if fresh else 1
        if all(self._handlers[one].own_threads for one in topics):
            limit = min(limit, FEW)
        with self._store.begin() as session:
            jobs = outbox.claim(session, now=clock.now(), limit=limit, topics=topics, fresh=fresh)
        self._run(jobs)
        return len(jobs)

    def _run(self, jobs: Sequence[Job]) -> None:
        with self._holding(jobs):
            thoughts = [(job, self._handlers[job.topic]) for job in jobs if self._bearable(job)]
            together = [pair for pair in thoughts if pair[1].together]
            self._run_together(together)
            for job, handler in thoughts:
                if not handler.together:
                    self._run_alone(job, handler)

    def _bearable(self, job: Job) -> bool:
        """Whether a job may be tried; one that never came to an end is set aside instead."""
        handler = self._handlers[job.topic]
        most = handler.attempts or MOST_CLAIMS
        if job.attempts <= most:
            return True
        self._fail(job, handler, Permanent(f"never came to an end in {most} tries"))
        return False

    def _run_together(self, pairs: Sequence[tuple[Job, Handler]]) -> None:
        ready: list[tuple[Job, Handler, Any]] = []
        for job, handler in pairs:
            try:
                ready.append((job, handler, handler.think(self._store, job.payload)))
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is retried or set aside
                self._fail(job, handler, fault)
        if not ready:
            return
        # Two workers that record the same rows in different orders would wait for each other.
        ready.sort(key=lambda one: one[1].locks(one[2]))
        try:
            with self._store.begin() as session:
                now = clock.now()
                for _, handler, thought in ready:
                    handler.record(session, thought, now=now)
                session.flush()
                self._finish(session, [job for job, _, _ in ready])
        except Exception as fault:  # noqa: BLE001 - as above
            if len(ready) == 1:
                self._fail(ready[0][0], ready[0][1], fault)
                return
            # One of them spoils the transaction: each alone, so that only that one is retried.
            for job, handler, _ in ready:
                self._run_alone(job, handler)

    def _run_alone(self, job: Job, handler: Handler) -> None:
        try:
            thought = handler.think(self._store, job.payload)
            with self._store.begin() as session:
                handler.record(session, thought, now=clock.now())
                session.flush()
                self._finish(session, [job])
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is retried or set aside
            self._fail(job, handler, fault)

    def _finish(self, session: Any, jobs: Sequence[Job]) -> None:
        if outbox.finish(session, jobs) != len(jobs):
            raise LeaseLost

    def _fail(self, job: Job, handler: Handler, fault: BaseException) -> None:
        if isinstance(fault, LeaseLost):
            return
        now = clock.now()
        retry = outbox.retry_after(
            fault,
            attempts=job.attempts,
            limit=handler.attempts,
            since=now - job.created_at,
            now=now,
        )
        if isinstance(fault, Transient) and fault.channel_down and retry.due_at is not None:
            self._paused[job.topic] = retry.due_at
        known = isinstance(fault, SportelloError)
        _log.log(
            30 if known else 40,
            "job.failed",
            topic=job.topic,
            entry=job.id,
            attempts=job.attempts,
            next_try=retry.due_at.isoformat() if retry.due_at else "given up",
            fault=f"{type(fault).__name__}: {fault}"[:500],
            exc_info=None if known else fault,
        )
        with self._store.begin() as session:
            if outbox.fail(session, job, fault, retry=retry):
                given_up = retry.due_at is None
                handler.failed(session, job.payload, fault, given_up=given_up, now=now)

    @contextmanager
    def _holding(self, jobs: Sequence[Job]) -> Iterator[None]:
        with self._lock:
            self._held.update((job.id, job) for job in jobs)
        try:
            yield
        finally:
            with self._lock:
                for job in jobs:
                    self._held.pop(job.id, None)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            with self._lock:
                held = list(self._held.values())
            if not held:
                continue
            try:
                with self._store.begin() as session:
                    outbox.renew(session, held, now=clock.now())
            except Exception as fault:  # noqa: BLE001 - a renewer that dies is work done twice
                _log.warning("leases.not_renewed", fault=str(fault))
