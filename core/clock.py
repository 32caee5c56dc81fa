"""The one place that reads the wall clock; everything else is given `now` as an argument."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)
