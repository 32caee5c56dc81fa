"""Fixtures of the integration tests: a portal on a port, and people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core import clock
from tests.portal_kit import Browser, Server, TestSettings, serving
from tests.world import World

People = Callable[[str], Browser]


@pytest.fixture
def portal(world: World, tmp_path: Path) -> Iterator[Server]:
    """Run a portal over the small named world."""
    with serving(world.store, TestSettings(tmp_path)) as server:
        yield server


@pytest.fixture
def people(portal: Server) -> Iterator[People]:
    """Return a function that opens a browser: of a person who signs in, or of nobody ("")."""
    with ExitStack() as stack:

        def opened(who: str = "") -> Browser:
            one = Browser(portal.address)
            stack.callback(one.close)
            if who:
                assert one.sign_in(who).status_code == 303
            return one

        yield opened


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Return a function that lets time pass at the edge."""
    real, passed = clock.now, timedelta(0)

    def now() -> datetime:
        return real() + passed

    def pass_by(time: timedelta) -> None:
        nonlocal passed
        passed += time

    monkeypatch.setattr(clock, "now", now)
    return pass_by
