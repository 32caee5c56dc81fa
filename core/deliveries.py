"""What an Operator does with a Delivery that did not go out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import outbox, timeline
from core.access import require_answering
from core.model import Delivery, DeliveryState, EntryState, Fact, Operator, OutboxEntry
from core.notifications import DELIVER


def send_again(session: Session, delivery: Delivery, operator: Operator, *, now: datetime) -> None:
    """Put a Delivery that was given up back to work; a repeat is harmless.

    It goes out under its own Message-ID, so that a server which had it after all knows it.
    Raises NotAllowed.
    """
    require_answering(operator, delivery.desk_id)
    session.refresh(delivery, with_for_update={"of": Delivery})
    if delivery.state is not DeliveryState.FAILED:
        return
    entry = _entry(session, delivery)
    if entry is None:
        outbox.put(session, DELIVER, {"delivery": delivery.id}, now=now)
    else:
        outbox.put_back(session, entry, now=now)
    old, delivery.state, delivery.reason = delivery.state, DeliveryState.WAITING, ""
    change = timeline.Change(
        kind=Fact.DELIVERY_CHANGED,
        actor=timeline.actor(operator),
        desk_id=delivery.desk_id,
        conversation_id=delivery.conversation_id,
        from_value=old,
        to_value=delivery.state,
        data={"delivery": delivery.id, "recipient": delivery.recipient},
    )
    timeline.record(session, change, now=now)


def _entry(session: Session, delivery: Delivery) -> OutboxEntry | None:
    return session.scalar(
        select(OutboxEntry)
        .where(
            OutboxEntry.topic == DELIVER,
            OutboxEntry.state == EntryState.GIVEN_UP,
            OutboxEntry.payload["delivery"].as_integer() == delivery.id,
        )
        .order_by(OutboxEntry.id.desc())
        .limit(1)
    )
