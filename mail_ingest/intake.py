"""Turns a committed mail into a Message, a Ticket or another end: read, think, record."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core import (
    contents,
    conversations,
    correlation,
    mailbox,
    operators,
    requesters,
    tickets,
)
from core.conversations import File
from core.correlation import Match
from core.db import Store
from core.desk_profile import DeskProfile
from core.incoming import Incoming
from core.mailbox import MailFacts
from core.model import (
    Channel,
    Desk,
    Disposition,
    IdentityKind,
    Operator,
    ParticipantKind,
    RawMail,
    Ticket,
    table,
)
from core.ports import ports
from core.requesters import Known
from mail_ingest.addresses import normalise
from mail_ingest.parse import MailTooComplex, ParsedMail, parse
from mail_ingest.quoting import new_part
from mail_ingest.rules import RULES, End, Read, usable_id
from mail_ingest.sendable import MAX_ADDRESS, sendable_address

_RAW = table(RawMail)
_DESK = table(Desk)

# Made once: building a statement costs more than running it.
_LINE = (
    select(
        _RAW.c.desk_id,
        _RAW.c.sha256,
        _RAW.c.recipient,
        _RAW.c.envelope_from,
        _RAW.c.disposition,
        _RAW.c.conversation_id,
        _DESK.c.code,
    )
    .join(_DESK, _DESK.c.id == _RAW.c.desk_id)
    .where(_RAW.c.id == bindparam("raw"))
)

#: People in copy of one mail that take part from then on.
COPIES_KEPT = 20


def think(store: Store, payload: dict[str, Any]) -> Read | None:
    """Read a mail and parse it, outside any transaction; None where the line is gone."""
    with store.read() as session:
        line = session.connection().execute(_LINE, {"raw": payload["raw"]}).one_or_none()
        if line is None:
            return None
        raw = contents.get(session, ports(session).files, line.sha256)
    mail, too_complex = None, ""
    try:
        mail = parse(raw, envelope_from=line.envelope_from)
        for file in mail.attachments:
            contents.keep_aside(store.ports.files, file.data)
    except MailTooComplex as fault:
        too_complex = str(fault)
    return Read(
        raw_id=payload["raw"],
        desk_id=line.desk_id,
        desk_code=line.code,
        recipient=line.recipient,
        envelope_from=line.envelope_from,
        disposition=line.disposition,
        admitted=bool(payload.get("admitted")),
        held_for=line.conversation_id,
        mail=mail,
        too_complex=too_complex,
        body_hash=_body_hash(raw),
    )


def record(session: Session, read: Read | None, *, now: datetime) -> None:
    """Give the mail its end, in one transaction; a mail that has one already is left alone."""
    if read is None or read.disposition is not Disposition.WAITING:
        return
    match = None if read.mail is None else _match(session, read)
    for rule in RULES:
        end = rule(session, read, match, now)
        if end is not None:
            _settle(session, read, end, match, now=now)
            return
    _accept(session, read, match, now=now)


def failed(
    session: Session,
    payload: dict[str, Any],
    fault: BaseException,
    *,
    given_up: bool,
    now: datetime,
) -> None:
    """Set a mail aside that failed too often; it stays visible, whole, with *Try again*."""
    if given_up:
        mailbox.give_up(session, payload["raw"], reason=str(fault), now=now)


def _match(session: Session, read: Read) -> Match | None:
    if read.admitted and read.held_for is not None:
        return Match(read.held_for, may_append=True, signed=True)
    mail = read.parsed
    desks = ports(session).desks
    addresses = (read.recipient, *(one.address for one in (*mail.to, *mail.cc)))
    tags = [tag for one in addresses if (tag := _tag(one)) and desks.by_address(one) is not None]
    return correlation.match(
        session,
        keys=ports(session).reply_keys,
        tags=list(dict.fromkeys(tags)),
        # Not Reply-To: it only says where answers should go, and nobody vouches for it.
        senders=(read.sender,) if read.sender else (),
        references=_cited(mail),
        subject=mail.subject,
        desk_id=read.desk_id,
    )


def _settle(session: Session, read: Read, end: End, match: Match | None, *, now: datetime) -> None:
    held_for = read.held_for
    if match is not None and (match.may_append or match.signed):
        held_for = match.conversation_id
    mailbox.settle(
        session,
        read.raw_id,
        end.disposition,
        reason=end.reason,
        facts=_facts(read),
        conversation_id=held_for,
        now=now,
    )


def _accept(session: Session, read: Read, match: Match | None, *, now: datetime) -> None:
    if match is not None and read.admitted:
        operator = operators.find(session, read.sender)
        if operator is not None:
            _note(session, read, match, operator, now=now)
            return
    desk = ports(session).desks[read.desk_code]
    person = _requester(session, read, now=now)
    incoming = _incoming(read, desk, person, address=_answers_to(session, read))
    if match is None:
        received = tickets.receive(session, incoming, now=now)
    elif match.may_append:
        received = tickets.receive(
            session, incoming, conversation_id=match.conversation_id, now=now
        )
        if read.admitted:
            conversations.add_participant(
                session,
                received.conversation_id,
                ParticipantKind.CC,
                address=read.sender,
                requester_id=person.id,
            )
    else:
        received = tickets.open_follow_up(
            session, incoming, of_conversation=match.conversation_id, now=now
        )
    if _may_bring_copies(read, match):
        _add_copies(session, read, received.conversation_id)
    reason = "" if match is None or match.may_append else "Mittente estraneo: ticket collegato."
    mailbox.settle(
        session,
        read.raw_id,
        Disposition.ACCEPTED,
        reason=reason,
        facts=_facts(read),
        conversation_id=received.conversation_id,
        now=now,
    )


def _note(session: Session, read: Read, match: Match, operator: Operator, *, now: datetime) -> None:
    ticket = session.scalars(
        select(Ticket).where(Ticket.conversation_id == match.conversation_id)
    ).one()
    text = read.parsed.text.strip() or "(messaggio senza testo)"
    tickets.note(session, ticket, operator, text=text, files=_files(read.parsed), now=now)
    mailbox.settle(
        session,
        read.raw_id,
        Disposition.ACCEPTED,
        reason="Mail di un operatore: nota interna.",
        facts=_facts(read),
        conversation_id=match.conversation_id,
        now=now,
    )


def _requester(session: Session, read: Read, *, now: datetime) -> Known:
    name = read.parsed.from_name.strip()
    if not read.sender:
        person = requesters.visitor(session, name=name or "Mittente sconosciuto", now=now)
        return Known(person.id, person.name, person.language, new=True)
    return requesters.resolve(session, IdentityKind.EMAIL, read.sender, name=name, now=now)


def _answers_to(session: Session, read: Read) -> str | None:
    """Where answers go: as the sender asks, unless that is nowhere or one of our own mailboxes.

    Where only registered addresses are let in, only they get answers: a From is easily forged.
    """
    desks = ports(session).desks
    reply_to = normalise(read.parsed.reply_to or "")
    registered_only = desks[read.desk_code].registered_senders_only
    for asked in (read.sender,) if registered_only else (reply_to, read.sender):
        if sendable_address(asked) and desks.by_address(asked) is None:
            return asked
    return None


def _incoming(read: Read, desk: DeskProfile, person: Known, *, address: str | None) -> Incoming:
    mail = read.parsed
    text = mail.text.strip()
    new = new_part(text).strip() if text else ""
    return Incoming(
        desk_id=read.desk_id,
        desk=desk,
        channel=Channel.EMAIL,
        requester_id=person.id,
        requester_name=person.name,
        address=address,
        language=person.language,
        subject=mail.subject,
        text=new or text or "(messaggio senza testo)",
        full_text=text if new and new != text else None,
        html_clean=mail.html,
        files=_files(mail),
        external_id=str(read.raw_id),
        raw_mail_id=read.raw_id,
        mail_id=read.message_id or "",
        mail_ids=_cited(mail),
        automatic_source=mail.auto_reason or ("asked" if mail.wants_no_reply else None),
    )


def _files(mail: ParsedMail) -> tuple[File, ...]:
    return tuple(
        File(
            name=one.name,
            content_type=one.content_type,
            data=one.data,
            inline=one.inline,
            content_id=one.content_id,
        )
        for one in mail.attachments
    )


def _may_bring_copies(read: Read, match: Match | None) -> bool:
    """Only to a Ticket of its own, or by a reply token that our own mail gave away.

    A From and a reference in the subject are easily forged: whoever brought copies by them would
    get each answer from then on. Admitting a mail is said of its sender, not of the copies.
    """
    if match is None or not match.may_append:
        return True
    return match.signed and not read.admitted


def _add_copies(session: Session, read: Read, conversation_id: int) -> None:
    """Let people in copy take part: their answers belong here (osTicket's collaborators)."""
    desks = ports(session).desks
    copies = {
        normalise(one.address)
        for one in (*read.parsed.to, *read.parsed.cc)
        if sendable_address(normalise(one.address)) and desks.by_address(one.address) is None
    } - {read.sender}
    for address in sorted(copies)[:COPIES_KEPT]:
        conversations.add_participant(session, conversation_id, ParticipantKind.CC, address=address)


def _facts(read: Read) -> MailFacts:
    if read.mail is None:
        return MailFacts(from_address=read.envelope_from[:MAX_ADDRESS], body_hash=read.body_hash)
    return MailFacts(
        from_address=read.sender,
        subject=read.parsed.subject,
        message_id=read.message_id,
        body_hash=read.body_hash,
        auto_reason=read.parsed.auto_reason,
    )


def _cited(mail: ParsedMail) -> list[str]:
    cited = (usable_id(one) for one in (*mail.references, mail.in_reply_to))
    return list(dict.fromkeys(one for one in cited if one is not None))


def _tag(address: str) -> str:
    local = address.rpartition("@")[0]
    return local.partition("+")[2]


def _body_hash(raw: bytes) -> str:
    end = re.search(rb"\r?\n\r?\n", raw)
    return hashlib.sha256(raw[end.end() :] if end else b"").hexdigest()
