"""Row `start`: seconds from `sportello serve` to the first page, and to the console's."""

from __future__ import annotations

import time
from contextlib import ExitStack

from bench.measure import Plan, Table, busy, spread
from bench.product import serving
from bench.tickets import SMALL
from bench.world import world


def run(plan: Plan) -> Table:
    """Start it a few times on a small and on a large store."""
    table = Table(
        f"start: seconds from `sportello serve` to a page ({busy()})",
        ("Tickets", "addresses printed", "first page", "CPU s till then"),
    )
    for tickets in (SMALL, plan.tickets):
        printed, first, cpu = [], [], []
        with ExitStack() as stack:
            folder = stack.enter_context(world(tickets))
            for _ in range(plan.rounds):
                with serving(folder) as product:
                    printed.append(time.perf_counter() - product.begun)
                    assert product.get("/").status_code == 200
                    first.append(time.perf_counter() - product.begun)
                    cpu.append(product.cpu())
        table.lines.append((f"{tickets:,}", spread(printed, 2), spread(first, 2), spread(cpu, 2)))
        table.values[str(tickets)] = {"printed": printed, "first_page": first, "cpu": cpu}
    return table
