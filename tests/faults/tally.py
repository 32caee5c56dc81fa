"""Compares what a client was told with what stands in the store: lost, duplicated, wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.acceptance.product import Product
from tests.faults.mta import Journal, Test

#: Seconds that mail may take to be processed: a job whose worker died waits for its lease to end.
LEASE = 90.0
#: Dialogues that are open at once.
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Tally:
    """The result of one fault, as reliability reports are written."""

    tried: int
    accepted: int
    lost: int
    duplicated: int
    wrong: int
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether all that was accepted is there, once and right."""
        return not (self.lost or self.duplicated or self.wrong)


def tally(product: Product, tests: Iterable[Test], journal: Journal, note: str = "") -> Tally:
    """Count the Tickets of `tests` by the command line, and their Messages in the store.

    Lost: accepted and not there. Duplicated: a second Ticket or Message. Wrong: other text, or a
    refusal for good that no mail here deserves.
    """
    known = {test.subject: test for test in tests}
    tickets = Counter(row["subject"] for row in product.tickets() if row["subject"] in known)
    messages: dict[str, list[str]] = {subject: [] for subject in known}
    for subject, text in product.rows(
        "SELECT c.subject, m.body_text FROM message m"
        " JOIN conversation c ON c.id = m.conversation_id WHERE m.author_kind = 'requester'"
    ):
        if subject in known:
            messages[subject].append(text)
    return Tally(
        tried=len(known),
        accepted=len(journal.accepted),
        lost=sum(not tickets[subject] for subject in journal.accepted),
        duplicated=sum(max(tickets[subject], len(messages[subject])) > 1 for subject in known),
        wrong=journal.refusals
        + sum(
            not text.startswith(known[subject].text)
            for subject, texts in messages.items()
            for text in texts
        ),
        note="; ".join(filter(None, [note, _answers(journal)])),
    )


def numbers(found: Tally) -> tuple[int, int, int, int]:
    """Return tried, accepted, lost and duplicated."""
    return found.tried, found.accepted, found.lost, found.duplicated


def repeats(product: Product) -> str:
    """Say how many mails the ledger knew when they came again."""
    known = product.rows("SELECT coalesce(sum(repeats), 0) FROM raw_mail")[0][0]
    return f"{known} known again at the door"


def _answers(journal: Journal) -> str:
    told = [f"{number} x {code or 'connection lost'}" for code, number in journal.answers.items()]
    return ", ".join(sorted(told))
