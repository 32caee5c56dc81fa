"""The faults, each done to a running product from outside; numbers as in the reliability page."""

from __future__ import annotations

import random
import smtplib
import socket
import sqlite3
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.acceptance.post import DESK
from tests.acceptance.product import Product, until
from tests.acceptance.services import Scaled, scaled
from tests.acceptance.sink import Sink, open_sink
from tests.faults.means import answer, answers_noop, fill, half_sent, sent_whole, small_disk
from tests.faults.mta import Journal, Test, deliver, in_background, mails, together
from tests.faults.tally import Tally, tally

#: A job whose worker died waits for its lease to end.
LEASE = 90.0
#: Dialogues that are open when a process is killed.
AT_ONCE = 20

Fault = Callable[[Path, int], Tally]


@contextmanager
def running(
    folder: Path, *, sink: Sink | None = None, bound: Scaled | None = None
) -> Iterator[Product]:
    """Run a fresh installation; whatever state the fault leaves it in, it is ended."""
    product = Product(folder, scaled=bound, environment=sink.settings if sink else {})
    product.init()
    try:
        product.start()
        yield product
    finally:
        product.kill()


def revive(product: Product) -> None:
    """Start again what is dead, as the system's service manager would."""
    for name, process in list(product.processes.items()):
        if not process.alive:
            if product.scaled:
                product.restart(name)
            else:
                product.start()


def kill_something(product: Product) -> str:
    """End the whole server, or one process of it, by kill -9; returns what it was."""
    name, process = random.choice(list(product.processes.items()))
    children = psutil.Process(process.pid).children(recursive=True)
    victim = random.choice([None, *children])
    if victim is None:
        process.kill()
        return name
    with suppress(psutil.NoSuchProcess):
        victim.kill()
    return f"child of {name}"


def kill_at_random(product: Product, going_on: Callable[[], bool]) -> Counter[str]:
    """Kill at random moments, and revive, as long as mail flows."""
    killed: Counter[str] = Counter()
    while going_on():
        time.sleep(random.uniform(0.3, 1.5))
        killed[kill_something(product)] += 1
        revive(product)
    return killed


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
            killer = threading.Timer(random.uniform(0, 0.05), _kill_mail_edge, [product])
            killer.start()
            for wire, rest in begun:
                with suppress(OSError):
                    wire.sendall(rest)
            killer.join()
            for wire, _ in begun:
                wire.close()
            _alive_again(product)
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
            _kill_mail_edge(product)
            for wire in wires:
                wire.close()
            _alive_again(product)
            deliver(product.smtp, group, senders=AT_ONCE, journal=journal)
        product.wait_processed(LEASE)
        return tally(product, tests, journal, _repeats(product))


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
        return tally(product, tests, journal, _repeats(product))


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
        arrived = in_background(lambda: deliver(product.smtp, tests, pause=0.2))
        time.sleep(2)
        bound.allow_connections(allowed=False)
        time.sleep(30)
        bound.allow_connections(allowed=True)
        journal = arrived()
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
        return found if not early else Tally(*_numbers(found), wrong=len(early), note=found.note)


def eight_writers(folder: Path, count: int) -> Tally:
    """7: eight peers at once on one embedded store; none of them sees an error."""
    tests = mails(count, "folla")
    with running(folder) as product:
        journal = deliver(product.smtp, tests, senders=8)
        product.wait_processed(LEASE)
        found = tally(product, tests, journal)
        seen = sum(journal.answers.values())
        return Tally(*_numbers(found), wrong=found.wrong + seen, note=found.note)


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
        return tally(product, tests, journal, _repeats(product))


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
        return Tally(*_numbers(found), wrong=found.wrong + (slowest > 30), note=found.note)


#: Number on the reliability page -> fault and how often it is done there.
FAULTS: Mapping[str, tuple[Fault, int]] = {
    "1": (killed_in_data, 500),
    "1b": (killed_while_receiving, 500),
    "2": (killed_before_answer, 200),
    "3": (dropped_after_dot, 200),
    "4": (store_locked, 300),
    "5": (database_away, 300),
    "6": (disk_full, 100),
    "7": (eight_writers, 2_000),
    "8": (sent_again, 500),
    "22": (sender_killed, 500),
    "24": (queue_purged, 500),
    "34": (stopped_under_load, 500),
}


def _numbers(found: Tally) -> tuple[int, int, int, int]:
    return found.tried, found.accepted, found.lost, found.duplicated


def _kill_mail_edge(product: Product) -> None:
    """End the process that holds the SMTP dialogues by kill -9."""
    port = product.smtp[1]
    for child in psutil.Process(product.processes["serve"].pid).children():
        with suppress(psutil.Error):
            if any(
                one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
                for one in child.net_connections("tcp")
            ):
                child.kill()


def _alive_again(product: Product) -> None:
    """Wait until the mail edge answers; its supervisor may have had enough of it."""

    def answers() -> bool:
        revive(product)
        with suppress(OSError, smtplib.SMTPException):
            return answers_noop(product.smtp)
        return False

    until(answers, "the mail edge back", 60)


def _repeats(product: Product) -> str:
    repeats = product.rows("SELECT coalesce(sum(repeats), 0) FROM raw_mail")[0][0]
    return f"{repeats} known again at the door"
