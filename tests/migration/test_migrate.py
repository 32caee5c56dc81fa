"""Migrations: from nothing to the models' own schema, twice, and never on a store of the future."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from app.wiring import install_desks
from core import migrate
from core.db import Store, sqlite_url
from core.errors import SetupError, Transient
from core.model import Base
from tests import world as the_world
from tests.conftest import SERVER


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Open a store without any table."""
    if request.param == "sqlite":
        store = the_world.open_store(sqlite_url(tmp_path), tmp_path)
        yield store
        store.close()
        return
    base: str = request.getfixturevalue("postgresql_url")
    name = f"sportello_test_{uuid4().hex[:12]}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        store = the_world.open_store(f"{base.rpartition('/')[0]}/{name}", tmp_path)
        yield store
        store.close()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_from_nothing_to_the_models_schema(empty: Store) -> None:
    with pytest.raises(SetupError, match="empty"):
        migrate.require_current(empty)
    migrate.upgrade(empty)
    migrate.require_current(empty)
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        for table in Base.metadata.sorted_tables:
            made = {one["name"] for one in inspect(connection).get_indexes(table.name)}
            assert {index.name for index in table.indexes} <= made


def test_a_repeat_does_nothing(empty: Store) -> None:
    migrate.upgrade(empty)
    ids = install_desks(empty)
    migrate.upgrade(empty)
    assert install_desks(empty) == ids


def test_several_that_start_at_once_migrate_once(empty: Store) -> None:
    start = threading.Barrier(4)

    def begin(_: int) -> dict[str, int]:
        start.wait(timeout=30)
        migrate.upgrade(empty)
        return dict(install_desks(empty))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(begin, range(4)))
    assert all(one == made[0] for one in made)
    assert len(set(made[0].values())) == 5


def test_a_store_of_a_newer_version_is_refused(empty: Store) -> None:
    migrate.upgrade(empty)
    with empty.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (migrate.require_current, migrate.upgrade):
        with pytest.raises(SetupError, match="9999"):
            refused(empty)


def test_an_older_store_is_to_be_migrated(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.upgrade(empty)
    monkeypatch.setattr("alembic.script.ScriptDirectory.get_current_head", lambda _: "0002")
    with pytest.raises(SetupError, match="sportello migrate"):
        migrate.require_current(empty)


@pytest.mark.postgres
def test_a_store_that_is_away_is_a_passing_fault(tmp_path: Path) -> None:
    away = the_world.open_store("postgresql+psycopg://nobody@127.0.0.1:9/none", tmp_path)
    for refused in (migrate.require_current, migrate.upgrade):
        with pytest.raises(Transient):
            refused(away)
    away.close()
