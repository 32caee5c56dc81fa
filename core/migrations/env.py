"""Runs migrations on the connection that core/migrate.py hands in; never opens one itself."""

from __future__ import annotations

from alembic import context

from core.model import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
