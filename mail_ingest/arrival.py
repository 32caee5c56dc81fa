"""What the SMTP and LMTP listener hands over, and to whom; it knows no database."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

MIB = 1024 * 1024

Source = Literal["smtp", "lmtp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One mail as it came over the wire, once for all of its recipients."""

    #: The octets between `354` and the final dot, un-dotted and otherwise untouched.
    raw: bytes
    #: The reverse path without its brackets; empty for the null sender of a bounce.
    envelope_from: str
    #: The accepted recipients in the order of RCPT, each once, case as sent.
    recipients: tuple[str, ...]
    #: Address of the peer, for the ledger line.
    peer: str
    #: The protocol it came by.
    source: Source
    #: When the final dot was read (UTC).
    received_at: datetime


class SpoolFull(Exception):
    """There is no room to store the mail: free some disk space. The peer is told 452 4.3.1."""


class Spool(Protocol):
    """Where the listener puts what it accepts. Both methods run in the listener's event loop."""

    def knows(self, address: str) -> bool:
        """Is it an address of ours (a desk's intake, with or without +token)? Must not block."""

    def put(self, mail: Arrived) -> Future[None]:
        """Queue the mail; the future resolves when it is committed, and fails when it is not.

        Must not block. The commit has to go on when nobody waits for the future any more: a peer
        that drops after the final dot does not undo it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Settings of one listener."""

    host: str = "127.0.0.1"
    #: 0 takes a free port.
    port: int = 0
    protocol: Source = "smtp"
    #: Our name in the greeting.
    hostname: str = "localhost"
    #: Largest mail in octets, advertised as SIZE.
    size_limit: int = 30 * MIB
    #: Recipients of one mail; the peer brings the rest in a further transaction.
    max_recipients: int = 100
    max_connections: int = 200
    #: Octets of mail that may wait in memory at once, until committed: beyond it, 452.
    octets_in_flight: int = 256 * MIB
    #: Seconds without a command, or without an octet of DATA.
    idle_seconds: float = 300.0
    #: Seconds for the whole of one DATA, against a peer that drips.
    data_seconds: float = 3600.0
    #: Seconds to wait for the spool before the peer is told to come again.
    commit_seconds: float = 120.0
    #: Offers STARTTLS when given.
    tls: ssl.SSLContext | None = None


#: Where the time comes from: aware, UTC.
Clock = Callable[[], datetime]
