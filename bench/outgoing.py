"""Row `outgoing`: waiting mails handed to the next server a second, over kept connections."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import insert, select

from bench.mails import INTAKE, customer
from bench.measure import Plan, Sample, Table, busy, server, spread, wait_until
from bench.product import serving
from bench.world import open_world, world
from core import clock, outbox
from core.model import Delivery, table
from core.notifications import DELIVER

_SENT = "SELECT count(*) FROM delivery WHERE state = 'sent'"
TICKETS = 2_000


def run(plan: Plan) -> Table:
    """Let a worker send what waits to a server that discards."""
    result = Table(
        f"outgoing: answers sent a second to a server that discards ({busy()})",
        ("what", "mails/s", "CPU ms/mail"),
    )
    samples = []
    for _ in range(plan.rounds):
        with ExitStack() as stack:
            folder = stack.enter_context(world(TICKETS))
            _put(folder, plan.mails)
            sink = stack.enter_context(server("bench.server", "discard"))
            samples.append(_sample(stack, folder, plan.mails, sink.port))
    rates, costs = [one.rate for one in samples], [one.cost for one in samples]
    result.lines.append(("text of 500 octets", spread(rates), spread(costs, 2)))
    result.notes.append("From the first mail sent to the last recorded as sent; start-up apart.")
    result.values["text"] = {"rate": rates, "cpu_ms": costs}
    return result


def _put(folder: Path, mails: int) -> None:
    """Put answers in the outbox: copies of preloaded ones, which were sent."""
    store = open_world(folder)
    now = clock.now()
    model = table(Delivery)
    with store.begin() as session:
        sent = select(model).where(model.c.message_id.is_not(None)).limit(mails)
        rows = [dict(row._mapping) for row in session.connection().execute(sent)]  # noqa: SLF001 - SQLAlchemy's public name
        for number, row in enumerate(rows):
            del row["id"]
            row |= {
                "state": "waiting",
                "sent_at": None,
                "mail_id": f"<again{number}@bench.example>",
                "recipient": customer(number),
                "reply_to": INTAKE,
                "created_at": now,
            }
        ids = (
            session.connection().execute(insert(model).returning(model.c.id), rows).scalars().all()
        )
        outbox.put_all(session, DELIVER, [{"delivery": one} for one in ids], now=now)
    store.close()


def _sample(stack: ExitStack, folder: Path, mails: int, port: int) -> Sample:
    connection = sqlite3.connect(f"file:{folder / 'sportello.sqlite'}?mode=ro", uri=True)
    stack.callback(connection.close)

    def sent() -> int:
        return int(connection.execute(_SENT).fetchone()[0])

    before = sent()
    product = stack.enter_context(
        serving(folder, mail_host="127.0.0.1", mail_port=port, mail_security="none")
    )
    wait_until(lambda: sent() > before, every=0.002)
    had, cpu, began = sent(), product.cpu(), time.perf_counter()
    wait_until(lambda: sent() == before + mails)
    return Sample(before + mails - had, time.perf_counter() - began, product.cpu() - cpu)
