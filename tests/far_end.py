"""What the sender's tests share: far ends that behave, and far ends that follow a script."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mail_ingest.sender import Mailer, MailOut

SENDER = "assistenza@desk.example"
TO = "mario@comune.example"
MAIL = b"Subject: Re: token\r\n\r\n.punto\r\nProvi ora.\r\n"


class Sink:
    """A far end that keeps what it gets and demands what it is told to."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []
        self.connections = 0
        self.verdict = "250 queued as 42"

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        answers: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return answers

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address.startswith("nessuno"):
            return "550 5.1.1 No such user"
        if address.startswith("piena"):
            return "452 4.2.2 Mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append((envelope.mail_from or "", list(envelope.rcpt_tos), content))
        return self.verdict


def login(
    _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data == LoginPassword(b"desk", b"giusta")
    return AuthResult(success=good, handled=False)


@contextmanager
def far_end(sink: Sink, **settings: Any) -> Iterator[int]:
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    controller = Controller(sink, hostname="127.0.0.1", port=free_port(), **settings)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def out(port: int, **settings: Any) -> MailOut:
    plain: dict[str, Any] = {"security": "none", "timeout": 5.0, "hello": "desk.example"}
    return MailOut(host="127.0.0.1", port=port, **(plain | settings))


@contextmanager
def mailer(settings: MailOut) -> Iterator[Mailer]:
    mailer = Mailer(settings)
    try:
        yield mailer
    finally:
        mailer.close()


Step = tuple[bytes, bytes | None]
HELLO: list[Step] = [(b"EHLO", b"250 far\r\n")]
ENVELOPE: list[Step] = [
    (b"MAIL", b"250 ok\r\n"),
    (b"RCPT", b"250 ok\r\n"),
    (b"DATA", b"354 go\r\n"),
]


@contextmanager
def scripted(*dialogues: Sequence[Step], greeting: bytes = b"220 far\r\n") -> Iterator[int]:
    """Play one dialogue a connection; an answer of None closes it without a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)
    thread = threading.Thread(target=_play, args=(listener, dialogues, greeting))
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()
        thread.join(6)


def _play(listener: socket.socket, dialogues: Sequence[Sequence[Step]], greeting: bytes) -> None:
    for steps in dialogues:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.settimeout(5)
                connection.sendall(greeting)
                for expected, answer in steps:
                    if not _read_until(lines.readline, expected) or answer is None:
                        break
                    connection.sendall(answer)


def _read_until(read: Callable[[], bytes], expected: bytes) -> bool:
    while line := read():
        if line.upper().startswith(expected):
            return True
    return False


DOT = b".\r\n"
ONE_MAIL: list[Step] = [*ENVELOPE, (DOT, b"250 taken\r\n")]
