"""`python -m tests.faults [--times F] [NUMBER ...]`: every fault many times, as one table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults import deaths, surroundings
from tests.faults.means import CannotBeDone
from tests.faults.tally import Tally

Fault = Callable[[Path, int], Tally]

#: Number on the reliability page -> fault and how often it is done there.
FAULTS: Mapping[str, tuple[Fault, int]] = {
    "1": (deaths.killed_in_data, 500),
    "1b": (deaths.killed_while_receiving, 500),
    "2": (deaths.killed_before_answer, 200),
    "3": (surroundings.dropped_after_dot, 200),
    "4": (surroundings.store_locked, 300),
    "5": (surroundings.database_away, 300),
    "6": (surroundings.disk_full, 100),
    "7": (surroundings.eight_writers, 2_000),
    "8": (surroundings.sent_again, 500),
    "22": (deaths.sender_killed, 500),
    "24": (surroundings.queue_purged, 500),
    "34": (deaths.stopped_under_load, 500),
}

HEAD = "    fault                     tried accepted  lost doubled wrong     s"


def main() -> int:
    """Do the faults named, or all; 1 where anything was lost, doubled or wrong."""
    reader = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    reader.add_argument("numbers", nargs="*", choices=[[], *FAULTS], help="faults [all]")
    reader.add_argument("--times", type=float, default=1.0, metavar="F", help="of each number [1]")
    chosen = reader.parse_args()
    _say(HEAD)
    bad = False
    for number in chosen.numbers or FAULTS:
        fault, count = FAULTS[number]
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = fault(Path(folder), max(1, round(count * chosen.times)))
            except CannotBeDone as why:
                _say(f"{number:>3} {fault.__name__:<24} not done: {why}")
                continue
            except AssertionError as why:
                _say(f"{number:>3} {fault.__name__:<24} FAILED: {why}")
                bad = True
                continue
        seconds = time.monotonic() - began
        _say(
            f"{number:>3} {fault.__name__:<24} {found.tried:>6} {found.accepted:>8} {found.lost:>5}"
            f" {found.duplicated:>7} {found.wrong:>5} {seconds:>5.0f}  {found.note}"
        )
        bad = bad or not found.good or found.accepted < found.tried
    return int(bad)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
