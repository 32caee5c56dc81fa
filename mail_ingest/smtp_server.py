"""The SMTP and LMTP listener: it takes mail for our addresses and answers 250 after the commit.

The dialogue itself is in smtp_session.py; storing is the Spool's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from concurrent.futures import Future
from datetime import UTC, datetime

import uvloop

from mail_ingest.arrival import Arrived, Clock, Listen, Spool, SpoolFull
from mail_ingest.smtp_session import CLOSING, Busy, Edge, LmtpSession, MailSession

__all__ = ["Arrived", "Listen", "MailServer", "Spool", "SpoolFull"]

START_SECONDS = 30.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MailServer:
    """One listener with an event loop of its own in a thread of its own."""

    def __init__(
        self,
        spool: Spool,
        listen: Listen,
        *,
        bound: socket.socket | None = None,
        now: Clock = _utc_now,
    ) -> None:
        """Serve `listen`, on an already bound socket where one is handed in."""
        self._socket = bound
        self._edge = Edge(spool=spool, listen=listen, now=now)
        self._bound: Future[tuple[str, int]] = Future()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._grace = 0.0

    def start(self) -> tuple[str, int]:
        """Bind and serve; returns (host, port). OSError: the address is not to be had."""
        # aiosmtpd logs each command with its addresses at INFO: personal data nobody asked for.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        name = f"{self._edge.listen.protocol}-listener"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        return self._bound.result(START_SECONDS)

    def stop(self, grace: float = 10.0) -> None:
        """Take no more connections, let each mail under way end within `grace` seconds, close.

        A repeat does nothing.
        """
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        self._thread = None
        self._grace = grace
        if thread.is_alive():
            loop.call_soon_threadsafe(self._stopping.set)
        thread.join(grace + START_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        listen = self._edge.listen
        try:
            if self._socket is not None:
                server = await loop.create_server(
                    lambda: self._session(loop), sock=self._socket, backlog=512
                )
            else:
                server = await loop.create_server(
                    lambda: self._session(loop), listen.host, listen.port, backlog=512
                )
        except OSError as error:
            self._bound.set_exception(error)
            return
        host, port = server.sockets[0].getsockname()[:2]
        self._bound.set_result((host, port))
        await self._stopping.wait()
        server.close()
        await self._drain()

    def _session(self, loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
        if len(self._edge.sessions) >= self._edge.listen.max_connections:
            return Busy()
        kind = LmtpSession if self._edge.listen.protocol == "lmtp" else MailSession
        return kind(self._edge, loop)

    async def _drain(self) -> None:
        """Close idle dialogues now, the busy ones as they end, the rest when time is up."""
        self._edge.draining = True
        for session in tuple(self._edge.sessions):
            if not session.in_data:
                session.hang_up(CLOSING)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace
        while loop.time() < deadline:
            if all(session.is_over for session in self._edge.sessions):
                break
            await asyncio.sleep(0.01)
        for session in tuple(self._edge.sessions):
            session.abort()
