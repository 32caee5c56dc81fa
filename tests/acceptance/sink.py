"""The far end of outgoing mail: a real SMTP server, open, or with STARTTLS and login."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.acceptance.product import until

USER, SECRET = "sportello", "parola d'ordine: 100%#"


@dataclass(frozen=True, slots=True)
class Caught:
    """One mail that arrived, with its envelope."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    signed_in: bool
    encrypted: bool

    @property
    def mail(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def text(self) -> str:
        """Its plain text."""
        body = self.mail.get_body(("plain",))
        return str(body.get_content()).replace("\r\n", "\n") if body is not None else ""


class Sink:
    """Keeps every mail it gets."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, ca_file: Path | None = None) -> None:
        """Take mail from anybody, or with `tls` only after STARTTLS and login."""
        self._ca_file = ca_file
        #: Seconds that each mail takes.
        self.delay = 0.0
        self.mails: list[Caught] = []
        self._lock = threading.Lock()
        self._options: dict[str, Any] = {"hostname": "mx.far.example", "enable_SMTPUTF8": True}
        if tls is not None:
            self._options |= {
                "tls_context": tls,
                "require_starttls": True,
                "auth_required": True,
                "authenticator": _authenticate,
            }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        # Bound from the beginning, so that whoever connects early waits instead of being refused.
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    @property
    def settings(self) -> dict[str, str]:
        """The product's settings that send its mail here."""
        found = {
            "SPORTELLO_MAIL_HOST": "127.0.0.1",
            "SPORTELLO_MAIL_PORT": str(self.port),
            "SPORTELLO_MAIL_SECURITY": "starttls" if self._ca_file else "none",
        }
        if self._ca_file:
            found |= {
                "SPORTELLO_MAIL_USERNAME": USER,
                "SPORTELLO_MAIL_PASSWORD": SECRET,
                "SPORTELLO_MAIL_CA_FILE": str(self._ca_file),
            }
        return found

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(10)

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds its hooks by the command's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep one mail."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        caught = Caught(
            sender=(envelope.mail_from or "").removeprefix("<>"),
            recipients=tuple(envelope.rcpt_tos),
            raw=raw,
            signed_in=bool(session.authenticated),
            encrypted=session.ssl is not None,
        )
        await asyncio.sleep(self.delay)
        with self._lock:
            self.mails.append(caught)
        return "250 2.0.0 OK"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, loop=loop, **self._options), sock=self._socket
        )
        await self._ending.wait()
        server.close()

    def to(self, address: str) -> list[Caught]:
        """Return what came for one recipient, oldest first."""
        with self._lock:
            return [one for one in self.mails if address in one.recipients]

    def wait(self, address: str, count: int = 1, seconds: float = 20.0) -> list[Caught]:
        """Wait for so many mails to one recipient, and return them."""
        found: list[Caught] = until(
            lambda: mails if len(mails := self.to(address)) >= count else [],
            f"{count} mails for {address}, got {[one.mail['subject'] for one in self.to(address)]}",
            seconds,
        )
        return found

    def stays(self, address: str, count: int, seconds: float = 1.0) -> None:
        """Fail where more than `count` mails come for one recipient."""
        time.sleep(seconds)
        assert len(self.to(address)) == count


@contextmanager
def open_sink() -> Iterator[Sink]:
    """Run a sink that takes all mail."""
    sink = Sink()
    sink.start()
    try:
        yield sink
    finally:
        sink.stop()


@contextmanager
def guarded_sink(folder: Path) -> Iterator[Sink]:
    """Run a sink that demands STARTTLS, by a certificate of its own CA, and a login."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = folder / "far-ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    sink = Sink(tls=context, ca_file=trusted)
    sink.start()
    try:
        yield sink
    finally:
        sink.stop()


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        SECRET.encode(),
    )
    return AuthResult(success=known, handled=False)
