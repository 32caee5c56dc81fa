"""The print by which a resend is known: trace headers do not count, everything else does."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_ingest.spool import fingerprint

MAIL = b"From: a@x.example\r\nMessage-ID: <1@x.example>\r\nSubject: uno\r\n\r\nTesto.\r\n"


@pytest.mark.parametrize(
    "trace",
    [
        b"Received: from a by b; now\r\n",
        b"Received: from a\r\n\tby b;\r\n now\r\n",
        b"received: x\r\nReturn-Path: <a@x.example>\r\nDelivered-To: d@x.example\r\n",
        b"X-Spam-Score: 5\r\nX-Virus-Spam-Level: **\r\nX-Original-To: d@x.example\r\n",
        b"Authentication-Results: us; spf=pass\r\nARC-Seal: i=1\r\nDKIM-Signature: v=1;\r\n b=\r\n",
    ],
)
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_the_way_that_a_mail_took_does_not_count(trace: bytes, newline: bytes) -> None:
    plain, traced = (one.replace(b"\r\n", newline) for one in (MAIL, trace + MAIL))
    assert fingerprint(traced) == fingerprint(plain)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"uno", b"due"),
        (b"Testo.", b"Testo"),
        (b"<1@", b"<2@"),
        (b"\r\n\r\nTesto", b"\r\n\r\nReceived: x\r\nTesto"),
        (b"Subject", b"X-Received: y\r\nSubject"),
    ],
)
def test_everything_else_counts(old: bytes, new: bytes) -> None:
    assert fingerprint(MAIL.replace(old, new)) != fingerprint(MAIL)


@pytest.mark.parametrize("head", [b"Message-ID: <1@x>", b"Date: Mon, 23 Nov 2026 12:00:00 +0100"])
def test_a_mail_with_an_id_or_a_date_is_the_same_again(head: bytes) -> None:
    mail = b"From: a@x.example\r\n" + head + b"\r\n\r\nx"
    assert fingerprint(mail) == fingerprint(mail)


@pytest.mark.parametrize("mail", [b"From: a@x.example\r\n\r\nx", b"Date: \r\n\r\nx", b"", b"x"])
def test_a_mail_with_neither_is_never_the_same(mail: bytes) -> None:
    assert fingerprint(mail) != fingerprint(mail)


@given(st.binary(max_size=300))
def test_any_octets_have_a_print(raw: bytes) -> None:
    assert len(fingerprint(raw)) == 64


@pytest.mark.parametrize(
    "head",
    [
        b"X-" + b"-spam" * 100_000,
        b"X-" + b"-spam" * 50_000 + b":",
        (b"X-" + b"-spam" * 100 + b"\r\n") * 10_000,
        b"Received:\n" * 1_000_000,
        b"a\n" * 5_000_000,
        b"\r" * 5_000_000,
    ],
)
def test_a_head_built_to_be_slow_is_not(head: bytes) -> None:
    # The listener takes the print before any limit of the parser holds.
    begun = time.process_time()
    fingerprint(head)
    assert time.process_time() - begun < 1
