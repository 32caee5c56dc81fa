"""The live socket: everything once and in order, through gaps, restarts and refusals."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from websockets.exceptions import ConnectionClosed

from app import processes
from config.settings import Settings
from core.changes import Changes
from core.model import Delivery, DeliveryState, Fact, ReadMark
from core.timeline import SYSTEM, Change, record
from portal import live as live_module
from tests.integration.conftest import People
from tests.portal_kit import Browser, Server, TestSettings, serving
from tests.world import World


def seqs(frames: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the Messages among frames."""
    return [frame["seq"] for frame in frames if frame["type"] == "message"]


def test_a_page_gets_what_came_after_its_cursor(people: People, world: World) -> None:
    received = world.mail()
    for n in range(5):
        world.answers("anna", received.ticket_id, f"risposta {n}")
    giulia = people("giulia")
    with giulia.live() as live:
        live.hello([(received.conversation_id, 3)])
        frames = live.all()
        assert seqs(frames) == [4, 5, 6]
        assert frames[0]["prev"] == 3
        world.answers("anna", received.ticket_id, "adesso")
        assert live.next("message")["seq"] == 7


def test_a_long_absence_is_made_up_for_in_parts(
    people: People, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal import reading  # noqa: PLC0415 - only here

    monkeypatch.setattr(reading, "AT_ONCE", 4)
    received = world.mail()
    for n in range(10):
        world.answers("anna", received.ticket_id, f"{n}", internal=n % 3 == 0)
    with people("giulia").live() as live:
        live.hello([(received.conversation_id, 0)])
        frames = [frame for frame in live.all() if frame["type"] == "message"]
    assert [frame["seq"] for frame in frames] == [1, 3, 4, 6, 7, 9, 10]
    before = [0, *(frame["seq"] for frame in frames)]
    assert [frame["prev"] for frame in frames] == before[:-1]


def test_nothing_is_missed_or_doubled_over_broken_connections(people: People, world: World) -> None:
    received = world.mail()
    giulia, chance = people("giulia"), random.Random(7)
    total = 40

    def write() -> None:
        for n in range(total):
            world.answers("anna", received.ticket_id, f"{n}", internal=n % 4 == 1)
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    got: list[int] = []
    until = time.monotonic() + 30
    while (not got or got[-1] < total + 1) and time.monotonic() < until:
        with giulia.live() as live:
            live.hello([(received.conversation_id, got[-1] if got else 0)])
            for frame in live.all(seconds=chance.uniform(0.01, 0.2)):
                if frame["type"] == "message":
                    assert frame["prev"] == (got[-1] if got else 0)
                    got.append(frame["seq"])
    writer.join()
    internal = {n + 2 for n in range(total) if n % 4 == 1}
    assert got == [seq for seq in range(1, total + 2) if seq not in internal]


def test_a_restart_loses_nothing(world: World, tmp_path: Path) -> None:
    received = world.mail()
    with serving(world.store, TestSettings(tmp_path)) as server:
        giulia = Browser(server.address)
        giulia.sign_in("giulia")
        with giulia.live() as live:
            live.hello([(received.conversation_id, 0)])
            assert seqs(live.all()) == [1]
    world.answers("anna", received.ticket_id, "mentre era spento")
    with serving(world.store, TestSettings(tmp_path)) as server:
        again = Browser(server.address)
        again.client.cookies.update(giulia.client.cookies)
        with again.live() as live:
            live.hello([(received.conversation_id, 1)])
            world.answers("anna", received.ticket_id, "e di nuovo acceso")
            assert seqs(live.all()) == [2, 3]
        again.close()
    giulia.close()


def test_the_queue_changes_without_a_reload(people: People, world: World) -> None:
    with people("anna").live(console=True) as live:
        live.hello(view="")
        live.next("queue")
        received = world.mail(subject="Appena arrivata")
        row = live.next("row")
        assert row["ticket"] == received.ticket_id
        assert "Appena arrivata" in row["html"]
        assert "row-unread" in row["html"]
        assert live.next("counts")["counts"]["libere"] == 1


def test_a_ticket_that_leaves_the_list_leaves_the_page(people: People, world: World) -> None:
    received = world.mail()
    with people("anna").live(console=True) as live:
        live.hello(view="vista=libere")
        assert f't-{received.ticket_id}"' in live.next("queue")["html"]
        world.answers("anna", received.ticket_id, "presa")
        assert live.next("row")["html"] is None


def test_many_changes_are_one_row(people: People, world: World) -> None:
    received = world.mail()
    with people("anna").live(console=True) as live:
        live.hello(view="")
        live.all()
        for n in range(8):
            world.writes("giulia", received.conversation_id, f"{n}")
        rows = [frame for frame in live.all(seconds=1.2) if frame["type"] == "row"]
    assert 1 <= len(rows) <= 4
    assert "9 messaggi nuovi" in rows[-1]["html"]


def test_a_later_page_of_the_list_stands_still(people: People, world: World) -> None:
    with people("anna").live(console=True) as live:
        live.hello(view="da=1.1")
        world.mail()
        assert {frame["type"] for frame in live.all(seconds=1)} == {"counts"}


def test_reading_here_renews_the_row_there(people: People, world: World) -> None:
    received = world.mail()
    anna = people("anna")
    with anna.live(console=True) as there, anna.live(console=True) as here:
        there.hello(view="")
        assert "row-unread" in there.next("queue")["html"]
        here.hello([(received.conversation_id, 1)])
        here.send({"type": "read", "conversation": str(received.conversation_id), "seq": 99})
        assert "row-unread" not in there.next("row")["html"]
    with world.store.read() as session:
        mark = session.get_one(
            ReadMark, (received.conversation_id, f"operator:{world.people['anna']}")
        )
        assert mark.last_seq == 1


def test_a_page_that_shows_a_ticket_reads_it(people: People, world: World) -> None:
    received = world.mail()
    anna = people("anna")
    with anna.live(console=True) as live:
        live.hello(view="")
        live.next("queue")
        anna.get(f"/console/ticket/{received.ticket_id}")
        assert "row-unread" not in live.next("row")["html"]


def test_a_ticket_taken_by_a_colleague_changes_its_page(people: People, world: World) -> None:
    received = world.mail()
    anna = people("anna")
    with anna.live(console=True) as live:
        live.hello([(received.conversation_id, 1)])
        assert "prendi" in live.next("ticket")["html"]
        world.answers("anna", received.ticket_id, "ci penso io")
        html = live.next("ticket")["html"]
        assert "risolvi" in html
        assert "prendi" not in html


def test_a_requesters_page_learns_the_new_status(people: People, world: World) -> None:
    received = world.mail()
    with people("giulia").live() as live:
        live.hello([(received.conversation_id, 1)])
        assert "Aperto" in live.next("ticket")["html"]
        world.answers("anna", received.ticket_id, "ci penso io")
        html = live.next("ticket")["html"]
    assert "in corso" in html
    assert "Anna Rossi" in html
    assert "<form" not in html


def test_a_delivery_that_failed_is_told(people: People, world: World) -> None:
    received = world.mail()
    world.answers("anna", received.ticket_id, "ecco")
    with people("anna").live(console=True) as live:
        live.hello([(received.conversation_id, 2)])
        live.all()
        with world.store.begin() as session:
            delivery = session.query(Delivery).filter(Delivery.message_id.is_not(None)).one()
            delivery.state, delivery.reason = DeliveryState.FAILED, "550 casella inesistente"
            change = Change(
                kind=Fact.DELIVERY_CHANGED,
                actor=SYSTEM,
                desk_id=delivery.desk_id,
                conversation_id=received.conversation_id,
            )
            record(session, change, now=world.later())
        html = live.next("update")["html"]
    assert "550 casella inesistente" in html
    assert "riprova" in html


def test_a_page_without_sockets_polls(people: People, world: World) -> None:
    received = world.mail()
    giulia = people("giulia")
    url = f"/richieste/{received.conversation_id}/messaggi"
    assert [one["seq"] for one in giulia.get(f"{url}?after=0").json()["messages"]] == [1]
    assert giulia.get(f"{url}?after=1").json() == {"messages": [], "after": 1}
    timer = threading.Timer(0.5, lambda: world.answers("anna", received.ticket_id, "eccomi"))
    timer.start()
    began = time.monotonic()
    messages = giulia.get(f"{url}?after=1&wait=20").json()["messages"]
    assert [one["seq"] for one in messages] == [2]
    assert time.monotonic() - began < 10
    timer.join()


def test_a_change_during_a_poll_is_not_missed(portal: Server) -> None:
    hub, looks = live_module.Hub(portal.hub.site, Changes(portal.hub.site.store)), 0

    async def endpoint(_: Request) -> Response:
        nonlocal looks
        looks += 1
        # What comes after the look and before its answer is a change like any other.
        hub._wake(frozenset({1}))  # noqa: SLF001 - that very moment
        return JSONResponse({"messages": [] if looks == 1 else ["eccomi"]})

    state = SimpleNamespace(state=SimpleNamespace(hub=hub))
    request = Request({"type": "http", "headers": [], "query_string": b"wait=3", "app": state})
    response = anyio.run(live_module.long_poll(endpoint), request)
    assert b"eccomi" in bytes(response.body)


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "[]",
        '{"type": "hello", "streams": [1]}',
        '{"type": "hello", "streams": [{"conversation": "x", "after": 1}]}',
        '{"type": "hello", "streams": [{"conversation": 1, "after": -1}]}',
        '{"type": "hello", "streams": [{"conversation": 99999999999999999999, "after": 1}]}',
        "{" + " " * 20_000 + "}",
    ],
)
def test_nonsense_ends_the_connection_and_nothing_else(people: People, frame: str) -> None:
    giulia = people("giulia")
    with giulia.live() as live:
        live.socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            live.next("message")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003
    with giulia.live() as live:
        live.send({"type": "hello", "streams": "x", "view": 7, "queue": 1, "token": 3})
        live.send({"type": "unknown"})
        live.send({"type": "ping"})
        assert live.next("pong")


def test_the_server_reads_no_more_of_a_frame_than_a_page_may_send(
    world: World, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path)
    here: Any = SimpleNamespace(store=world.store, settings=settings)
    server = processes._portal(here, Changes(world.store))  # noqa: SLF001 - it only makes one
    assert server.config.ws_max_size == live_module.LONGEST_FRAME


def test_a_page_that_takes_nothing_is_told_to_come_back(
    people: People, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "PATIENCE", 0.3)
    received = world.mail()
    for _ in range(20):
        # Random, because frames are compressed on their way.
        world.answers("anna", received.ticket_id, secrets.token_hex(500_000))
    with people("giulia").live(max_queue=1) as live:
        live.hello([(received.conversation_id, 0)])
        time.sleep(2)
        with pytest.raises(ConnectionClosed):
            live.next("never", timeout=30)


def test_connections_that_left_are_forgotten(people: People, portal: Server, world: World) -> None:
    world.mail()
    giulia = people("giulia")
    for _ in range(3):
        with giulia.live() as live:
            live.hello([(1, 0)])
            live.next("message")
            assert portal.hub.connections == 1
        assert _soon(lambda: not portal.hub.connections)


def _soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()
