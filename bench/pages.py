"""Row `pages`: pages of the console with many Tickets, by HTTP, signed in as an Operator."""

from __future__ import annotations

import time
from contextlib import ExitStack

import httpx

from bench.measure import Plan, Table, busy, percentile
from bench.product import Product, serving, sign_in
from bench.tickets import SMALL
from bench.world import world

PAGES = {
    "queue": "/console",
    "queue, a search by number": "/console?q=20100",
    "one Ticket": "/console/ticket/1995",
}


def run(plan: Plan) -> Table:
    """Open each page again and again, one browser at a time."""
    table = Table(
        f"pages: milliseconds a page of the console takes ({busy()})",
        ("page", "Tickets", "p50", "p95", "CPU ms/page"),
    )
    visits = 10 * plan.rounds
    with ExitStack() as stack:
        for tickets in (SMALL, plan.tickets):
            folder = stack.enter_context(world(tickets))
            product = stack.enter_context(serving(folder))
            browser = sign_in(product)
            for name, path in PAGES.items():
                taken, cost = _sample(product, browser, path, visits)
                line = (percentile(taken, 0.5), percentile(taken, 0.95), cost)
                table.lines.append((name, f"{tickets:,}", *(f"{value:.1f}" for value in line)))
                table.values[f"{name}, {tickets}"] = {"ms": taken, "cpu_ms": cost}
    return table


def _sample(
    product: Product, browser: httpx.Client, path: str, visits: int
) -> tuple[list[float], float]:
    """Return the milliseconds of each visit, and the CPU milliseconds of one."""
    for _ in range(5):
        answer = browser.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
    before = product.cpu()
    taken = []
    for _ in range(visits):
        began = time.perf_counter()
        browser.get(path)
        taken.append(1000 * (time.perf_counter() - began))
    return taken, 1000 * (product.cpu() - before) / visits
