"""Brings the store's schema up to this version, and refuses to work on one it does not know."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from core.db import Store
from core.errors import SetupError, Transient

_FOLDER = Path(__file__).parent / "migrations"
#: One migrator at a time on PostgreSQL; the number only has to be ours.
_LOCK = 7_767_853


def upgrade(store: Store) -> None:
    """Create or upgrade the schema, in one transaction; at the newest version it does nothing."""
    config = _config()
    try:
        with store.engine.execution_options(sportello_writes=True).begin() as connection:
            if not store.embedded:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as fault:
        raise Transient(f"the store does not answer: {fault.orig}") from fault


def require_current(store: Store) -> None:
    """Raise SetupError unless the store's schema is exactly this version's."""
    try:
        with store.engine.connect() as connection:
            here = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as fault:
        raise Transient(f"the store does not answer: {fault.orig}") from fault
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if here is None:
        raise SetupError("The store is empty: run `sportello migrate` (or `sportello init`).")
    if here != newest:
        known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
        if here in known:
            raise SetupError(f"The store is at version {here}: run `sportello migrate`.")
        raise SetupError(
            f"The store is at version {here}, which this Sportello does not know:"
            " start the newer Sportello that wrote it."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
