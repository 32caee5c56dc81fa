"""`serve`: what dies is started again, nothing outlives it, and a taken port is said clearly."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app import supervisor
from app.supervisor import Supervisor, bind
from core.errors import SetupError
from tests.acceptance.post import letter, post
from tests.acceptance.product import Product, until

GIULIA = "giulia.bianchi@comune.prato.example"


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """Serve an installation with one process of each role."""
    made = Product(tmp_path, environment={"SPORTELLO_WORKERS": "1"})
    made.init()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def children(product: Product) -> list[psutil.Process]:
    """Return the processes of the roles."""
    return psutil.Process(product.processes["serve"].pid).children()


def all_there(product: Product) -> list[psutil.Process]:
    """Wait for all three roles, and return their processes."""
    found: list[psutil.Process] = until(
        lambda: (now := children(product)) and len(now) == 3 and now, "three children"
    )
    return found


@pytest.mark.faults
@pytest.mark.slow
def test_each_child_that_is_killed_is_started_again(product: Product) -> None:
    for number in range(3):
        child = all_there(product)[number]
        child.kill()
        psutil.wait_procs([child], timeout=20)
        until(lambda: child.pid not in {one.pid for one in children(product)}, "it to be gone")  # noqa: B023 - asked at once
        all_there(product)
    post(product.smtp, letter(GIULIA, "Dopo", "Funziona ancora?"))
    product.wait_processed()
    assert [one["subject"] for one in product.tickets()] == ["Dopo"]


@pytest.mark.faults
@pytest.mark.slow
def test_nothing_outlives_a_parent_that_was_killed(product: Product) -> None:
    left = all_there(product)
    product.kill()
    _, alive = psutil.wait_procs(left, timeout=20)
    assert alive == []


@pytest.mark.slow
def test_a_stop_ends_all_and_says_nothing_wrong(product: Product) -> None:
    left = all_there(product)
    serve = product.processes.pop("serve")
    assert serve.stop() == 0
    _, alive = psutil.wait_procs(left, timeout=20)
    assert alive == []
    assert "Traceback" not in serve.errors()


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_everything_in_one_process_ends_as_politely(tmp_path: Path, signum: signal.Signals) -> None:
    product = Product(tmp_path, environment={"SPORTELLO_WORKERS": "0"})
    product.init()
    product.start()
    serve = product.processes.pop("serve")
    try:
        assert psutil.Process(serve.pid).children() == []
        os.kill(serve.pid, signum)
        assert serve.stop() == 0
    finally:
        serve.kill()


def test_a_taken_port_is_said_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BIND_PATIENCE", 0.15)
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"127.0.0.1:{port}.*--port"):
            bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_said_at_once() -> None:
    with pytest.raises(SetupError, match=r"192\.0\.2\.1:8080"):
        bind("192.0.2.1", 8080)


def test_a_port_that_comes_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    monkeypatch.setattr("app.supervisor.time.sleep", lambda _: taken.close())
    with bind("127.0.0.1", port) as ours:
        assert ours.getsockname()[1] == port


def test_a_child_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SHORT_LIVES", 2)

    def dies() -> None:
        raise SetupError("nothing is as it should be")

    with pytest.raises(SetupError, match="faulty does not start"):
        Supervisor({"faulty": dies}).run()


def test_settings_say_where_sockets_really_listen() -> None:
    with bind("127.0.0.1", 0) as portal, bind("127.0.0.1", 0) as smtp:
        ports = supervisor.bound_ports({"portal": portal, "smtp": smtp})
    assert set(ports) == {"port", "smtp_port"}
    assert 0 not in ports.values()
