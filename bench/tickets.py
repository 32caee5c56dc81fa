"""Row `tickets`: mail to Ticket, complete, in a small and in a large store; peers beside it."""

from __future__ import annotations

import json
import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench import peers, sender
from bench.mails import INTAKE, Letter, customer, letter
from bench.measure import (
    Plan,
    Sample,
    Server,
    Table,
    busy,
    ratio,
    run_json,
    server,
    spread,
    wait_until,
)
from bench.world import live_tickets, owner, world

#: Tickets of the small store, so that there is something to reply to.
SMALL = 2_000
CONNECTIONS = 20
KINDS = ("new", "new, new sender", "reply")
COLUMNS = ("what", "Tickets before", "mails/s", "CPU ms/mail", "CPU x small", "rate x slowest peer")

#: Mails that wait for their end, and work that is neither done nor given up; both by an index.
_LEFT = (
    "SELECT (SELECT count(*) FROM raw_mail WHERE disposition = 'waiting')"
    " + (SELECT count(*) FROM outbox_entry WHERE state = 'waiting')"
)


_MESSAGES = "SELECT count(*) FROM message"
_TICKETS = "SELECT count(*) FROM ticket"


@dataclass(slots=True)
class Site:
    """A running Sportello on a store of so many Tickets."""

    tickets: int
    folder: Path
    mail: Server
    worker: Server
    serial: Iterator[int] = field(default_factory=lambda: count(1))

    def cpu(self) -> float:
        """CPU seconds of both processes."""
        return self.mail.cpu() + self.worker.cpu()

    def ask(self, question: str) -> int:
        """Put one SQL question that has a number for an answer."""
        store = sqlite3.connect(f"file:{self.folder / 'sportello.sqlite'}?mode=ro", uri=True)
        try:
            return int(store.execute(question).fetchone()[0])
        finally:
            store.close()

    def letters(self, kind: str, mails: int) -> list[Letter]:
        """Write the mails of one sample; nobody gets more than a few answers in an hour."""
        batch = secrets.token_hex(4)
        if kind == "reply":
            live = live_tickets(self.tickets, mails)
            return [
                letter(
                    f"{batch}.{n}",
                    customer(owner(live[n % len(live)], self.tickets)),
                    answers=live[n % len(live)],
                )
                for n in range(mails)
            ]
        if kind == "new":
            return [
                letter(f"{batch}.{n}", customer(next(self.serial) % 2_000 + 1))
                for n in range(mails)
            ]
        return [letter(f"{batch}.{n}", f"nuovo.{batch}.{n}@altrove.example") for n in range(mails)]

    def sample(self, kind: str, mails: int) -> Sample:
        """Send mails and wait until each has its end and nothing is left to do."""
        path = self.folder / "letters.json"
        sender.write(path, self.letters(kind, mails))
        counted = _MESSAGES if kind == "reply" else _TICKETS
        had, before = self.ask(counted), self.cpu()
        seconds: float = run_json("bench.tickets", str(self.mail.port), str(path), str(self.folder))
        sample = Sample(mails, seconds, self.cpu() - before)
        assert self.ask(counted) == had + mails, "not each mail became a Message"
        return sample


def run(plan: Plan) -> Table:
    """Measure Sportello on both stores and the peers that are installed, in turn."""
    table = Table(f"tickets: mails of 4 KB processed a second ({busy()})", COLUMNS)
    samples: dict[tuple[str, str, int], list[Sample]] = {}
    with ExitStack() as stack:
        sites = [_site(stack, tickets) for tickets in (SMALL, plan.tickets)]
        others = peers.installed(stack)
        for _ in range(plan.rounds):
            for site in sites:
                for kind in KINDS:
                    taken = site.sample(kind, plan.mails)
                    samples.setdefault(("sportello", kind, site.tickets), []).append(taken)
            for peer in others:
                taken = peer.sample(max(plan.mails // 3, 20))
                samples.setdefault((peer.name, "new", 0), []).append(taken)
    _fill(table, samples)
    table.notes.append(
        "processed: numbered Ticket, Message, Timeline, correlation; notices rendered, not sent."
    )
    if not others:
        table.notes.append("No peers here: `make bench-peers` installs them.")
    return table


def _site(stack: ExitStack, tickets: int) -> Site:
    folder = stack.enter_context(world(tickets))
    mail = stack.enter_context(server("bench.server", "mail", str(folder)))
    worker = stack.enter_context(server("bench.server", "worker", str(folder)))
    site = Site(tickets, folder, mail, worker)
    for kind in KINDS:
        site.sample(kind, 40)
    return site


def _fill(table: Table, samples: Mapping[tuple[str, str, int], list[Sample]]) -> None:
    theirs = [
        [one.rate for one in taken] for (name, *_), taken in samples.items() if name != "sportello"
    ]
    slowest = min(theirs, key=sum, default=None)
    for (name, kind, tickets), taken in samples.items():
        rates, costs = [one.rate for one in taken], [one.cost for one in taken]
        small = samples.get((name, kind, SMALL))
        growth = ratio(costs, [one.cost for one in small]) if small else None
        table.lines.append(
            (
                f"{name}: {kind}",
                f"{tickets:,}",
                spread(rates),
                spread(costs, 2),
                f"{growth:.2f}" if growth and tickets != SMALL else "",
                f"{ratio(rates, slowest):.1f}" if slowest else "",
            )
        )
        table.values[f"{name}: {kind}, {tickets}"] = {"rate": rates, "cpu_ms": costs}


def main() -> None:
    """Send letters, wait until all is processed, print the seconds: `PORT LETTERS FOLDER`."""
    port, path, folder = sys.argv[1:]
    letters = sender.read(Path(path))
    store = sqlite3.connect(f"file:{folder}/sportello.sqlite?mode=ro", uri=True)
    began = time.perf_counter()
    sender.send(int(port), CONNECTIONS, letters, INTAKE)
    wait_until(lambda: store.execute(_LEFT).fetchone()[0] == 0)
    print(json.dumps(time.perf_counter() - began))


if __name__ == "__main__":
    main()
