"""The wake-up: another process's commit is told, also after the connection was lost."""

from __future__ import annotations

import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core import outbox, timeline
from core.changes import Changes
from core.model import Fact
from core.timeline import Change
from tests.world import MONDAY, World, undone

Heard = queue.SimpleQueue[frozenset[int] | None]


@pytest.fixture
def watch(world: World) -> Iterator[tuple[Changes, Heard]]:
    """Watch the world's store; the first word, "anything may have changed", is heard already."""
    changes, heard = Changes(world.store), Heard()
    changes.listen(heard.put)
    changes.start()
    assert heard.get(timeout=10) is None
    yield changes, heard
    changes.stop()


def until(heard: Heard, wanted: set[int]) -> set[int]:
    """Return what was heard, waiting until it holds `wanted`."""
    found: set[int] = set()
    while not wanted <= found:
        found |= heard.get(timeout=10) or frozenset()
    return found


def note(world: World, *conversation_ids: int) -> None:
    """Commit a fact for each Conversation."""
    with world.store.begin() as session:
        for one in conversation_ids:
            change = Change(kind=Fact.NOTE_WRITTEN, actor="system", conversation_id=one)
            timeline.record(session, change, now=MONDAY)


def test_a_commit_tells_which_conversations_changed(
    world: World, watch: tuple[Changes, Heard]
) -> None:
    _, heard = watch
    first, second, third = (world.mail().conversation_id for _ in range(3))
    until(heard, {first, second, third})
    note(world, first, third)
    assert until(heard, {first, third}) == {first, third}


def test_no_commit_of_many_is_missed(world: World, watch: tuple[Changes, Heard]) -> None:
    _, heard = watch
    ids = [world.mail().conversation_id for _ in range(10)]
    until(heard, set(ids))
    for _ in range(5):
        for one in ids:
            note(world, one)
        until(heard, set(ids))


PROCESS = """
import sys
from pathlib import Path
from core.model import Fact
from core import timeline
from tests import world
store = world.open_store(sys.argv[1], Path(sys.argv[2]))
with store.begin() as session:
    here = int(sys.argv[3])
    change = timeline.Change(kind=Fact.NOTE_WRITTEN, actor="system", conversation_id=here)
    timeline.record(session, change, now=world.MONDAY)
store.close()
"""


def test_another_process_s_commit_wakes(
    world: World, watch: tuple[Changes, Heard], tmp_path: Path
) -> None:
    _, heard = watch
    here = world.mail().conversation_id
    until(heard, {here})
    url = world.store.engine.url.render_as_string(hide_password=False)
    subprocess.run(
        [sys.executable, "-c", PROCESS, url, str(tmp_path), str(here)],
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert until(heard, {here}) == {here}


def test_work_without_a_conversation_wakes_too(world: World, watch: tuple[Changes, Heard]) -> None:
    _, heard = watch
    with world.store.begin() as session:
        outbox.put(session, "test.work", {}, now=MONDAY)
    assert heard.get(timeout=10) == frozenset()


def test_a_rollback_wakes_nobody(world: World, watch: tuple[Changes, Heard]) -> None:
    _, heard = watch
    here, there = (world.mail().conversation_id for _ in range(2))
    until(heard, {here, there})
    with undone(world.store) as session:
        change = Change(kind=Fact.NOTE_WRITTEN, actor="system", conversation_id=here)
        timeline.record(session, change, now=MONDAY)
    note(world, there)
    assert until(heard, {there}) == {there}


def test_a_listener_that_fails_or_went_does_not_keep_the_others_asleep(
    world: World, watch: tuple[Changes, Heard]
) -> None:
    changes, heard = watch
    gone: Heard = Heard()

    def broken(_: frozenset[int] | None) -> None:
        raise ValueError("a fault of a page")

    changes.listen(broken)
    forget = changes.listen(gone.put)
    forget()
    forget()
    last: Heard = Heard()
    changes.listen(last.put)
    here = world.mail().conversation_id
    assert here in until(heard, {here})
    assert here in until(last, {here})
    assert gone.empty()


@pytest.mark.parametrize(
    "store", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
def test_after_a_lost_connection_anything_may_have_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.changes.RECONNECT_SECONDS", 0.01)
    changes, heard = Changes(world.store), Heard()
    changes.listen(heard.put)
    changes.start()
    try:
        assert heard.get(timeout=10) is None
        with world.store.begin() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        while heard.get(timeout=10) is not None:
            pass
        here = world.mail().conversation_id
        until(heard, {here})
    finally:
        changes.stop()
