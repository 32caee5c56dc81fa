"""Brings the store's schema up to this version, and refuses to work on one it does not know."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.db import UNREACHABLE, Store, no_answer
from core.errors import SetupError

_FOLDER = Path(__file__).parent / "migrations"
#: One migrator at a time on PostgreSQL; the number only has to be ours.
_LOCK = 7_767_853


def upgrade(store: Store) -> None:
    """Create or upgrade the schema, in one transaction; at the newest version it does nothing.

    Raises SetupError on a store of a newer Sportello.
    """
    config = _config()
    try:
        with store.engine.execution_options(sportello_writes=True).begin() as connection:
            if not store.embedded:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _require_known(_revision(connection))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except UNREACHABLE as fault:
        raise no_answer(fault) from fault


def require_current(store: Store) -> None:
    """Raise SetupError unless the store's schema is exactly this version's."""
    try:
        with store.engine.connect() as connection:
            here = _revision(connection)
    except UNREACHABLE as fault:
        raise no_answer(fault) from fault
    if here is None:
        raise SetupError("The store is empty: run `sportello migrate` (or `sportello init`).")
    _require_known(here)
    if here != ScriptDirectory.from_config(_config()).get_current_head():
        raise SetupError(f"The store is at version {here}: run `sportello migrate`.")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _require_known(revision: str | None) -> None:
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    if revision is not None and revision not in {script.revision for script in scripts}:
        raise SetupError(
            f"The store is at version {revision}, which this Sportello does not know:"
            " start the newer Sportello that wrote it."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
