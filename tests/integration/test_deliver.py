"""One Delivery on its way: what each answer of the next server makes of it."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest

from app.runner import Runner
from core import contents, notifications, outbox
from core.conversations import File
from core.model import Delivery, DeliveryState, EntryState, Fact
from mail_ingest.deliver import Courier
from mail_ingest.sender import MailOut, Outcome, Refused, Sent, Uncertain, Unreachable
from tests.mailroom import GIULIA, RTPEC, Mailroom, handlers


class FarEnd:
    """The next mail server: answers as told, keeps what it was handed."""

    def __init__(self) -> None:
        self.outcome: Outcome = Sent("250 ok")
        self.got: list[tuple[str, str, bytes]] = []

    def send(self, envelope_from: str, recipient: str, raw: bytes) -> Outcome:
        self.got.append((envelope_from, recipient, raw))
        return self.outcome

    def close(self) -> None:
        self.got.append(("", "", b"closed"))


class Post:
    """A mailroom whose outgoing mail meets a FarEnd."""

    def __init__(self, mailroom: Mailroom) -> None:
        self.mailroom = mailroom
        self.far_end = FarEnd()
        self.courier = Courier(MailOut(host="127.0.0.1"), loop_stamp="0123456789abcdef")
        self.courier._mailer = self.far_end  # type: ignore[assignment] # noqa: SLF001 - the far end
        self.runner = Runner(mailroom.store, handlers(notifications.DELIVER, courier=self.courier))
        mailroom.arrive(mailroom.mail())
        [self.ticket] = mailroom.tickets()

    def run(self, outcome: Outcome | None = None) -> Delivery:
        """Send what is due, and return the newest Delivery."""
        if outcome is not None:
            self.far_end.outcome = outcome
        while self.runner.run_due():
            pass
        newest: Delivery = self.mailroom.outgoing()[-1]
        return newest

    def states(self) -> list[EntryState]:
        """Return the states of the work to send."""
        return [entry.state for entry in self.mailroom.outbox(notifications.DELIVER)]

    def changes(self) -> list[tuple[str | None, str | None]]:
        """Return what the Timeline says of Deliveries."""
        return [
            (one.from_value, one.to_value)
            for one in self.mailroom.facts(self.ticket.conversation_id)
            if one.kind is Fact.DELIVERY_CHANGED
        ]


@pytest.fixture
def post(mailroom: Mailroom) -> Post:
    """Let Giulia open a Ticket; its confirmation waits to be sent."""
    return Post(mailroom)


def test_what_the_server_takes_is_sent(post: Post) -> None:
    delivery = post.run()
    assert (delivery.state, delivery.sent_at) == (DeliveryState.SENT, post.mailroom.world.now)
    assert post.states() == [EntryState.DONE]
    assert post.changes() == [("waiting", "sent")]
    [(envelope_from, recipient, raw)] = post.far_end.got
    assert (envelope_from, recipient) == ("", GIULIA)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Message-ID"] == delivery.mail_id
    assert mail["Reply-To"] == delivery.reply_to
    assert mail["Auto-Submitted"].startswith("auto-")
    assert mail["X-Sportello-Loop"]


def test_an_answer_comes_from_the_desk_with_its_files(post: Post) -> None:
    big = b"%PDF" + b"0" * contents.INLINE_BYTES
    files = (
        File(name="a.txt", content_type="text/plain", data=b"ciao"),
        File(name="b.pdf", content_type="application/pdf", data=big),
    )
    post.mailroom.act("answer", post.ticket.id, files=files)
    post.run()
    envelope_from, recipient, raw = post.far_end.got[-1]
    assert (envelope_from, recipient) == (RTPEC, GIULIA)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert [part.get_filename() for part in mail.iter_attachments()] == ["a.txt", "b.pdf"]
    assert [part.get_payload(decode=True) for part in mail.iter_attachments()][1] == big
    assert mail["Auto-Submitted"] is None


def test_the_envelope_names_a_domain_as_the_header_does(post: Post) -> None:
    raw = post.mailroom.mail("anna@x.example").replace(
        b"@x.example", "@citt\u00e0.example".encode()
    )
    post.mailroom.arrive(raw)
    post.run()
    assert post.far_end.got[-1][1] == "anna@xn--citt-3na.example"


def test_a_refusal_for_good_is_given_up_and_shown(post: Post) -> None:
    delivery = post.run(Refused(550, "no such\0 user", permanent=True))
    reason = "550 no such\N{REPLACEMENT CHARACTER} user"
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, reason)
    assert post.states() == [EntryState.GIVEN_UP]
    assert post.changes() == [("waiting", "failed")]


def test_a_refusal_for_now_is_tried_again_for_five_days(post: Post) -> None:
    delivery = post.run(Refused(451, "greylisted", permanent=False))
    assert (delivery.state, delivery.reason) == (DeliveryState.WAITING, "451 greylisted")
    assert post.changes() == []
    for _ in range(20):
        post.mailroom.world.later(hours=9)
        delivery = post.run()
    assert delivery.state is DeliveryState.FAILED
    assert 10 < len(post.far_end.got) < 20
    assert len({raw for _, _, raw in post.far_end.got}) == 1


def test_a_lost_answer_goes_out_again_as_the_same_mail(post: Post) -> None:
    assert post.run(Uncertain("connection lost")).state is DeliveryState.UNCERTAIN
    post.mailroom.world.later(minutes=2)
    assert post.run(Sent("250 ok")).state is DeliveryState.SENT
    first, second = post.far_end.got
    assert first == second
    assert post.changes() == [("waiting", "uncertain"), ("uncertain", "sent")]


def test_a_server_that_is_away_costs_no_attempt_and_is_not_knocked_at_again(post: Post) -> None:
    post.mailroom.act("answer", post.ticket.id)
    delivery = post.run(Unreachable("connection refused"))
    assert (delivery.state, delivery.reason) == (DeliveryState.WAITING, "connection refused")
    # The second one of the same moment did not even try.
    assert len(post.far_end.got) == 1
    assert {entry.attempts for entry in post.mailroom.outbox(notifications.DELIVER)} == {0}
    for _ in range(6 * 24 * 60 // 360):
        post.mailroom.world.later(minutes=360)
        post.run()
    post.mailroom.world.later(minutes=2)
    assert post.run(Sent("250 ok")).state is DeliveryState.SENT
    assert post.states() == [EntryState.DONE] * 2


def test_without_a_server_everything_waits(mailroom: Mailroom) -> None:
    post = Post(mailroom)
    post.courier._mailer = None  # noqa: SLF001 - as after `Courier(None, …)`
    delivery = post.run()
    assert delivery.state is DeliveryState.WAITING
    assert "sportello init" in delivery.reason
    post.courier.close()


def test_what_was_sent_is_not_sent_again(post: Post) -> None:
    delivery = post.run()
    payload = {"delivery": delivery.id}
    letter = post.courier.think(post.mailroom.store, payload)
    assert letter is None
    with post.mailroom.store.begin() as session:
        post.courier.record(session, letter, now=post.mailroom.world.now)
    assert post.courier.think(post.mailroom.store, {"delivery": 4_711}) is None
    assert len(post.far_end.got) == 1


def test_what_was_given_up_can_go_out_after_all(post: Post) -> None:
    post.run(Refused(550, "no such user", permanent=True))
    [entry] = post.mailroom.outbox(notifications.DELIVER)
    with post.mailroom.store.begin() as session:
        outbox.put_back(session, session.merge(entry), now=post.mailroom.world.now)
    assert post.run(Sent("250 ok")).state is DeliveryState.SENT


def test_a_mail_that_cannot_be_written_is_given_up(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(**_: Any) -> bytes:
        raise ValueError("a line break in an address")

    monkeypatch.setattr("mail_ingest.deliver.compose", cannot)
    delivery = post.run()
    assert delivery.state is DeliveryState.FAILED
    assert "line break" in delivery.reason


def test_a_fault_of_ours_is_shown_while_it_is_tried_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> bytes:
        raise KeyError("x")

    monkeypatch.setattr("mail_ingest.deliver.compose", broken)
    delivery = post.run()
    assert (delivery.state, bool(delivery.reason)) == (DeliveryState.WAITING, True)


def test_a_failure_of_a_delivery_that_is_gone_is_nothing(post: Post) -> None:
    with post.mailroom.store.begin() as session:
        post.courier.failed(
            session, {"delivery": 4_711}, ValueError(), given_up=True, now=post.mailroom.world.now
        )
    assert post.changes() == []
    post.courier.close()
    assert post.far_end.got[-1][2] == b"closed"
