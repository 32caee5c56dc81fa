"""What the listener's tests share: a spool in memory and a client that sends raw octets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

from mail_ingest.smtp_server import Arrived, Listen, MailServer

KNOWN = "assistenza@desk.example"
SECOND = "guasti@desk.example"
MAIL = b"From: mario@comune.example\r\nSubject: token\r\n\r\nNon va.\r\n"


class MemorySpool:
    """Keeps mail in a list and commits in a thread, like the real one; fails as it is told."""

    def __init__(self) -> None:
        self.held: list[Arrived] = []
        self.commit_seconds = 0.0
        self.fault: BaseException | None = None
        self.lookup_fault: Exception | None = None
        self.never_answers = False
        self.put_faults = False

    def knows(self, address: str) -> bool:
        if self.lookup_fault is not None and address == SECOND:
            raise self.lookup_fault
        local, _, domain = address.lower().rpartition("@")
        return f"{local.partition('+')[0]}@{domain}" in (KNOWN, SECOND)

    def put(self, mail: Arrived) -> Future[None]:
        if self.put_faults:
            raise RuntimeError("secret of the house")
        committed: Future[None] = Future()
        if not self.never_answers:
            threading.Thread(target=self._commit, args=(mail, committed)).start()
        return committed

    def _commit(self, mail: Arrived, committed: Future[None]) -> None:
        time.sleep(self.commit_seconds)
        if self.fault is not None:
            committed.set_exception(self.fault)
            return
        self.held.append(mail)
        committed.set_result(None)

    def wait_for(self, count: int) -> list[Arrived]:
        until(lambda: len(self.held) >= count)
        return self.held


def until(met: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Wire:
    """A client that sends exactly the octets it is told."""

    def __init__(self, address: tuple[str, int], *, greeting: bool = True) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self._file = self.socket.makefile("rb")
        if greeting:
            assert self.reply().startswith("220")

    def reply(self) -> str:
        """One answer with all its lines."""
        lines: list[str] = []
        while True:
            line = self._file.readline().decode()
            if not line:
                return "\n".join(lines) or "closed"
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, octets: bytes | str) -> str:
        self.send(octets)
        return self.reply()

    def send(self, octets: bytes | str) -> None:
        data = octets.encode() if isinstance(octets, str) else octets
        self.socket.sendall(data if data.endswith(b"\n") else data + b"\r\n")

    def begin(self, *recipients: str, hello: str = "EHLO client.example") -> None:
        """Up to the 354."""
        assert self.say(hello).startswith("250")
        assert self.say("MAIL FROM:<mario@comune.example>").startswith("250")
        for recipient in recipients or (KNOWN,):
            assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
        assert self.say("DATA").startswith("354")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def listening(spool: MemorySpool, **settings: Any) -> Iterator[tuple[str, int]]:
    server = MailServer(spool, Listen(**settings))
    try:
        yield server.start()
    finally:
        server.stop(grace=2)
