"""A product that may die: runs it, ends parts of it by kill -9, starts again what is dead."""

from __future__ import annotations

import random
import smtplib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.acceptance.product import Product, until
from tests.acceptance.services import Scaled
from tests.acceptance.sink import Sink
from tests.faults.means import answers_noop


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


def kill_mail_edge(product: Product) -> None:
    """End the process that holds the SMTP dialogues by kill -9."""
    port = product.smtp[1]
    for child in psutil.Process(product.processes["serve"].pid).children():
        with suppress(psutil.Error):
            if any(
                one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
                for one in child.net_connections("tcp")
            ):
                child.kill()


def alive_again(product: Product) -> None:
    """Wait until the mail edge answers; its supervisor may have had enough of it."""

    def answers() -> bool:
        revive(product)
        with suppress(OSError, smtplib.SMTPException):
            return answers_noop(product.smtp)
        return False

    until(answers, "the mail edge back", 60)
