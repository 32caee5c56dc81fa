"""How the store is opened, and who owns a transaction: engine, sessions, SQLite's pragmas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from core.errors import Transient

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from core.ports import Ports

#: Seconds that a writer waits for SQLite's one write lock before the fault is called transient.
BUSY_SECONDS = 30

#: Where a session notes the ids of Outbox entries that it put, for `on_committed_work`.
PUT_IN_OUTBOX = "put_in_outbox"

Committed = Callable[[Sequence[int]], None]

#: What the library raises where the store is locked, gone, or has no connection to spare.
UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)

_WRITES = "sportello_writes"


class Store:
    """The database with the ports bound to it; hands out sessions and owns their transactions."""

    def __init__(self, url: str, ports: Ports) -> None:
        """Open `url` (`sqlite:///…` or `postgresql+psycopg://…`); nothing is created."""
        self.url = url
        self.ports = ports
        self.engine = _sqlite_engine(url) if url.startswith("sqlite") else _server_engine(url)
        writing = self.engine.execution_options(**{_WRITES: True})
        options: dict[str, Any] = {"expire_on_commit": False, "info": {"ports": ports}}
        self._committed: list[Committed] = []
        self._writing = sessionmaker(writing, **options)
        self._reading = sessionmaker(self.engine, **options)

    @property
    def embedded(self) -> bool:
        """Whether the store is SQLite: one machine, one writer at a time."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Give a session inside one writing transaction, committed at the end of the block.

        Raises Transient where the store is locked or unreachable, so that edges answer "try again".
        """
        try:
            with self._writing.begin() as session:
                yield session
        except UNREACHABLE as fault:
            raise no_answer(fault) from fault
        put = session.info.pop(PUT_IN_OUTBOX, [])
        if put:
            for tell in self._committed:
                tell(put)

    def on_committed_work(self, tell: Committed) -> None:
        """Call `tell` after each commit that put work in the outbox, with its entries' ids."""
        self._committed.append(tell)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session for reading; what it changes is not kept."""
        try:
            with self._reading() as session:
                yield session
        except UNREACHABLE as fault:
            raise no_answer(fault) from fault

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def no_answer(fault: Exception) -> Transient:
    """Return the error of ours for one of UNREACHABLE."""
    return Transient(f"the store does not answer: {getattr(fault, 'orig', None) or fault}")


def sqlite_url(folder: Path) -> str:
    """Return the URL of the embedded store in a data folder."""
    return f"sqlite:///{(folder / 'sportello.sqlite').resolve()}"


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=8)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # The driver's own transaction handling begins too late; `begin` below does it instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # NORMAL may lose the last commits at power loss
            "foreign_keys=ON",
            "cache_size=-65536",
            "mmap_size=268435456",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns writer can fail at once when another wrote in between: say it first.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _server_engine(url: str) -> Engine:
    return create_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True)
