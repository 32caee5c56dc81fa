"""The guards of the test run: no socket leaves this machine, and nothing swallows the refusal."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: Addresses set aside for documentation: nobody's, should the guard fail.
ELSEWHERE = [("192.0.2.1", 9), ("2001:db8::1", 9), ("mail.example", 9)]


@pytest.mark.parametrize("address", ELSEWHERE, ids=lambda address: address[0])
def test_another_machine_is_refused(address: tuple[str, int]) -> None:
    with pytest.raises(pytest.fail.Exception, match="only loopback"):
        socket.create_connection(address, timeout=1)


def test_a_handler_of_the_code_under_test_cannot_swallow_the_refusal() -> None:
    assert not issubclass(pytest.fail.Exception, Exception)


def test_a_datagram_to_another_machine_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        pytest.raises(pytest.fail.Exception, match="only loopback"),
    ):
        sender.sendto(b"hello", ELSEWHERE[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_stays_open(host: str) -> None:
    async def connect() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), host, 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.close()
        server.close()

    asyncio.run(connect())


def test_unix_sockets_stay_open(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "door"))
        server.listen()
        client.connect(str(tmp_path / "door"))
