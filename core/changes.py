"""Tells a process that the store changed, whoever changed it: a wake-up, never the truth itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import func, select

from core.db import Store
from core.model import TimelineEntry

#: Called in the watcher's thread with the ids of Conversations that changed: an empty set means
#: that something else did, as a new Outbox entry; None that anything may have (the watch began,
#: or began anew after a lost connection).
Listener = Callable[[frozenset[int] | None], None]

#: Seconds between two looks at SQLite's change counter; a look costs some microseconds.
POLL_SECONDS = 0.015
#: Seconds after which a lost PostgreSQL connection is made again.
RECONNECT_SECONDS = 1.0
#: The channel that the trigger of the first migration notifies.
CHANNEL = "sportello_changes"

_log = structlog.get_logger(__name__)


class Changes:
    """Watches a store in one thread and wakes its listeners.

    SQLite: `PRAGMA data_version` moves when any other connection commits, in this process or in
    another, and the Timeline says which Conversations it was. PostgreSQL: LISTEN, notified by a
    trigger. A wake-up may be doubled; whoever is woken reads what changed by its own cursor.
    """

    def __init__(self, store: Store) -> None:
        """Prepare to watch `store`; nothing runs before `start`."""
        self._store = store
        self._listeners: list[Listener] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; returns when its thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Wake `listener` at each change from now on; call what is returned to end it."""
        self._listeners.append(listener)

        def forget() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return forget

    def _watch(self) -> None:
        look: Callable[[], Iterator[frozenset[int] | None]]
        look = self._watch_sqlite if self._store.embedded else self._watch_postgresql
        while not self._stop.is_set():
            try:
                for conversations in look():
                    self._wake(conversations)
            except Exception as fault:  # noqa: BLE001 - a watcher that dies is a page that stands still
                _log.warning("changes.lost", fault=str(fault))
                self._stop.wait(RECONNECT_SECONDS)

    def _wake(self, conversations: frozenset[int] | None) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(conversations)
            except Exception:  # noqa: BLE001 - one listener's fault must not keep the others asleep
                _log.exception("changes.listener_failed")

    def _watch_sqlite(self) -> Iterator[frozenset[int] | None]:
        with self._store.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            version = raw.execute("PRAGMA data_version").fetchone()
            cursor = self._newest_fact()
            # What happened while nobody looked is unknown.
            yield None
            while not self._stop.wait(POLL_SECONDS):
                seen = raw.execute("PRAGMA data_version").fetchone()
                if seen == version:
                    continue
                version = seen
                cursor, conversations = self._facts_after(cursor)
                yield conversations

    def _newest_fact(self) -> int:
        with self._store.read() as session:
            return session.scalar(select(func.max(TimelineEntry.id))) or 0

    def _facts_after(self, cursor: int) -> tuple[int, frozenset[int]]:
        # One writer at a time: on SQLite ids become visible in their order.
        with self._store.read() as session:
            rows = session.execute(
                select(TimelineEntry.id, TimelineEntry.conversation_id)
                .where(TimelineEntry.id > cursor)
                .order_by(TimelineEntry.id)
            ).all()
        newest = rows[-1].id if rows else cursor
        found = frozenset(row.conversation_id for row in rows if row.conversation_id is not None)
        return newest, found

    def _watch_postgresql(self) -> Iterator[frozenset[int] | None]:
        import psycopg  # noqa: PLC0415 - an installation on SQLite need not have it

        address = self._store.engine.url.set(drivername="postgresql")
        with psycopg.connect(
            address.render_as_string(hide_password=False), autocommit=True
        ) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            yield None
            while not self._stop.is_set():
                for notice in connection.notifies(timeout=0.5, stop_after=1):
                    yield frozenset({int(notice.payload)} if notice.payload else ())
