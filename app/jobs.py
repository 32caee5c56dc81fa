"""The one job list: which topic is handled by what, and what recurs. Both bindings run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.orm import Session

from core import clock, mailbox, notifications, sweeps
from core.db import Store
from mail_ingest import intake, rules
from mail_ingest.deliver import Courier


class Failed(Protocol):
    """What a topic notes of a failure, in the transaction that records it."""

    def __call__(
        self,
        session: Session,
        payload: dict[str, Any],
        fault: BaseException,
        /,
        *,
        given_up: bool,
        now: datetime,
    ) -> None:
        """Show the failure where a person looks for it."""


class Record(Protocol):
    """Writes down what was thought, in one transaction; leaves alone what changed meanwhile."""

    def __call__(self, session: Session, thought: Any, /, *, now: datetime) -> None:
        """Write; raises Transient or Permanent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Read, think, record: long calls stand in `think`, outside any transaction."""

    think: Callable[[Store, dict[str, Any]], Any]
    record: Record
    failed: Failed
    attempts: int | None
    """How many tries before it is set aside; None: five days, as mail."""
    together: bool
    """Whether many may be recorded in one transaction (not where `think` changed the world)."""
    locks: Callable[[Any], int] = lambda _: 0
    """By a thought, the row that recording it holds to the end: a batch takes them in order."""
    own_threads: bool = False
    """Whether it waits for a peer: then other topics must not wait behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """Work that nobody puts in the outbox: a sweep over what is due."""

    name: str
    every: timedelta
    run: Callable[..., object]
    """Called with a session and `now`; returns whether there may be more to do."""

    def work(self, store: Store) -> None:
        """Run it, one transaction after another, until nothing is left to do."""
        more = True
        while more:
            with store.begin() as session:
                more = bool(self.run(session, now=clock.now()))


def job_list(courier: Courier) -> Mapping[str, Handler]:
    """Return the handlers by topic."""
    return {
        mailbox.PROCESS: Handler(
            think=intake.think,
            record=intake.record,
            failed=intake.failed,
            attempts=5,
            together=True,
            locks=_desk_of,
        ),
        notifications.DELIVER: Handler(
            think=courier.think,
            record=courier.record,
            failed=courier.failed,
            attempts=None,
            together=False,
            own_threads=True,
        ),
    }


def _desk_of(read: rules.Read | None) -> int:
    # A Ticket that opens takes the Desk's next number.
    return read.desk_id if read else 0


RECURRING: tuple[Recurring, ...] = (
    Recurring(name="forget_logins", every=timedelta(hours=1), run=sweeps.forget_logins),
    Recurring(name="forget_done_work", every=timedelta(hours=1), run=sweeps.forget_done_work),
)
