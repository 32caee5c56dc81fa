"""Mail as no standard allows it: the peer sees no fault of ours, and no accepted byte is lost."""

from __future__ import annotations

import re
import smtplib
import socket
from collections.abc import Iterator
from email.policy import SMTP
from typing import Any

import pytest

from tests.acceptance.post import DESK, letter, post, post_raw
from tests.acceptance.product import Product, installed
from tests.acceptance.sink import Sink, open_sink

pytestmark = pytest.mark.slow

SENDER = "caos@ente.example"


@pytest.fixture(scope="module")
def far_end() -> Iterator[Sink]:
    with open_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def product(far_end: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with installed(tmp_path_factory.mktemp("product"), far_end.settings) as product:
        yield product
        assert "Traceback" not in product.errors()


def mail(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n"


BROKEN = {
    "boundary that never comes": mail(
        b"From: caos@ente.example",
        b"Subject: monco",
        b'Content-Type: multipart/mixed; boundary="x"',
        b"",
        b"--x",
        b"Content-Type: text/plain",
        b"",
        b"tagliato",
    ),
    "parts in parts without end": mail(b"From: caos@ente.example", b"Subject: matrioska")
    + b"".join(
        mail(b'Content-Type: multipart/mixed; boundary="%d"' % depth, b"", b"--%d" % depth)
        for depth in range(2_000)
    ),
    "base64 that is none": mail(
        b"From: caos@ente.example",
        b"Subject: base64",
        b"Content-Type: application/pdf; name=x.pdf",
        b"Content-Transfer-Encoding: base64",
        b"",
        b"%%% questo non e' base64 %%%",
    ),
    "8-bit headers": mail(
        "From: Società à r.l. <caos@ente.example>".encode("latin-1"),
        "Subject: Perché così?".encode("latin-1"),
        b"",
        "È già tardi.".encode("latin-1"),
    ),
    "8-bit headers in two charsets": mail(
        b"From: caos@ente.example",
        "Subject: è ".encode() + "è".encode("latin-1"),
        b"Content-Type: text/plain; charset=utf-8",
        b"",
        "è ".encode() + "è".encode("latin-1"),
    ),
    "a charset that does not exist": mail(
        b"From: caos@ente.example",
        b"Subject: =?x-marziano?q?ciao?=",
        b"Content-Type: text/plain; charset=x-marziano",
        b"",
        b"ciao",
    ),
    "no Message-ID, no Date": mail(b"From: caos@ente.example", b"Subject: nudo", b"", b"testo"),
    "a Message-ID that is none": mail(
        b"From: caos@ente.example", b"Message-ID: <[@]>", b"Subject: id", b"", b"testo"
    ),
    "no From": mail(b"Subject: anonimo", b"", b"testo"),
    "no header at all": b"solo testo, nessuna intestazione\r\n",
    "nothing": b"\r\n",
    "NULs": mail(b"From: caos@ente.example", b"Subject: a\x00b", b"", b"c\x00d"),
    "a line of a megabyte": mail(b"From: caos@ente.example", b"Subject: lungo", b"", b"x" * 10**6),
    "ten thousand addresses": mail(
        b"From: caos@ente.example",
        b"To: " + b",\r\n ".join(b"p%d@ente.example" % n for n in range(10_000)),
        b"Subject: folla",
        b"",
        b"testo",
    ),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_mail_is_taken_kept_whole_and_gets_an_end(product: Product, raw: bytes) -> None:
    before = {row[0] for row in product.rows("SELECT id FROM raw_mail")}
    code, answer = post_raw(product.smtp, raw, sender=SENDER)
    assert (code, answer.split(b" ")[0]) == (250, b"2.6.0")
    product.wait_processed()
    new = [
        row
        for row in product.rows("SELECT id, disposition, sha256, reason FROM raw_mail")
        if row[0] not in before
    ]
    assert len(new) == 1
    _, disposition, sha256, reason = new[0]
    assert disposition in {"accepted", "held", "given_up"}
    assert disposition != "given_up" or reason, "what is set aside says why"
    size = product.rows(f"SELECT size FROM content WHERE sha256 = '{sha256}'")  # noqa: S608 - a hash
    assert size == [(len(raw),)]


def test_a_mail_that_is_too_big_is_refused_before_and_after(product: Product) -> None:
    ledger = product.rows("SELECT count(*) FROM raw_mail")
    with smtplib.SMTP(*product.smtp, timeout=120) as client:
        client.ehlo("customer.example")
        assert client.mail(SENDER, [f"SIZE={60_000_000}"])[0] == 552
    # And one that says nothing beforehand.
    huge = b"From: caos@ente.example\r\nSubject: enorme\r\n\r\n" + b"x" * 76 + b"\r\n"
    huge += (b"y" * 76 + b"\r\n") * (60_000_000 // 78)
    assert post_raw(product.smtp, huge, sender=SENDER)[0] == 552
    assert product.rows("SELECT count(*) FROM raw_mail") == ledger
    post(product.smtp, letter("dopo@ente.example", "Dopo", "Funziona ancora?"))


def test_twelve_hundred_recipients_are_answered_one_by_one(product: Product) -> None:
    with smtplib.SMTP(*product.smtp, timeout=120) as client:
        client.ehlo("customer.example")
        client.mail(SENDER)
        answers = [client.rcpt(f"nessuno{n}@namirial.com")[0] for n in range(600)]
        answers += [client.rcpt(f"assistenza.rt+{n}@namirial.com")[0] for n in range(600)]
        assert set(answers[:600]) == {550}
        assert set(answers[600:]) <= {250, 452}
        assert answers[600] == 250
        code, _ = client.data(letter(SENDER, "A tutti", "Una sola volta.").as_bytes(policy=SMTP))
    assert code == 250
    product.wait_processed()
    assert len(_of(product, "A tutti")) == 1


def test_a_mail_to_two_desks_opens_a_ticket_at_each(product: Product) -> None:
    both = [DESK, "assistenza@aruba-firma.example"]
    one = letter(SENDER, "A due sportelli", "Chi risponde?", to=", ".join(both))
    post(product.smtp, one)
    product.wait_processed()
    found = _of(product, "A due sportelli")
    assert sorted(row["desk"] for row in found) == ["aruba-firma", "rtpec"]


def test_the_same_mail_twice_is_one_ticket(product: Product, far_end: Sink) -> None:
    twice = letter("doppio@ente.example", "Doppia", "Una volta basta.")
    with smtplib.SMTP(*product.smtp, timeout=60) as client:
        client.send_message(twice)
        client.send_message(twice)
    post(product.smtp, twice)
    # By another way: a relay has put its own trace on top.
    relayed = b"Received: from relay.example by mx.example; Sun, 22 Nov 2026 10:00:00 +0100\r\n"
    post_raw(product.smtp, relayed + twice.as_bytes(policy=SMTP), sender="doppio@ente.example")
    product.wait_processed()
    assert [row["messages"] for row in _of(product, "Doppia")] == [1]
    far_end.wait("doppio@ente.example")
    far_end.stays("doppio@ente.example", 1)


def test_the_same_id_with_other_words_is_another_ticket(product: Product) -> None:
    first = letter("gemelli@ente.example", "Gemelli uno", "Prima.")
    second = letter("gemelli@ente.example", "Gemelli due", "Seconda.")
    del second["Message-ID"]
    second["Message-ID"] = first["Message-ID"]
    post(product.smtp, first)
    post(product.smtp, second)
    product.wait_processed()
    texts = [
        message["text"].strip()
        for row in product.tickets("rtpec")
        if row["requester"] == "gemelli@ente.example"
        for message in product.ticket(f"[rtpec #{row['number']}]")["messages"]
    ]
    assert sorted(texts) == ["Prima.", "Seconda."]


def test_a_mail_of_ours_that_comes_back_opens_and_answers_nothing(
    product: Product, far_end: Sink
) -> None:
    post(product.smtp, letter("eco@ente.example", "Eco", "Chi è là?"))
    own = far_end.wait("eco@ente.example")[0]
    tickets = len(product.tickets())
    # A far server sends it back: as it is, and again as from the customer.
    post_raw(product.smtp, own.raw, sender="eco@ente.example")
    forwarded = re.sub(rb"(?m)^From: .*$", b"From: eco@ente.example", own.raw, count=1)
    post_raw(product.smtp, forwarded, sender="eco@ente.example")
    product.wait_processed()
    assert len(product.tickets()) == tickets
    ended = product.rows(
        "SELECT disposition FROM raw_mail WHERE envelope_from = 'eco@ente.example' ORDER BY id"
    )
    assert ended == [("accepted",), ("ignored",), ("ignored",)]
    far_end.stays("eco@ente.example", 1)


def test_an_absence_note_is_not_answered(product: Product, far_end: Sink) -> None:
    robot = {"Auto-Submitted": "auto-replied"}
    post(product.smtp, letter("robot@ente.example", "Assente", "Torno lunedì.", headers=robot))
    product.wait_processed()
    assert _of(product, "Assente") == []
    far_end.stays("robot@ente.example", 0)


def test_words_that_no_client_says_get_an_answer_without_our_insides(product: Product) -> None:
    said = b""
    with socket.create_connection(product.smtp, timeout=20) as wire:
        wire.sendall(
            b"EHLO x\r\nMAIL FROM:<caos@ente.example>\r\nRCPT TO:<" + b"a" * 3_000 + b">\r\n"
            b"RCPT TO:\r\n\xff\xfe\x00\r\nDATA now\r\nAUTH PLAIN AAAA\r\nQUIT\r\n"
        )
        while block := wire.recv(65_536):
            said += block
    assert said.endswith(b"221 Bye\r\n")
    assert not re.search(rb"Traceback|\w(?:Error|Exception)|sqlite|\.py", said)
    assert all(re.match(rb"[2345]\d\d[ -]", line) for line in said.splitlines())


def _of(product: Product, subject: str) -> list[dict[str, Any]]:
    return [row for row in product.tickets() if row["subject"] == subject]
