"""Faults in which a process dies, at random or at the worst moment."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.acceptance.services import Scaled
from tests.acceptance.sink import open_sink
from tests.faults.life import alive_again, kill_at_random, kill_mail_edge, revive, running
from tests.faults.means import half_sent, sent_whole
from tests.faults.mta import Journal, deliver, in_background, mails
from tests.faults.tally import AT_ONCE, LEASE, Tally, numbers, repeats, tally


def killed_while_receiving(
    folder: Path, count: int, *, bound: Scaled | None = None, pause: float = 0.15
) -> Tally:
    """Kill anything at random moments while mail comes in from a client that retries."""
    tests = mails(count, "colpo")
    with running(folder, bound=bound) as product:
        journal = Journal()
        arrived = in_background(lambda: deliver(product.smtp, tests, pause=pause, journal=journal))
        killed = kill_at_random(product, lambda: len(journal.accepted) < count * 0.9)
        arrived()
        revive(product)
        product.wait_processed(LEASE)
        note = ", ".join(f"{number} x {name}" for name, number in sorted(killed.items()))
        return tally(product, tests, journal, f"killed {note}")


def killed_in_data(folder: Path, count: int) -> Tally:
    """1: kill -9 of the mail edge at a random moment during DATA."""
    tests = mails(count, "data", size=20_000)
    journal = Journal()
    with running(folder) as product:
        for first in range(0, count, AT_ONCE):
            group = tests[first : first + AT_ONCE]
            begun = [half_sent(product.smtp, test) for test in group]
            killer = threading.Timer(random.uniform(0, 0.05), kill_mail_edge, [product])
            killer.start()
            for wire, rest in begun:
                with suppress(OSError):
                    wire.sendall(rest)
            killer.join()
            for wire, _ in begun:
                wire.close()
            alive_again(product)
            deliver(product.smtp, group, senders=AT_ONCE, journal=journal)
        product.wait_processed(LEASE)
        return tally(product, tests, journal)


def killed_before_answer(folder: Path, count: int) -> Tally:
    """2: the mail is committed, the process dies, and no 250 ever reaches the client."""
    tests = mails(count, "muto")
    journal = Journal()
    with running(folder) as product:
        for first in range(0, count, AT_ONCE):
            group = tests[first : first + AT_ONCE]
            wires = [sent_whole(product.smtp, test) for test in group]
            for wire in wires:
                # The answer is there, so the commit was; the client never reads it.
                wire.recv(1, socket.MSG_PEEK)
            kill_mail_edge(product)
            for wire in wires:
                wire.close()
            alive_again(product)
            deliver(product.smtp, group, senders=AT_ONCE, journal=journal)
        product.wait_processed(LEASE)
        return tally(product, tests, journal, repeats(product))


def sender_killed(folder: Path, count: int) -> Tally:
    """22: kill -9 of whatever sends, while acknowledgements go out to a slow server."""
    tests = mails(count, "uscita")
    with open_sink() as sink, running(folder, sink=sink) as product:
        sink.delay = 0.02
        journal = Journal()
        arrived = in_background(lambda: deliver(product.smtp, tests, pause=0.1, journal=journal))
        killed = kill_at_random(product, lambda: len(journal.accepted) < count * 0.9)
        arrived()
        revive(product)
        product.wait_quiet(2 * LEASE)
        ids = {
            test.sender: {one.mail["Message-ID"] for one in sink.to(test.sender)} for test in tests
        }
        copies = sum(len(sink.to(test.sender)) for test in tests)
        # The reply to the dot may have died with the sender: then the same mail goes out again.
        note = f"{sum(killed.values())} kills, {copies - count} sent again under the same id"
        return Tally(
            tried=count,
            accepted=len(journal.accepted),
            lost=sum(not found for found in ids.values()),
            duplicated=sum(len(found) > 1 for found in ids.values()),
            wrong=journal.refusals,
            note=note,
        )


def stopped_under_load(folder: Path, count: int) -> Tally:
    """34: SIGTERM while mail comes in; the stop is clean and does not take long."""
    tests = mails(count, "alt")
    slowest = 0.0
    with running(folder) as product:
        journal = Journal()
        arrived = in_background(lambda: deliver(product.smtp, tests, pause=0.1, journal=journal))
        while len(journal.accepted) < count * 0.9:
            time.sleep(random.uniform(0.5, 1.5))
            began = time.monotonic()
            product.stop()
            slowest = max(slowest, time.monotonic() - began)
            product.start()
        arrived()
        product.wait_processed()
        found = tally(product, tests, journal, f"slowest stop {slowest:.1f} s")
        return Tally(*numbers(found), wrong=found.wrong + (slowest > 30), note=found.note)
