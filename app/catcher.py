"""The demo's mail server: takes every outgoing mail, writes it to a folder, passes nothing on."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from concurrent.futures import Future
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from core import clock

#: Bytes of one mail; more than any desk lets out.
LARGEST = 64 * 1024 * 1024
#: Seconds that starting and stopping may take.
PATIENCE = 10.0


class Catcher:
    """An SMTP server on loopback that keeps mails as `<UTC time>-<n>.eml`, sortable by name."""

    def __init__(self, folder: Path, bound: socket.socket | None = None) -> None:
        """Keep mails in `folder`, made at the start; listen on `bound`, or on a free port."""
        self.folder = folder
        self._socket = bound
        self._caught = 0
        self._port: Future[int] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="catcher", daemon=True)

    def start(self) -> int:
        """Listen and return the port."""
        # aiosmtpd logs each command with its addresses at INFO.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self._port.result(PATIENCE)

    def stop(self) -> None:
        """Listen no more; a mail under way is its sender's to repeat."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join(PATIENCE)

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds its hooks by the command's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Write one mail, whole or not at all: a page may be listing the folder."""
        self._caught += 1
        name = f"{clock.now():%Y%m%dT%H%M%S%fZ}-{self._caught:04}.eml"
        aside = self.folder / f".{name}"
        aside.write_bytes(_trace(envelope) + _bytes(envelope.content))
        aside.rename(self.folder / name)
        return "250 2.0.0 Caught; it goes nowhere"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        try:
            if self._socket is not None:
                server = await loop.create_server(self._dialogue, sock=self._socket)
            else:
                server = await loop.create_server(self._dialogue, "127.0.0.1", 0)
        except OSError as fault:
            self._port.set_exception(fault)
            return
        self._port.set_result(server.sockets[0].getsockname()[1])
        await self._ending.wait()
        server.close()

    def _dialogue(self) -> SMTP:
        return SMTP(
            self,
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            hostname="catcher.localhost",
            ident="Sportello's mail catcher",
            loop=self._loop,
        )


def keep_catching(folder: Path, bound: socket.socket) -> None:
    """Catch mail until this process is ended."""
    Catcher(folder, bound).start()
    threading.Event().wait()


def _trace(envelope: Envelope) -> bytes:
    """Return what a final delivery adds, or the envelope is lost (RFC 5321 section 4.4)."""
    # aiosmtpd keeps the null sender as `<>`.
    lines = [f"Return-Path: <{(envelope.mail_from or '').strip('<>')}>"]
    lines += [f"Delivered-To: {recipient}" for recipient in envelope.rcpt_tos]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")


def _bytes(content: bytes | str | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""
