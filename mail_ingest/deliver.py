"""Sends one Delivery: reads it, hands it to the mail server, records what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import clock, contents, timeline
from core.db import Store
from core.errors import Permanent, Transient
from core.model import Attachment, Delivery, DeliveryState, Desk, Fact
from core.ports import ports
from core.timeline import Change
from mail_ingest.compose import OutFile, compose
from mail_ingest.sendable import ascii_address
from mail_ingest.sender import Mailer, MailOut, Refused, Sent, Uncertain, Unreachable

#: Seconds during which a channel that is down is not knocked at again.
PAUSE_SECONDS = 5


class AnswerLost(Transient):
    """The server's answer was lost: the mail may have been taken, and goes out again as it is."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A Delivery ready for the wire."""

    delivery_id: int
    envelope_from: str
    recipient: str
    raw: bytes


class Courier:
    """Delivers by one mail server; safe to share by threads."""

    def __init__(self, out: MailOut | None, *, loop_stamp: str) -> None:
        """Send by `out`; None means that outgoing mail is not set up yet, so everything waits."""
        self._mailer = Mailer(out) if out else None
        self._loop_stamp = loop_stamp
        self._down_until: datetime | None = None
        self._down_reason = ""

    def think(self, store: Store, payload: dict[str, Any]) -> Letter | None:
        """Send a waiting Delivery; None where it was sent before or must not be sent.

        Raises Transient for another try, Permanent where the server refused it for good.
        """
        letter = self._read(store, payload["delivery"])
        if letter is not None:
            self._send(letter)
        return letter

    def record(self, session: Session, letter: Letter | None, *, now: datetime) -> None:
        """Mark a Delivery as sent."""
        if letter is None:
            return
        delivery = session.get_one(Delivery, letter.delivery_id)
        _change(session, delivery, DeliveryState.SENT, "", now=now)
        delivery.sent_at = now

    def failed(
        self,
        session: Session,
        payload: dict[str, Any],
        fault: BaseException,
        *,
        given_up: bool,
        now: datetime,
    ) -> None:
        """Show on the Delivery why it has not gone out (yet)."""
        delivery = session.get(Delivery, payload["delivery"])
        if delivery is None:
            return
        state = delivery.state
        if isinstance(fault, AnswerLost):
            state = DeliveryState.UNCERTAIN
        _change(session, delivery, DeliveryState.FAILED if given_up else state, str(fault), now=now)

    def close(self) -> None:
        """End the kept connection."""
        if self._mailer:
            self._mailer.close()

    def _read(self, store: Store, delivery_id: int) -> Letter | None:
        with store.read() as session:
            delivery = session.get(Delivery, delivery_id)
            waiting = (DeliveryState.WAITING, DeliveryState.UNCERTAIN, DeliveryState.FAILED)
            if delivery is None or delivery.state not in waiting:
                return None
            desk = ports(session).desks[session.get_one(Desk, delivery.desk_id).code]
            try:
                raw = compose(
                    sender=desk.address,
                    sender_name=desk.sender_name,
                    recipient=delivery.recipient,
                    subject=delivery.subject,
                    text=delivery.body_text,
                    html=delivery.body_html,
                    message_id=delivery.mail_id,
                    date=delivery.created_at,
                    automatic=delivery.automatic,
                    loop_stamp=self._loop_stamp,
                    in_reply_to=delivery.in_reply_to,
                    references=delivery.references,
                    reply_to=delivery.reply_to,
                    attachments=_files(session, delivery),
                )
            except ValueError as fault:
                raise Permanent(f"the mail cannot be written: {fault}") from fault
            # The envelope says what the header says: servers without SMTPUTF8 take no other domain.
            envelope_from = "" if delivery.automatic else ascii_address(desk.address)
            return Letter(delivery.id, envelope_from, ascii_address(delivery.recipient), raw)

    def _send(self, letter: Letter) -> None:
        if self._mailer is None:
            raise Transient("outgoing mail is not set up: run `sportello init`", channel_down=True)
        now = clock.now()
        if self._down_until is not None and now < self._down_until:
            raise Transient(self._down_reason, channel_down=True)
        outcome = self._mailer.send(letter.envelope_from, letter.recipient, letter.raw)
        if isinstance(outcome, Sent):
            self._down_until = None
        elif isinstance(outcome, Refused):
            kind = Permanent if outcome.permanent else Transient
            raise kind(f"{outcome.code} {outcome.text}")
        elif isinstance(outcome, Uncertain):
            raise AnswerLost(outcome.reason)
        elif isinstance(outcome, Unreachable):
            self._pause(outcome.reason, now)
            raise Transient(outcome.reason, channel_down=True)

    def _pause(self, reason: str, now: datetime) -> None:
        self._down_reason = reason
        self._down_until = now + timedelta(seconds=PAUSE_SECONDS)


def _files(session: Session, delivery: Delivery) -> list[OutFile]:
    if delivery.message_id is None:
        return []
    rows = session.scalars(
        select(Attachment)
        .where(Attachment.message_id == delivery.message_id)
        .order_by(Attachment.id)
    )
    store = ports(session).files
    return [
        OutFile(
            name=row.name,
            content_type=row.content_type,
            data=contents.get(session, store, row.sha256),
        )
        for row in rows
    ]


def _change(
    session: Session, delivery: Delivery, state: DeliveryState, reason: str, *, now: datetime
) -> None:
    """Set state and reason; the Timeline keeps what a person should notice, not each retry."""
    reason = contents.storable(reason)[:2000]
    old, delivery.state, delivery.reason = delivery.state, state, reason
    if old is state:
        return
    change = Change(
        kind=Fact.DELIVERY_CHANGED,
        actor=timeline.SYSTEM,
        desk_id=delivery.desk_id,
        conversation_id=delivery.conversation_id,
        from_value=old,
        to_value=state,
        reason=reason or None,
        data={"delivery": delivery.id, "recipient": delivery.recipient},
    )
    timeline.record(session, change, now=now)
