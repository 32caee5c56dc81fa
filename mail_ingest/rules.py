"""What can end a mail before it becomes a Message: one table, first rule that applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, literal_column, select
from sqlalchemy.orm import Session

from core import notifications, operators, requesters
from core.correlation import Match
from core.model import Disposition, IdentityKind, RawMail, table
from core.ports import ports
from mail_ingest.addresses import normalise
from mail_ingest.automatic import WRITTEN_BY_PEOPLE
from mail_ingest.parse import ParsedMail
from mail_ingest.sendable import MAX_ADDRESS, sendable_address

#: Octets of a Message-ID: what is longer cannot be found again, PostgreSQL would not index it.
MAX_ID = 998

_RAW = table(RawMail)

_SAME_WORDS = (
    select(_RAW.c.id)
    .where(
        _RAW.c.desk_id == bindparam("desk"),
        _RAW.c.body_hash == bindparam("body_hash"),
        # As a literal: it has to say what the partial index says.
        _RAW.c.disposition == literal_column(f"'{Disposition.ACCEPTED}'"),
        _RAW.c.id != bindparam("raw"),
    )
    .limit(1)
)
_SAME_MAIL = _SAME_WORDS.where(_RAW.c.message_id == bindparam("message_id"))
_LOOK_ALIKE = _SAME_WORDS.where(
    _RAW.c.message_id.is_(None), _RAW.c.from_address == bindparam("sender")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A mail of the ledger with what it says, as plain values that outlive the session."""

    raw_id: int
    desk_id: int
    desk_code: str
    recipient: str
    envelope_from: str
    disposition: Disposition
    admitted: bool
    held_for: int | None
    """The Conversation that it waited to be let into."""
    mail: ParsedMail | None
    """None: over a limit of the parser."""
    too_complex: str
    body_hash: str

    @property
    def sender(self) -> str:
        """The address it comes from, lower case; empty where it names none that can be one."""
        address = normalise(self.parsed.from_address or self.envelope_from)
        return address if len(address) <= MAX_ADDRESS else ""

    @property
    def message_id(self) -> str | None:
        """The mail's own id, None where it has none that can be used."""
        return usable_id(self.parsed.message_id)

    @property
    def parsed(self) -> ParsedMail:
        """The mail; only to be asked for once `mail` is known to be there."""
        assert self.mail is not None  # noqa: S101 - the first rule sets a complex mail aside first
        return self.mail


@dataclass(frozen=True, slots=True)
class End:
    """How a mail ends without becoming a Message."""

    disposition: Disposition
    reason: str


Rule = Callable[[Session, Read, Match | None, datetime], End | None]


def _too_complex(_: Session, read: Read, __: Match | None, ___: datetime) -> End | None:
    if read.mail is None:
        return End(Disposition.GIVEN_UP, f"Messaggio fuori dai limiti: {read.too_complex}")
    return None


def _own(session: Session, read: Read, _: Match | None, __: datetime) -> End | None:
    """A mail of ours that came back: answering it would be a loop."""
    if read.admitted:
        return None
    stamped = read.parsed.x_loop == ports(session).loop_stamp
    if stamped or ports(session).desks.by_address(read.sender) is not None:
        return End(Disposition.IGNORED, "È una nostra mail tornata indietro.")
    return None


def _automatic(_: Session, read: Read, __: Match | None, ___: datetime) -> End | None:
    """A machine wrote it: it never opens, answers, re-opens or closes (RFC 3834, znuny#138)."""
    reason = read.parsed.auto_reason
    if reason is None or reason in WRITTEN_BY_PEOPLE or read.admitted:
        return None
    return End(Disposition.IGNORED, f"Mail automatica ({reason}).")


def _double(session: Session, read: Read, _: Match | None, __: datetime) -> End | None:
    """The same mail by another way is a double; the same words without an id are only suspect."""
    message_id = read.message_id
    if read.admitted and message_id is None:
        return None
    wanted = {"desk": read.desk_id, "body_hash": read.body_hash, "raw": read.raw_id}
    if message_id is None:
        known = session.connection().scalar(_LOOK_ALIKE, wanted | {"sender": read.sender})
    else:
        known = session.connection().scalar(_SAME_MAIL, wanted | {"message_id": message_id})
    if known is None:
        return None
    if message_id is None:
        return End(Disposition.HELD, "Sembra uguale a una mail già ammessa: controlla e ammetti.")
    return End(Disposition.DUPLICATE, "La stessa mail è già stata ammessa.")


def _from_operator(session: Session, read: Read, match: Match | None, _: datetime) -> End | None:
    """An Operator's mail into a Conversation must not pass for the Requester's (S3-16).

    Whoever writes a From can write an Operator's: admitted by a colleague it becomes a note.
    """
    if match is None or read.admitted or operators.find(session, read.sender) is None:
        return None
    return End(
        Disposition.HELD,
        f"{read.sender} è un operatore: si risponde dalla console. Se la ammetti diventa una"
        " nota interna.",
    )


def _stranger_with_token(_: Session, read: Read, match: Match | None, __: datetime) -> End | None:
    if match is None or match.may_append or not match.signed or read.admitted:
        return None
    return End(Disposition.HELD, f"{read.sender} risponde a una conversazione a cui non partecipa.")


def _unregistered(session: Session, read: Read, match: Match | None, now: datetime) -> End | None:
    """Some Desks take mail from registered addresses only (S2-06): others learn how to register."""
    desk = ports(session).desks[read.desk_code]
    if not desk.registered_senders_only or read.admitted or (match and match.may_append):
        return None
    if read.sender and requesters.registered(session, IdentityKind.EMAIL, read.sender):
        return None
    silent = read.parsed.auto_reason is not None or read.parsed.wants_no_reply
    if sendable_address(read.sender) and not silent:
        notifications.tell_how_to_register(
            session, desk, read.desk_id, read.sender, answers=read.message_id, now=now
        )
    return End(
        Disposition.HELD, f"{read.sender or 'Il mittente'} non è registrato a questo sportello."
    )


#: What can end a mail before it becomes a Message, first that applies.
RULES: tuple[Rule, ...] = (
    _too_complex,
    _own,
    _automatic,
    _double,
    _from_operator,
    _stranger_with_token,
    _unregistered,
)


def usable_id(message_id: str | None) -> str | None:
    """Return a Message-ID that can be stored and found again, else None."""
    return message_id if message_id and len(message_id.encode()) <= MAX_ID else None
