"""A client that sends like a mail server: it keeps a mail until it got its 250, and journals."""

from __future__ import annotations

import random
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.policy import SMTP

from tests.acceptance.post import DESK, letter

#: Seconds between two tries of one mail.
PATIENCE = (0.1, 0.6)
#: Seconds after which a mail counts as not accepted.
GIVE_UP = 240.0

PERMANENT = 500


@dataclass(frozen=True, slots=True)
class Test:
    """One mail whose whole way can be recognised by its subject."""

    subject: str
    sender: str
    raw: bytes

    @property
    def text(self) -> str:
        """What its Message must say."""
        return f"Testo di {self.subject}."


@dataclass(slots=True)
class Journal:
    """What a client was told."""

    accepted: set[str] = field(default_factory=set)
    tries: Counter[str] = field(default_factory=Counter)
    #: Answers other than 250, by code; 0 stands for a lost connection.
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def refusals(self) -> int:
        """How often a mail was refused for good, which no fault of ours may cause."""
        return sum(number for code, number in self.answers.items() if code >= PERMANENT)


def mails(count: int, name: str, *, size: int = 0) -> list[Test]:
    """Return `count` mails, each of a sender of its own; `size` octets more in each."""
    return [
        _mail(f"{name} {number:05}", f"{name}{number}@ente.example", size)
        for number in range(count)
    ]


def _mail(subject: str, sender: str, size: int) -> Test:
    more = "\n".join("x" * 70 for _ in range(size // 71))
    text = f"Testo di {subject}.\n" + (f"\n-- \n{more}\n" if more else "")
    raw = letter(sender, subject, text).as_bytes(policy=SMTP)
    return Test(subject, sender, raw)


def deliver(
    address: tuple[str, int],
    tests: Sequence[Test],
    *,
    senders: int = 4,
    pause: float = 0.0,
    journal: Journal | None = None,
) -> Journal:
    """Send all, each until it is accepted; `pause` seconds after each."""
    journal = journal or Journal()
    lock = threading.Lock()

    def send(test: Test) -> None:
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            code = _try(address, test)
            with lock:
                journal.tries[test.subject] += 1
                if code == 250:
                    journal.accepted.add(test.subject)
                else:
                    journal.answers[code] += 1
            if code == 250:
                break
            time.sleep(random.uniform(*PATIENCE))
        time.sleep(pause)

    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, tests))
    return journal


def in_background(work: Callable[[], Journal]) -> Callable[[], Journal]:
    """Start `work` in a thread and return how to wait for what it returns."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future.result


def together(work: Callable[[Test], None], tests: Iterable[Test], *, at_once: int) -> None:
    """Do something with many mails at once; raises what any of it raises."""
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, tests))


def _try(address: tuple[str, int], test: Test) -> int:
    try:
        with smtplib.SMTP(*address, timeout=60) as client:
            client.ehlo("mta.example")
            for code, _ in (client.mail(test.sender), client.rcpt(DESK), client.data(test.raw)):
                if code != 250:
                    return code
            return 250
    except smtplib.SMTPDataError as refused:
        return refused.smtp_code
    except smtplib.SMTPConnectError as refused:
        return refused.smtp_code
    except (OSError, smtplib.SMTPException):
        return 0
