"""Stores to measure on: with Operators, customers and so many Tickets; made once, then copied."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, update
from sqlalchemy.orm import Session

from app.wiring import install_desks, open_store
from bench.mails import DESK, INTAKE, customer, mail_id
from config.settings import Settings
from core import migrate, passwords
from core.db import Store
from core.model import (
    AuthorKind,
    Base,
    Channel,
    Content,
    Conversation,
    Delivery,
    DeliveryState,
    Desk,
    DeskMembership,
    Disposition,
    Fact,
    Holder,
    Identity,
    IdentityKind,
    MailRef,
    Message,
    Operator,
    OperatorRole,
    Participant,
    ParticipantKind,
    RawMail,
    Requester,
    Status,
    Ticket,
    TimelineEntry,
    Visibility,
)

FOLDER = Path("var/bench")
MIGRATIONS = Path(migrate.__file__).parent / "migrations" / "versions"
#: Raise it when the rows below change: kept stores are then made anew.
EDITION = 1
#: Every so many Tickets one is still open and can be answered by mail.
LIVE = 5
#: People who get the notices of a reply.
OPERATORS = 2
PASSWORD = "una parola lunga per la misura"  # noqa: S105 - of a made-up Operator in a store of made-up mail
CHUNK = 2_000
FIRST_NUMBER = 20_000

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_LINES = (
    "Buongiorno, la casella certificata non risponde e il protocollo ha una scadenza oggi.\n"
    "Abbiamo provato con un altro computer: il risultato è lo stesso, con il medesimo errore.\n"
) * 3

Row = dict[str, Any]


def operator_address(number: int) -> str:
    """Return the sign-in name of one of the store's Operators."""
    return f"operatore{number}@assistenza.example"


@contextmanager
def world(tickets: int) -> Iterator[Path]:
    """Give a data folder with a store of so many Tickets; it is taken away afterwards."""
    kept = _kept(tickets)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=FOLDER))
    try:
        for file in kept.iterdir():
            shutil.copyfile(file, folder / file.name)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path, **more: Any) -> Settings:
    """Return the default settings of a data folder, whatever the environment says."""
    return Settings.model_construct(data=folder, **more)


def open_world(folder: Path) -> Store:
    """Open the store of a world in this process."""
    return open_store(settings(folder))


def _kept(tickets: int) -> Path:
    """Return the folder whose copy a measurement works on; makes it where there is none."""
    digest = hashlib.sha256()
    for migration in sorted(MIGRATIONS.glob("*.py")):
        digest.update(migration.read_bytes())
    edition = digest.hexdigest()[:8]
    folder = FOLDER / "worlds" / f"{EDITION}-{edition}-{tickets}"
    for other in folder.parent.glob(f"*-{tickets}"):
        if other != folder:  # of another schema: nobody will measure on it again
            shutil.rmtree(other)
    if not folder.is_dir():
        aside = folder.with_name(f".{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        store = open_world(aside)
        migrate.upgrade(store)
        fill(store, tickets)
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        aside.rename(folder)
    return folder


def fill(store: Store, tickets: int) -> None:
    """Load Operators, customers, and `tickets` Tickets with a question, a notice and an answer."""
    desk_id = install_desks(store)[DESK]
    hashed = passwords.hashed(PASSWORD)
    with store.begin() as session:
        _insert(session, Operator, (_operator(n, hashed) for n in range(1, OPERATORS + 1)))
        _insert(session, DeskMembership, (_member(n, desk_id) for n in range(1, OPERATORS + 1)))
        session.execute(
            update(Desk).where(Desk.id == desk_id).values(next_number=FIRST_NUMBER + tickets + 1)
        )
    customers = max(tickets // 5, CHUNK)
    for numbers in _chunks(customers):
        with store.begin() as session:
            _insert(session, Requester, (_requester(n) for n in numbers))
            _insert(session, Identity, (_identity(n) for n in numbers))
    for numbers in _chunks(tickets):
        with store.begin() as session:
            _fill_tickets(session, numbers, desk_id, customers)


def live_tickets(tickets: int, wanted: int) -> list[int]:
    """Return that many Tickets that can be answered, spread over the whole store."""
    live = range(LIVE, tickets + 1, LIVE)
    step = max(len(live) // wanted, 1)
    return list(live[::step][:wanted])


def owner(ticket: int, tickets: int) -> int:
    """Return the customer who asked in a Ticket."""
    return ticket % max(tickets // 5, CHUNK) + 1


def _chunks(count: int) -> Iterator[range]:
    for first in range(1, count + 1, CHUNK):
        yield range(first, min(first + CHUNK, count + 1))


def _insert(session: Session, entity: type[Base], rows: Iterable[Row]) -> None:
    table = entity.__table__
    assert isinstance(table, Table)
    session.connection().execute(insert(table), list(rows))


def _fill_tickets(session: Session, numbers: range, desk_id: int, customers: int) -> None:
    of = {n: n % customers + 1 for n in numbers}
    _insert(session, Content, (_content(n) for n in numbers))
    _insert(session, Conversation, (_conversation(n, desk_id, of[n]) for n in numbers))
    _insert(session, Participant, (_participant(n, of[n]) for n in numbers))
    _insert(session, RawMail, (_raw_mail(n, desk_id, of[n]) for n in numbers))
    _insert(session, Message, (_message(n, seq, of[n]) for n in numbers for seq in (1, 2)))
    _insert(session, MailRef, (_mail_ref(n, kind) for n in numbers for kind in "qna"))
    _insert(session, Ticket, (_ticket(n, desk_id, of[n]) for n in numbers))
    _insert(session, TimelineEntry, (_fact(n, desk_id, f) for n in numbers for f in _FACTS))
    _insert(session, Delivery, (_delivery(n, desk_id, of[n], k) for n in numbers for k in "na"))


def _at(number: int) -> datetime:
    return _BEGIN + timedelta(seconds=60 * number)


def _operator(number: int, hashed: str) -> Row:
    return {
        "id": number,
        "name": f"Operatore {number}",
        "email": operator_address(number),
        "password_hash": hashed,
        "created_at": _BEGIN,
    }


def _member(number: int, desk_id: int) -> Row:
    role = OperatorRole.OPERATORE
    return {"operator_id": number, "desk_id": desk_id, "role": role, "level": 1}


def _requester(number: int) -> Row:
    name = f"Cliente {number}"
    return {"id": number, "name": name, "language": "it", "created_at": _BEGIN}


def _identity(number: int) -> Row:
    return {"requester_id": number, "kind": IdentityKind.EMAIL, "address": customer(number)}


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _content(number: int) -> Row:
    data = f"Subject: mail {number}\r\n\r\nuna mail\r\n".encode()
    return {"sha256": _digest(number), "size": len(data), "data": data}


def _conversation(number: int, desk_id: int, person: int) -> Row:
    return {
        "id": number,
        "desk_id": desk_id,
        "channel": Channel.EMAIL,
        "subject": f"Casella che non risponde, pratica {number}",
        "requester_id": person,
        "holder": Holder.OPERATOR,
        "last_seq": 2,
        "created_at": _at(number),
        "updated_at": _at(number),
    }


def _participant(number: int, person: int) -> Row:
    return {
        "conversation_id": number,
        "kind": ParticipantKind.REQUESTER,
        "requester_id": person,
        "address": customer(person),
    }


def _raw_mail(number: int, desk_id: int, person: int) -> Row:
    return {
        "id": number,
        "desk_id": desk_id,
        "sha256": _digest(number),
        "fingerprint": _digest(-number),
        "recipient": INTAKE,
        "envelope_from": customer(person),
        "source": "smtp",
        "received_at": _at(number),
        "repeats": 0,
        "disposition": Disposition.ACCEPTED,
        "reason": "",
        "from_address": customer(person),
        "subject": f"Casella che non risponde, pratica {number}",
        "message_id": mail_id("q", number),
        "body_hash": _digest(number),
        "conversation_id": number,
    }


def _message(number: int, seq: int, person: int) -> Row:
    asks = seq == 1
    return {
        "id": 2 * number + seq - 2,
        "conversation_id": number,
        "seq": seq,
        "author_kind": AuthorKind.REQUESTER if asks else AuthorKind.OPERATOR,
        "requester_id": person if asks else None,
        "operator_id": None if asks else 1,
        "author_name": f"Cliente {person}" if asks else "Operatore 1",
        "visibility": Visibility.PUBLIC,
        "channel": Channel.EMAIL if asks else Channel.WEB,
        "external_id": str(number) if asks else f"w{number}",
        "body_text": _LINES,
        "raw_mail_id": number if asks else None,
        "at": _at(number),
    }


def _mail_ref(number: int, kind: str) -> Row:
    return {
        "message_id": mail_id(kind, number),
        "conversation_id": number,
        "received": kind == "q",
    }


def _ticket(number: int, desk_id: int, person: int) -> Row:
    live = number % LIVE == 0
    return {
        "id": number,
        "desk_id": desk_id,
        "conversation_id": number,
        "number": FIRST_NUMBER + number,
        "status": Status.TAKEN if live else Status.CLOSED,
        "contact_email": customer(person),
        "assignee_id": 1,
        "level": 1,
        "opened_at": _at(number),
        "updated_at": _at(number),
    }


_FACTS = (Fact.TICKET_OPENED, Fact.TICKET_TAKEN, Fact.OPERATOR_WROTE)


def _fact(number: int, desk_id: int, kind: Fact) -> Row:
    return {
        "desk_id": desk_id,
        "conversation_id": number,
        "kind": kind,
        "actor": "operator:1",
        "data": {},
        "at": _at(number),
    }


def _delivery(number: int, desk_id: int, person: int, kind: str) -> Row:
    """A notice (`n`) or an answer (`a`) that went out."""
    return {
        "desk_id": desk_id,
        "conversation_id": number,
        "message_id": None if kind == "n" else 2 * number,
        "event": "ticket_opened" if kind == "n" else None,
        "channel": Channel.EMAIL,
        "recipient": customer(person),
        "reply_to": INTAKE,
        "mail_id": mail_id(kind, number),
        "in_reply_to": mail_id("q", number),
        "references": [mail_id("q", number)],
        "subject": f"Casella che non risponde, pratica {number}",
        "body_text": _LINES,
        "automatic": kind == "n",
        "state": DeliveryState.SENT,
        "reason": "",
        "created_at": _at(number),
        "sent_at": _at(number),
    }
