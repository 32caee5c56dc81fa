"""Faults of what stands around: the peer, the store, the disk, the broker."""

from __future__ import annotations

import random
import smtplib
import socket
import sqlite3
import struct
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.post import DESK
from tests.acceptance.product import until
from tests.acceptance.services import scaled
from tests.faults.life import running
from tests.faults.means import answer, fill, sent_whole, small_disk
from tests.faults.mta import Journal, Test, deliver, in_background, mails, together
from tests.faults.tally import AT_ONCE, LEASE, Tally, numbers, repeats, tally


def dropped_after_dot(folder: Path, count: int) -> Tally:
    """3: the client drops after the dot, before it read the 250; half of them with a reset."""
    tests = mails(count, "fuga")

    def drop(test: Test) -> None:
        wire = sent_whole(product.smtp, test)
        if random.random() < 0.5:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()

    with running(folder) as product:
        together(drop, tests, at_once=AT_ONCE)
        journal = deliver(product.smtp, tests)
        product.wait_processed()
        return tally(product, tests, journal, repeats(product))


def store_locked(folder: Path, count: int) -> Tally:
    """4 and 5: somebody else holds the store's lock, longer than anybody waits for it."""
    tests = mails(count, "chiuso")
    with running(folder) as product:
        lock = sqlite3.connect(product.data / "sportello.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        arrived = in_background(lambda: deliver(product.smtp, tests, senders=AT_ONCE))
        time.sleep(35)
        lock.execute("ROLLBACK")
        lock.close()
        journal = arrived()
        product.wait_processed(LEASE)
        return tally(product, tests, journal)


def database_away(folder: Path, count: int) -> Tally:
    """5: PostgreSQL throws everybody out and lets nobody in for half a minute."""
    tests = mails(count, "assente")
    with scaled() as bound, running(folder, bound=bound) as product:
        journal = Journal()
        arrived = in_background(lambda: deliver(product.smtp, tests, pause=0.2, journal=journal))
        until(lambda: len(journal.accepted) > count * 0.3, "a third of the mails")
        bound.allow_connections(allowed=False)
        time.sleep(30)
        bound.allow_connections(allowed=True)
        arrived()
        product.wait_processed(LEASE)
        return tally(product, tests, journal)


def disk_full(folder: Path, count: int) -> Tally:
    """6: no room in the data folder; then there is room again."""
    tests = mails(count, "pieno", size=20_000)
    with ExitStack() as stack:
        stack.enter_context(small_disk(folder / "data"))
        product = stack.enter_context(running(folder))
        ballast = product.data / "ballast"
        fill(ballast)
        answers = Counter(answer(product.smtp, test) for test in tests[: min(count, 20)])
        ballast.unlink()
        journal = deliver(product.smtp, tests)
        product.wait_processed(LEASE)
        said = ", ".join(f"{number} x {code}" for code, number in answers.items())
        found = tally(product, tests, journal, f"while full: {said}")
        early = set(answers) - {452}
        return found if not early else Tally(*numbers(found), wrong=len(early), note=found.note)


def eight_writers(folder: Path, count: int) -> Tally:
    """7: eight peers at once on one embedded store; none of them sees an error."""
    tests = mails(count, "folla")
    with running(folder) as product:
        journal = deliver(product.smtp, tests, senders=8)
        product.wait_processed(LEASE)
        found = tally(product, tests, journal)
        seen = sum(journal.answers.values())
        return Tally(*numbers(found), wrong=found.wrong + seen, note=found.note)


def sent_again(folder: Path, count: int) -> Tally:
    """8: the same mail again, in the same dialogue, in another one, and by another way."""
    tests = mails(count, "ancora")
    trace = b"Received: from relay.example by mx.example; Sun, 22 Nov 2026 10:00:00 +0100\r\n"

    def three_times(test: Test) -> None:
        host, port = product.smtp
        with smtplib.SMTP(host, port, timeout=60) as client:
            for raw in (test.raw, test.raw, trace + test.raw):
                client.sendmail(test.sender, [DESK], raw)

    with running(folder) as product:
        together(three_times, tests, at_once=4)
        journal = deliver(product.smtp, tests)
        product.wait_processed()
        return tally(product, tests, journal, repeats(product))


def queue_purged(folder: Path, count: int) -> Tally:
    """24: what waits on the broker is thrown away, again and again."""
    tests = mails(count, "coda")
    with scaled() as bound, running(folder, bound=bound) as product:
        journal = Journal()
        arrived = in_background(lambda: deliver(product.smtp, tests, pause=0.02, journal=journal))
        purged = 0
        while len(journal.accepted) < count:
            purged += bound.purge()
            time.sleep(0.05)
        arrived()
        product.wait_processed(LEASE)
        return tally(product, tests, journal, f"{purged} tasks thrown away")
