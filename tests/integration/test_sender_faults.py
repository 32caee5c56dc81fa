"""Sending to far ends that hang up, fall silent, talk nonsense or went stale meanwhile."""

from __future__ import annotations

import pytest

from mail_ingest import sender
from mail_ingest.sender import Refused, Sent, Uncertain, Unreachable
from tests.far_end import (
    DOT,
    ENVELOPE,
    HELLO,
    MAIL,
    ONE_MAIL,
    SENDER,
    TO,
    Step,
    mailer,
    out,
    scripted,
)


def test_an_answer_lost_after_the_dot_is_uncertain() -> None:
    with scripted([*HELLO, *ENVELOPE, (DOT, None)]) as port, mailer(out(port)) as mails:
        outcome = mails.send(SENDER, TO, MAIL)
    assert isinstance(outcome, Uncertain)
    assert "no answer after the mail" in outcome.reason


def test_silence_after_the_dot_is_uncertain() -> None:
    silence: list[Step] = [*HELLO, *ENVELOPE, (DOT, b""), (b"QUIT", None)]
    with scripted(silence) as port, mailer(out(port, timeout=0.3)) as mails:
        assert isinstance(mails.send(SENDER, TO, MAIL), Uncertain)


def test_nonsense_after_the_dot_is_uncertain() -> None:
    for nonsense in (b"354 what\r\n", b"hello\r\n", b"250" + b"x" * 9000 + b"\r\n"):
        with (
            scripted([*HELLO, *ENVELOPE, (DOT, nonsense)]) as port,
            mailer(out(port)) as mails,
        ):
            assert isinstance(mails.send(SENDER, TO, MAIL), Uncertain)


@pytest.mark.parametrize("at", [1, 2])
def test_a_connection_lost_before_the_dot_is_for_now(at: int) -> None:
    steps = [*HELLO, *ENVELOPE]
    steps[1 + at] = (steps[1 + at][0], None)
    with scripted(steps) as port, mailer(out(port)) as mails:
        outcome = mails.send(SENDER, TO, MAIL)
    assert outcome == Refused(421, "the connection ended before the mail did", permanent=False)


def test_data_refused() -> None:
    steps = [*HELLO, *ENVELOPE[:2], (b"DATA", b"451 4.3.0 no\r\n"), (b"RSET", b"250 ok\r\n")]
    with scripted(steps) as port, mailer(out(port)) as mails:
        assert mails.send(SENDER, TO, MAIL) == Refused(451, "4.3.0 no", permanent=False)


def test_a_sender_refused() -> None:
    steps = [*HELLO, (b"MAIL", b"553 5.1.8 Bad sender\r\n"), (b"RSET", b"250 ok\r\n")]
    with scripted(steps) as port, mailer(out(port)) as mails:
        assert mails.send(SENDER, TO, MAIL) == Refused(553, "5.1.8 Bad sender", permanent=True)


@pytest.mark.parametrize("greeting", [b"554 5.3.2 not today\r\n", b"421 busy\r\n", b""])
def test_an_unfriendly_greeting(greeting: bytes) -> None:
    with scripted([], greeting=greeting) as port, mailer(out(port)) as mails:
        assert isinstance(mails.send(SENDER, TO, MAIL), Unreachable)


@pytest.mark.parametrize(
    "stale", [[(b"MAIL", None)], [(b"MAIL", b"421 4.4.2 idle too long\r\n")], []]
)
def test_a_kept_connection_gone_stale_is_replaced(stale: list[Step]) -> None:
    first, second = [*HELLO, *ONE_MAIL, *stale], [*HELLO, *ONE_MAIL]
    with scripted(first, second) as port, mailer(out(port)) as mails:
        assert mails.send(SENDER, TO, MAIL) == Sent("250 taken")
        assert mails.send(SENDER, TO, MAIL) == Sent("250 taken")


def test_a_fresh_connection_is_not_tried_again() -> None:
    with scripted([*HELLO, (b"MAIL", None)]) as port, mailer(out(port)) as mails:
        assert isinstance(mails.send(SENDER, TO, MAIL), Unreachable)


@pytest.mark.parametrize("answer", [b"250 still here\r\n", b"421 gone\r\n", None])
def test_a_connection_long_idle_is_asked_first(
    answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ASK_AFTER", 0.0)
    lives = answer is not None and answer.startswith(b"250")
    first = [*HELLO, *ONE_MAIL, (b"NOOP", answer), *(ONE_MAIL if lives else [])]
    dialogues = [first] if lives else [first, [*HELLO, *ONE_MAIL]]
    with scripted(*dialogues) as port, mailer(out(port)) as mails:
        assert isinstance(mails.send(SENDER, TO, MAIL), Sent)
        assert isinstance(mails.send(SENDER, TO, MAIL), Sent)


def test_a_closing_answer_closes_the_connection() -> None:
    first = [*HELLO, *ENVELOPE, (DOT, b"421 4.3.2 going down\r\n")]
    with scripted(first, [*HELLO, *ONE_MAIL]) as port, mailer(out(port)) as mails:
        outcome = mails.send(SENDER, TO, MAIL)
        assert outcome == Refused(421, "4.3.2 going down", permanent=False)
        assert isinstance(mails.send(SENDER, TO, MAIL), Sent)
