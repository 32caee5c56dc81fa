"""kill -9 at random moments while mail comes in: what got its 250 is there, once and right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.services import Scaled, scaled
from tests.faults import deaths, surroundings

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(
    params=[
        pytest.param(False, id="embedded"),
        pytest.param(True, id="scaled", marks=[pytest.mark.postgres, pytest.mark.rabbitmq]),
    ]
)
def bound(request: pytest.FixtureRequest) -> Iterator[Scaled | None]:
    """Nothing, or the database and the broker of the scaled binding."""
    if not request.param:
        yield None
        return
    with scaled() as found:
        yield found


def test_two_hundred_mails_survive_every_kill(bound: Scaled | None, tmp_path: Path) -> None:
    found = deaths.killed_while_receiving(tmp_path, 200, bound=bound)
    assert (found.tried, found.accepted) == (200, 200), found
    assert found.good, found


def test_a_client_that_drops_after_the_dot_may_come_again(tmp_path: Path) -> None:
    found = surroundings.dropped_after_dot(tmp_path, 60)
    assert (found.accepted, found.good) == (60, True), found
