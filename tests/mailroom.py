"""The way of a mail through the small named world: accepted, processed, answered, looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from sqlalchemy import func, select

from app.jobs import Handler, job_list
from app.runner import Runner
from core import mailbox, operators, tickets
from core.db import Store
from core.model import (
    Delivery,
    DeliveryState,
    Message,
    Operator,
    OperatorRole,
    OutboxEntry,
    RawMail,
    Ticket,
    TimelineEntry,
)
from mail_ingest.arrival import Arrived
from mail_ingest.deliver import Courier
from mail_ingest.spool import SpoolWriter
from tests.world import World

RTPEC = "assistenza.rt@namirial.com"
CONDAFNE = "hdintesa@advalia.com"
KYBERNES = "assistenza@kybernes.example"
RMA = "odr@infocamere.it"

GIULIA = "giulia.bianchi@comune.prato.example"
MARCO = "marco.neri@comune.siena.example"
ANNA = "anna.rossi@sportello.example"
BRUNO = "bruno.conti@sportello.example"
#: Nobody knows her.
SARA = "sara.verdi@altrove.example"

_FROM = {GIULIA: "Giulia Bianchi", MARCO: "Marco Neri", SARA: "Sara Verdi"}


def letter(
    sender: str = GIULIA,
    *,
    to: str = RTPEC,
    text: str = "Non riesco ad accedere alla casella.",
    subject: str = "Accesso alla casella",
    **headers: str,
) -> bytes:
    """Return a mail without Message-ID and Date.

    Further headers by name with `_` for `-`: `In_Reply_To="<1@comune.example>"`. An empty
    `sender` leaves From out.
    """
    message = EmailMessage()
    if sender:
        message["From"] = f"{_FROM[sender]} <{sender}>" if sender in _FROM else sender
    message["To"] = to
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes()


def reply(delivery: Delivery, sender: str = GIULIA, **changes: str) -> bytes:
    """Return what a mail program makes of "reply" to a mail of ours."""
    fields = {
        "to": delivery.reply_to,
        "text": "Grazie, ma non va ancora.",
        "subject": f"Re: {delivery.subject}",
        "In_Reply_To": delivery.mail_id,
        "References": " ".join([*delivery.references, delivery.mail_id]),
    }
    return letter(sender, **fields | changes)


def recipients(deliveries: Sequence[Delivery]) -> list[str]:
    """Return to whom each Delivery goes."""
    return [delivery.recipient for delivery in deliveries]


def arrived(raw: bytes, *to: str, world: World, envelope_from: str = GIULIA) -> Arrived:
    """Return a mail as the listener hands it over."""
    return Arrived(
        raw=raw,
        envelope_from=envelope_from,
        recipients=to or (RTPEC,),
        peer="127.0.0.1",
        source="smtp",
        received_at=world.now,
    )


@dataclass
class Mailroom:
    """What happens to mail in a World, and what is there afterwards."""

    world: World
    _letters: int = 0

    @property
    def store(self) -> Store:
        """The World's store."""
        return self.world.store

    # --- in --------------------------------------------------------------------------------

    def mail(self, sender: str = GIULIA, **parts: str) -> bytes:
        """Return a mail with an id and a date of its own; `parts` are those of `letter`."""
        self._letters += 1
        own = {
            "Message_ID": f"<letter-{self._letters}@comune.prato.example>",
            "Date": format_datetime(self.world.now),
        }
        return letter(sender, **own | parts)

    def reply(self, delivery: Delivery, sender: str = GIULIA, **changes: str) -> bytes:
        """Return an answer to a mail of ours, with an id of its own."""
        self._letters += 1
        own = {"Message_ID": f"<letter-{self._letters}@comune.prato.example>"}
        return reply(delivery, sender, **own | changes)

    def arrive(self, raw: bytes, *to: str, envelope_from: str = GIULIA) -> RawMail:
        """Accept a mail as the listener does and process it; return its newest line."""
        self.spool(raw, *to, envelope_from=envelope_from)
        self.process()
        return self.ledger()[-1]

    def spool(self, raw: bytes, *to: str, envelope_from: str = GIULIA) -> None:
        """Accept a mail as the listener does: on return it is committed."""
        writer = SpoolWriter(self.store, self.world.desk_ids)
        writer.start()
        try:
            one = arrived(raw, *to, world=self.world, envelope_from=envelope_from)
            writer.put(one).result(timeout=30)
        finally:
            writer.stop()

    def process(self) -> None:
        """Work off the mails that wait; what goes out stays in the outbox."""
        runner = Runner(self.store, handlers(mailbox.PROCESS))
        while runner.run_due():
            pass

    # --- what Operators do -----------------------------------------------------------------

    def operator(self, name: str, desk: str, role: OperatorRole) -> str:
        """Add an Operator to a desk and return their address."""
        email = f"{name.lower()}@sportello.example"
        with self.store.begin() as session:
            operators.add(
                session,
                name=f"{name} Ferri",
                email=email,
                password_hash=None,
                desks={self.world.desk_ids[desk]: role},
                now=self.world.now,
            )
        return email

    def act(self, verb: str, ticket_id: int, email: str = ANNA, **words: Any) -> Any:
        """Let an Operator do something to a Ticket: a verb of core.tickets, in its transaction."""
        usual: Mapping[str, dict[str, Any]] = {
            "answer": {"text": "Ora funziona: riprova."},
            "note": {"text": "Chiamare il gestore."},
            "solve": {"solution": "Casella sbloccata."},
        }
        with self.store.begin() as session:
            ticket = session.get_one(Ticket, ticket_id)
            operator = session.scalars(select(Operator).where(Operator.email == email)).one()
            said = usual.get(verb, {}) | words
            return getattr(tickets, verb)(session, ticket, operator, **said, now=self.world.now)

    def decide(self, verb: str, raw_id: int, email: str = ANNA) -> None:
        """Let an Operator `admit`, `refuse` or `retry` a mail, and process what follows."""
        with self.store.begin() as session:
            line = session.get_one(RawMail, raw_id)
            operator = session.scalars(select(Operator).where(Operator.email == email)).one()
            getattr(mailbox, verb)(session, line, operator, now=self.world.now)
        self.process()

    # --- what is there ---------------------------------------------------------------------

    def outgoing(self, event: str | None = None, *, suppressed: bool = False) -> list[Delivery]:
        """Return what goes out, or what must not, in the order in which it was put."""
        query = select(Delivery).order_by(Delivery.id)
        if event is not None:
            query = query.where(Delivery.event == event)
        held_back = Delivery.state == DeliveryState.SUPPRESSED
        return self._all(query.where(held_back if suppressed else ~held_back))

    def tickets(self) -> list[Ticket]:
        """Return all Tickets, oldest first."""
        return self._all(select(Ticket).order_by(Ticket.id))

    def messages(self, conversation_id: int) -> list[Message]:
        """Return the Messages of a Conversation in their order."""
        return self._all(
            select(Message).where(Message.conversation_id == conversation_id).order_by(Message.seq)
        )

    def ledger(self) -> list[RawMail]:
        """Return the lines of all mails, oldest first."""
        return self._all(select(RawMail).order_by(RawMail.id))

    def outbox(self, topic: str | None = None) -> list[OutboxEntry]:
        """Return all work, oldest first."""
        query = select(OutboxEntry).order_by(OutboxEntry.id)
        return self._all(query if topic is None else query.where(OutboxEntry.topic == topic))

    def facts(self, conversation_id: int) -> list[TimelineEntry]:
        """Return the Timeline of a Conversation."""
        return self._all(
            select(TimelineEntry)
            .where(TimelineEntry.conversation_id == conversation_id)
            .order_by(TimelineEntry.id)
        )

    def count(self, model: type[Any]) -> int:
        """Return how many rows of a kind there are."""
        with self.store.read() as session:
            return session.scalar(select(func.count()).select_from(model)) or 0

    def _all(self, query: Any) -> list[Any]:
        with self.store.read() as session:
            return list(session.scalars(query))


def handlers(*topics: str, courier: Courier | None = None) -> dict[str, Handler]:
    """Return the real handlers of some topics."""
    every = job_list(courier or Courier(None, loop_stamp="0123456789abcdef"))
    return {topic: every[topic] for topic in topics}
