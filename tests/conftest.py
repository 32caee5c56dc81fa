"""Fixtures that all tests share: a store on each database, and the small named world in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import structlog
from sqlalchemy import text

from core import clock, migrate
from core.db import Store, sqlite_url
from core.model import Base
from tests import world as the_world
from tests.mailroom import Mailroom
from tests.world import World

SERVER = os.environ.get("SPORTELLO_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Keep structlog from drawing every variable of each fault that a test provokes."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty, migrated SQLite store, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    store = the_world.open_store(sqlite_url(folder), folder)
    migrate.upgrade(store)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return folder / "sportello.sqlite"


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Make a database of this session's own on the machine's PostgreSQL, and drop it again."""
    name = f"sportello_test_{uuid4().hex[:12]}"
    try:
        with psycopg.connect(SERVER, autocommit=True, connect_timeout=3) as server:
            server.execute(f"CREATE DATABASE {name}".encode())
            # Nobody cuts the power of a test; what a commit costs is measured elsewhere.
            server.execute(f"ALTER DATABASE {name} SET synchronous_commit TO off".encode())
    except psycopg.OperationalError as fault:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at 127.0.0.1:5432: {fault}")
    yield f"{SERVER.replace('postgresql://', 'postgresql+psycopg://').rsplit('/', 1)[0]}/{name}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def migrated_postgresql_url(postgresql_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a migrated PostgreSQL database; each test empties it."""
    store = the_world.open_store(postgresql_url, tmp_path_factory.mktemp("postgresql"))
    migrate.upgrade(store)
    store.close()
    return postgresql_url


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Open an empty store: SQLite in a file, then PostgreSQL."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        (tmp_path / "sportello.sqlite").write_bytes(template.read_bytes())
        opened = the_world.open_store(sqlite_url(tmp_path), tmp_path)
    else:
        opened = the_world.open_store(request.getfixturevalue("migrated_postgresql_url"), tmp_path)
        _empty(opened)
    yield opened
    opened.close()


@pytest.fixture
def world(store: Store) -> World:
    """Fill the store with the small named world."""
    return the_world.fill(store)


@pytest.fixture
def mailroom(world: World, monkeypatch: pytest.MonkeyPatch) -> Mailroom:
    """Bring mail to the small named world; the clock stands still unless a test lets time pass."""
    monkeypatch.setattr(clock, "now", lambda: world.now)
    return Mailroom(world)


def _empty(store: Store) -> None:
    # Deleting few rows is many times faster than truncating many tables.
    with store.begin() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in Base.metadata.sorted_tables:
            session.execute(table.delete())
        for sequence in session.scalars(text("SELECT sequencename FROM pg_sequences")).all():
            session.execute(text(f'ALTER SEQUENCE "{sequence}" RESTART'))
