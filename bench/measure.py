"""What a measurement is made of: samples, processes with their CPU time, tables, a JSON record."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

#: Where stores, peers and results are kept; git ignores it.
FOLDER = Path("var/bench")
#: Seconds after which a measurement that does not end is given up.
PATIENCE = 180.0


class GivenUp(Exception):
    """The measurement did not come to its end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured in one run."""

    rounds: int
    mails: int
    """Mails of one sample."""
    tickets: int
    """Tickets of the large store."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one thing: how many, how long, at what CPU time of the server."""

    count: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Things a second."""
        return self.count / self.seconds

    @property
    def cost(self) -> float:
        """Milliseconds of the server's CPU for each."""
        return 1000 * self.cpu / self.count


@dataclass(slots=True)
class Table:
    """The outcome of one row of the bench, ready to print and to keep."""

    title: str
    columns: Sequence[str]
    lines: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [tuple(self.columns), *self.lines]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.columns))]
        text = ["", self.title]
        text += ["  " + _line(line, widths) for line in lines]
        return "\n".join(text + [f"  {note}" for note in self.notes])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    return "  ".join(
        [first, *(cell.rjust(w) for cell, w in zip(cells[1:], widths[1:], strict=True))]
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return `median [least..most]`."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} [{least:,.{digits}f}..{most:,.{digits}f}]"


def ratio(values: Sequence[float], of: Sequence[float]) -> float:
    """Return the median of the ratios of samples that were taken in the same round."""
    return statistics.median(a / b for a, b in zip(values, of, strict=True))


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that `share` (0..1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Server:
    """A server in processes of its own."""

    process: subprocess.Popen[str]
    port: int

    def cpu(self) -> float:
        """Return the CPU seconds of the process and of all its children so far."""
        parent = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
        return sum(one.user + one.system for one in times)


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    """Run `python -m arguments…` until the block ends; its first line on stdout is its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        said = process.stdout.readline()
        if not said.strip().isdigit():
            raise GivenUp(f"{' '.join(arguments)} did not start: {said!r}")
        yield Server(process, int(said))
    finally:
        process.terminate()
        process.wait(30)


def run_json(*arguments: str) -> Any:
    """Run `python -m arguments…` and return what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return json.loads(done.stdout)


def busy() -> str:
    """Say how busy the machine was before a row began."""
    load = os.getloadavg()[0]
    return f"load {load:.1f} on {os.cpu_count()} cores"


def keep(tables: Mapping[str, Table], plan: Plan) -> Path:
    """Write all tables to a JSON file of this moment and return its path."""
    at = datetime.now(UTC)
    path = FOLDER / f"result-{at:%Y%m%d-%H%M%S}.json"
    record = {
        "at": at.isoformat(),
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "rounds": plan.rounds,
        "mails": plan.mails,
        "rows": {
            name: {
                "title": one.title,
                "columns": one.columns,
                "lines": one.lines,
                "notes": one.notes,
                "values": one.values,
            }
            for name, one in tables.items()
        },
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def wait_until(done: Any, *, every: float = 0.01) -> None:
    """Ask `done` until it says yes; raises GivenUp after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise GivenUp("it did not end in time")
        time.sleep(every)
