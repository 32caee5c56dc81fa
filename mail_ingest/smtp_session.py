"""One SMTP or LMTP dialogue on aiosmtpd: which answer each command gets, and how DATA is read.

It parses no mail and opens no database. Why each rule stands: aiosmtpd answers 500 when a handler
raises, answers LMTP once for all recipients, cancels the handler when the peer drops, refuses lines
over 1,000 octets and reads DATA line by line (25 ms CPU for a megabyte).
"""

from __future__ import annotations

import asyncio
import collections
import logging
import re
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from mail_ingest.arrival import Arrived, Clock, Listen, Spool
from mail_ingest.room import Room, is_full

log = logging.getLogger(__name__)

STORED = "250 2.6.0 Message accepted"
RECIPIENT_OK = "250 2.1.5 Recipient OK"
START_DATA = "354 End data with <CR><LF>.<CR><LF>"
BUSY = "421 4.3.2 Too many connections, try again later"
CLOSING = "421 4.3.2 Service closing, try again later"
TOO_SLOW = "421 4.4.2 Timeout, closing the connection"
TRY_LATER = "451 4.3.0 Temporary failure, try again later"
NO_ROOM = "452 4.3.1 Insufficient storage, try again later"
TOO_MANY = "452 4.5.3 Too many recipients, send the rest in another transaction"
BAD_SEQUENCE = "503 5.5.1 Need RCPT before DATA"
NO_ARGUMENT = "501 5.5.4 DATA takes no argument"
CANNOT_VERIFY = "252 2.1.5 Cannot verify, will try to deliver"
NO_AUTH = "502 5.5.1 AUTH is not offered"
UNKNOWN_RECIPIENT = "550 5.1.1 No such recipient here"
TOO_BIG = "552 5.3.4 Message too big for this system"

END_OF_DATA = b"\r\n.\r\n"

#: Longest command; the addresses of bounces and lists outgrow the 512 octets of RFC 5321.
COMMAND_LIMIT = 4096
#: What the stream buffers before it makes the peer wait, not a limit on the length of a line.
BUFFER = 256 * 1024
#: More than the stream ever buffers, so that a read leaves nothing behind.
EVERYTHING = 1 << 30

_PATH = re.compile(r'<(?:@[^:<>]*:)?((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>(.*)', re.DOTALL)
_SIZE = re.compile(r"\bSIZE=(\d{1,20})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(slots=True)
class Edge:
    """What all dialogues of one listener share."""

    spool: Spool
    listen: Listen
    now: Clock
    sessions: set[MailSession] = field(default_factory=set)
    #: Set when the listener stops: a dialogue ends with the mail it is in.
    draining: bool = False
    #: What the mails that are being read or committed may hold together.
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.listen.octets_in_flight)


class _Hooks:
    """The hooks of aiosmtpd that answer without touching its state machine."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def handle_EHLO(
        self,
        _server: SMTP,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        # aiosmtpd offers AUTH as soon as there is TLS; nobody signs in here.
        lines = [line for line in responses if not line.startswith("250-AUTH")]
        lines[-1:-1] = ["250-ENHANCEDSTATUSCODES", "250-PIPELINING"]
        return ["\r\n".join(lines)]

    async def handle_RCPT(
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if len(envelope.rcpt_tos) >= self._edge.listen.max_recipients:
            return TOO_MANY
        try:
            known = self._edge.spool.knows(address)
        except Exception:  # whatever fails is our fault: never 5xx, the peer comes again
            log.exception("the spool could not look up a recipient")
            return TRY_LATER
        if not known:
            return UNKNOWN_RECIPIENT
        envelope.rcpt_tos.append(address)
        return RECIPIENT_OK

    async def handle_VRFY(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _address: str
    ) -> str:
        return CANNOT_VERIFY

    async def handle_exception(self, error: Exception) -> str:
        log.error("unexpected failure in a mail dialogue", exc_info=error)
        return TRY_LATER


class MailSession(SMTP):
    """One connection of a peer that speaks SMTP."""

    command_size_limit = COMMAND_LIMIT
    line_length_limit = BUFFER

    def __init__(self, edge: Edge, loop: asyncio.AbstractEventLoop) -> None:
        self._edge = edge
        #: True from `354` to the answer: a stopping listener lets this mail end.
        self.in_data = False
        #: Octets of the common room that the mail under way has taken.
        self._taken = 0
        # aiosmtpd shares one table among all dialogues and lets each EHLO raise its limits.
        self.command_size_limits = collections.defaultdict(lambda: COMMAND_LIMIT)
        super().__init__(
            _Hooks(edge),
            data_size_limit=edge.listen.size_limit,
            enable_SMTPUTF8=True,
            hostname=edge.listen.hostname,
            ident="Sportello",
            tls_context=edge.listen.tls,
            timeout=edge.listen.idle_seconds,
            loop=loop,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._edge.sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._edge.sessions.discard(self)
        super().connection_lost(error)

    @property
    def is_over(self) -> bool:
        """True once the dialogue has ended, though the connection may still be closing."""
        task = self._handler_coroutine
        return self.transport is None or task is None or task.done()

    def hang_up(self, answer: str) -> None:
        """Say why, then close; a dialogue that is over is left to its own closing."""
        # A TLS transport that was closed twice, as aiosmtpd does after QUIT, breaks on a write.
        if self.transport is not None and not self.is_over:
            _say_and_close(self.transport, answer)

    def abort(self) -> None:
        """Close without a word."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    def _timeout_cb(self) -> None:
        self.hang_up(TOO_SLOW)

    async def smtp_AUTH(self, _arg: str) -> None:
        await self.push(NO_AUTH)

    async def smtp_MAIL(self, arg: str | None) -> None:
        if self._edge.draining:
            self.hang_up(CLOSING)
            return
        declared = _SIZE.search((arg or "").rpartition(">")[2])
        if declared and int(declared[1]) > self._edge.listen.size_limit:
            await self.push(TOO_BIG)
            return
        await super().smtp_MAIL(arg)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Split `<path> parameters`; the null path stays `<>`, because aiosmtpd takes "" for none.

        Liberal (any text that is no control character) and linear, unlike the header parser of
        the standard library that aiosmtpd calls; who is a recipient of ours the spool decides.
        """
        if not arg:
            return "", ""
        clean = arg.strip().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if _CONTROL.search(clean):
            return None, None
        if not clean.startswith("<"):
            address, _, rest = clean.partition(" ")
            return address, rest
        path = _PATH.match(clean)
        if path is None:
            return None, None
        return path[1].strip() or "<>", path[2]

    async def smtp_DATA(self, arg: str) -> None:
        if await self.check_helo_needed():
            return
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push(BAD_SEQUENCE)
            return
        if arg:
            await self.push(NO_ARGUMENT)
            return
        self.in_data = True
        try:
            await self.push(START_DATA)
            raw = await self._read_data()
            answer = raw if isinstance(raw, str) else await self._store(raw, envelope)
        finally:
            self._give_room()
            self.in_data = False
            self.envelope = self._create_envelope()
        await self.push(self.answer_data(answer, len(envelope.rcpt_tos)))
        if self._edge.draining:
            self.hang_up(CLOSING)

    def answer_data(self, answer: str, _recipients: int) -> str:
        """SMTP: one answer for the mail."""
        return answer

    async def _read_data(self) -> bytes | str:
        """Read up to CRLF.CRLF, which alone ends a mail, and undo the dots; else why not.

        Reads whole blocks, and gives what follows the end (a pipelined command) back to the
        stream. A mail over a limit is read to its end and thrown away: answering earlier would
        not stop the peer (RFC 5321 section 4.2.5).
        """
        data = bytearray(b"\r\n")  # the end of the DATA command: a first line "." ends the mail
        refusal = ""
        end = -1
        deadline = self.loop.time() + self._edge.listen.data_seconds
        while end < 0:
            left = max(deadline - self.loop.time(), 0.001)
            self._reset_timeout(min(self._edge.listen.idle_seconds, left))
            block = await self._reader.read(EVERYTHING)
            if not block:
                raise ConnectionResetError
            seen = max(len(data) - len(END_OF_DATA) + 1, 0)
            data += block
            end = data.find(END_OF_DATA, seen)
            size = end if end >= 0 else len(data) - 2 - len(END_OF_DATA)
            refusal = refusal or self._refusal(size)
            if refusal and end < 0:
                del data[: 1 - len(END_OF_DATA)]
        self._give_back(bytes(data[end + len(END_OF_DATA) :]))
        if refusal:
            return refusal
        with memoryview(data) as view:
            raw = bytes(view[2 : end + 2])
        return _undot(raw)

    def _refusal(self, size: int) -> str:
        """Why a mail that has grown to `size` is thrown away; empty while it may go on."""
        if size > self._edge.listen.size_limit:
            self._give_room()
            return TOO_BIG
        more = max(size - self._taken, 0)
        if not self._edge.room.take(more):
            self._give_room()
            return NO_ROOM
        self._taken += more
        return ""

    def _give_room(self) -> None:
        self._edge.room.give(self._taken)
        self._taken = 0

    def _give_back(self, rest: bytes) -> None:
        if rest:
            self._reader.feed_data(rest)  # the read took everything, so the order holds

    async def _store(self, raw: bytes, envelope: Envelope) -> str:
        """Hand the mail to the spool and wait for its commit; only then is it ours."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()  # the peer waits for us now
        try:
            stored = self._edge.spool.put(self._arrived(raw, envelope))
            # The spool holds the octets until then, also when the peer is gone or told to wait.
            taken, self._taken = self._taken, 0
            stored.add_done_callback(lambda _: self._edge.room.give(taken))
            answer = await self._outcome(stored)
        except Exception as error:  # noqa: BLE001 - whatever fails is our fault: never 5xx, the peer comes again
            answer = _our_fault(error)
        self._reset_timeout()
        return answer

    def _arrived(self, raw: bytes, envelope: Envelope) -> Arrived:
        peer: object = self.session.peer if self.session else None  # a tuple, whatever the hint
        sender = envelope.mail_from or ""
        return Arrived(
            raw=raw,
            envelope_from="" if sender == "<>" else sender,
            recipients=tuple(dict.fromkeys(envelope.rcpt_tos)),
            peer=str(peer[0]) if isinstance(peer, tuple) and peer else str(peer or ""),
            source=self._edge.listen.protocol,
            received_at=self._edge.now(),
        )

    async def _outcome(self, stored: Future[None]) -> str:
        # asyncio.wait cancels nothing: neither a peer that drops nor the time limit may undo a
        # commit that is under way.
        waiting = asyncio.wrap_future(stored, loop=self.loop)
        done, _ = await asyncio.wait({waiting}, timeout=self._edge.listen.commit_seconds)
        if not done:
            waiting.add_done_callback(_look_at)
            log.error("the spool did not commit in time")
            return TRY_LATER
        if waiting.cancelled():
            log.error("the spool cancelled a commit")
            return TRY_LATER
        error = waiting.exception()
        return STORED if error is None else _our_fault(error)


class LmtpSession(MailSession):
    """One connection of a peer that speaks LMTP (RFC 2033): LHLO, and an answer per recipient."""

    async def smtp_LHLO(self, arg: str) -> None:
        await super().smtp_EHLO(arg)

    async def smtp_HELO(self, _arg: str) -> None:
        await self.push("500 5.5.1 This is LMTP, say LHLO")

    async def smtp_EHLO(self, _arg: str) -> None:
        await self.push("500 5.5.1 This is LMTP, say LHLO")

    def answer_data(self, answer: str, recipients: int) -> str:
        """LMTP: one answer for each accepted recipient; with fewer the peer would wait on."""
        return "\r\n".join([answer] * recipients)


class Busy(asyncio.Protocol):
    """One connection too many: told to come again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _say_and_close(transport, BUSY)


def _say_and_close(transport: asyncio.BaseTransport, answer: str) -> None:
    # uvloop's transports are no asyncio.Transport by type, only by what they can do.
    cast("asyncio.Transport", transport).write(answer.encode() + b"\r\n")
    transport.close()


def _undot(raw: bytes) -> bytes:
    """Take away the dot that the peer put before each line that begins with one."""
    if raw.startswith(b"."):
        raw = raw[1:]
    return raw.replace(b"\r\n.", b"\r\n") if b"\r\n." in raw else raw


def _look_at(late: asyncio.Future[None]) -> None:
    """Log the end of a commit that nobody waits for; the peer sends again, and is deduplicated."""
    error = None if late.cancelled() else late.exception()
    log.warning("a late commit ended: %s", "stored" if error is None else type(error).__name__)


def _our_fault(error: BaseException) -> str:
    log.error("the spool did not store a mail", exc_info=error)
    return NO_ROOM if is_full(error) else TRY_LATER
