"""`python -m bench [rows…] [--quick] [--rounds N]`: measures and prints tables of ratios."""

from __future__ import annotations

import argparse
import importlib
import time
from typing import cast

from bench.measure import FOLDER, GivenUp, Plan, Table, keep

#: Row -> what it measures; each is a module of this package with `run(plan)`.
ROWS = {
    "accept": "mails answered 250 after the commit, beside bare aiosmtpd",
    "tickets": "mail to Ticket, complete, small and large store, beside installed peers",
    "pages": "the console's queue page with many Tickets",
    "chat": "a chat message seen on the other side, with many open chats",
    "outgoing": "mails handed to the next server",
    "start": "from `sportello serve` to the first page",
}


def main() -> None:
    """Run the rows that were asked for, all of them without a name."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="row", help="; ".join(map(": ".join, ROWS.items()))
    )
    parser.add_argument("--quick", action="store_true", help="few and short samples: to try it out")
    parser.add_argument("--rounds", type=int, help="samples of each thing (5; 2 with --quick)")
    chosen = parser.parse_args()
    if unknown := set(chosen.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    plan = Plan(
        rounds=chosen.rounds or (2 if chosen.quick else 5),
        mails=80 if chosen.quick else 300,
        tickets=5_000 if chosen.quick else 100_000,
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Table] = {}
    for name in chosen.rows or ROWS:
        began = time.monotonic()
        try:
            tables[name] = cast("Table", importlib.import_module(f"bench.{name}").run(plan))
        except GivenUp as fault:
            print(f"\n{name}: not measured: {fault}", flush=True)
            continue
        print(tables[name], flush=True)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    if tables:
        print(f"\nKept as {keep(tables, plan)}. What each row means: bench/README.md")


if __name__ == "__main__":
    main()
