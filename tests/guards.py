"""A pytest plugin: the test process stays on this machine, browser tests come last. No fixtures."""

from __future__ import annotations

import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LOCAL_NAMES = {None, "", "localhost", b"localhost"}


def pytest_configure() -> None:
    """Watch every socket of this process, also those opened by C libraries through Python."""
    sys.addaudithook(_refuse_other_machines)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move browser tests behind all others, keeping the random order within both.

    Playwright's driver leaves an event loop marked as running in this thread until the session
    ends, and no other test could call `asyncio.run` after it.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    target = TARGETS.get(event)
    if target is not None and not _is_local(host := target(arguments)):
        # Not an Exception, so that no handler of the code under test can swallow it.
        pytest.fail(f"a test reached for {host!r} ({event}); only loopback and unix sockets may")


def _host_of_address(arguments: tuple[object, ...]) -> object:
    address = arguments[1]
    return address[0] if isinstance(address, tuple) else None


#: Audit event -> which of its arguments names the other side; a unix socket has no host.
TARGETS: dict[str, Callable[[tuple[object, ...]], object]] = {
    "socket.connect": _host_of_address,
    "socket.sendto": _host_of_address,
    "socket.sendmsg": _host_of_address,
    "socket.getaddrinfo": lambda arguments: arguments[0],
}


def _is_local(host: object) -> bool:
    if host in LOCAL_NAMES:
        return True
    try:
        address = ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
