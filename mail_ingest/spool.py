"""Commits what the listener accepts: one writer, all waiting mails in one transaction."""

from __future__ import annotations

import hashlib
import queue
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass

import structlog

from core import clock, contents, mailbox
from core.db import Store
from core.desk_profile import Desks
from core.mailbox import Arrival
from mail_ingest.arrival import Arrived, SpoolFull
from mail_ingest.room import is_full

#: Mails of one transaction: beyond this a commit grows dearer than it saves (measured).
BATCH = 128

#: Octets of a head in which trace headers are looked for (the parser takes no longer one).
MAX_HEAD = 256 * 1024

#: Headers that servers on the way add, and in which two copies of one mail differ.
_TRACE = frozenset(
    {
        b"authentication-results",
        b"delivered-to",
        b"dkim-signature",
        b"received",
        b"return-path",
        b"x-original-to",
    }
)
_IDENTIFIED = re.compile(rb"(?im)^(?:message-id|date):[ \t]*\S")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    mail: Arrived
    answer: Future[None]


class SpoolWriter:
    """The listener's Spool on a store: group commit in a thread of its own."""

    def __init__(self, store: Store, desk_ids: Mapping[str, int]) -> None:
        """Write to `store`; `desk_ids` gives the row of each desk code."""
        self._store = store
        self._desks: Desks = store.ports.desks
        self._desk_ids = desk_ids
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="spool", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        self._queue.put(None)
        self._thread.join(timeout=60)

    def knows(self, address: str) -> bool:
        """See arrival.Spool."""
        return self._desks.by_address(address) is not None

    def put(self, mail: Arrived) -> Future[None]:
        """See arrival.Spool."""
        answer: Future[None] = Future()
        self._queue.put(_Waiting(mail, answer))
        return answer

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ended = [first], False
            while len(batch) < BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    ended = True
                    break
                batch.append(following)
            self._commit(batch)
            if ended:
                return

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            arrivals = [one for waiting in batch for one in self._arrivals(waiting.mail)]
            for one in arrivals:
                contents.keep_aside(self._store.ports.files, one.raw)
            with self._store.begin() as session:
                mailbox.spool(session, arrivals, now=clock.now())
        except Exception as fault:  # noqa: BLE001 - the peer is told "try again", whatever it was
            if len(batch) > 1:
                # One mail must not spoil the others' chance.
                for waiting in batch:
                    self._commit([waiting])
                return
            _log.warning("spool.refused", fault=type(fault).__name__, detail=str(fault)[:500])
            _answer(batch[0], _for_listener(fault))
            return
        for waiting in batch:
            _answer(waiting, None)

    def _arrivals(self, mail: Arrived) -> list[Arrival]:
        """One line a Desk, however many of its addresses were named; a signed one is kept."""
        print_ = fingerprint(mail.raw)
        chosen: dict[str, str] = {}
        for recipient in mail.recipients:
            desk = self._desks.by_address(recipient)
            if desk is not None and (desk.code not in chosen or "+" in recipient):
                chosen[desk.code] = recipient.lower()
        return [
            Arrival(
                desk_id=self._desk_ids[code],
                raw=mail.raw,
                fingerprint=print_,
                recipient=recipient,
                envelope_from=mail.envelope_from,
                source=mail.source,
                received_at=mail.received_at,
            )
            for code, recipient in chosen.items()
        ]


def _answer(waiting: _Waiting, fault: Exception | None) -> None:
    # Whoever waited may have gone, and cancelled; the mail stays committed all the same.
    with suppress(InvalidStateError):
        if fault is None:
            waiting.answer.set_result(None)
        else:
            waiting.answer.set_exception(fault)


def fingerprint(raw: bytes) -> str:
    """Return the SHA-256 of a mail less its trace headers: equal for a resend of the same mail.

    A mail with neither Message-ID nor Date could be another one with the same words, so it gets
    a print of its own: a look-alike is held for an Operator, never dropped (peers.md 11).
    """
    end = re.search(rb"\r?\n\r?\n", raw)
    head, body = (raw, b"") if end is None else (raw[: end.start() + 2], raw[end.end() :])
    print_ = hashlib.sha256(_without_trace(head))
    print_.update(b"\0")
    print_.update(body)
    if not _IDENTIFIED.search(head):
        print_.update(secrets.token_bytes(16))
    return print_.hexdigest()


def _without_trace(head: bytes) -> bytes:
    """Leave out trace headers with their folded lines: one pass, whatever the head looks like."""
    kept: list[bytes] = []
    skipping = False
    for line in head[:MAX_HEAD].split(b"\n"):
        if not line.startswith((b" ", b"\t")):
            skipping = _is_trace(line)
        if not skipping:
            kept.append(line)
    return b"\n".join(kept) + head[MAX_HEAD:]


def _is_trace(line: bytes) -> bool:
    name, colon, _ = line.partition(b":")
    name = name.lower()
    if not colon:
        return False
    by_filter = name.startswith(b"x-") and b"-spam" in name
    return name in _TRACE or by_filter or name.startswith(b"arc-")


def _for_listener(fault: Exception) -> Exception:
    return SpoolFull(str(fault)) if is_full(fault) else fault
