"""The listener over real sockets: what it takes, refuses, and hands to the spool."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator

import pytest

from tests.wire import KNOWN, MAIL, SECOND, MemorySpool, Wire, listening


@pytest.fixture
def spool() -> MemorySpool:
    return MemorySpool()


@pytest.fixture
def address(spool: MemorySpool) -> Iterator[tuple[str, int]]:
    with listening(spool) as address:
        yield address


@pytest.fixture
def wire(address: tuple[str, int]) -> Iterator[Wire]:
    with Wire(address) as wire:
        yield wire


# --- the ordinary way ---


def test_takes_a_mail(address: tuple[str, int], spool: MemorySpool) -> None:
    with smtplib.SMTP(*address, timeout=10) as client:
        client.sendmail("mario@comune.example", [KNOWN], MAIL)
    (mail,) = spool.held
    assert mail.raw == MAIL
    assert mail.envelope_from == "mario@comune.example"
    assert mail.recipients == (KNOWN,)
    assert (mail.peer, mail.source) == ("127.0.0.1", "smtp")
    assert mail.received_at.utcoffset() is not None


def test_takes_many_mails_on_one_connection(address: tuple[str, int], spool: MemorySpool) -> None:
    with smtplib.SMTP(*address, timeout=10) as client:
        for number in range(50):
            client.sendmail("mario@comune.example", [KNOWN], MAIL + b"%d\r\n" % number)
    assert [mail.raw.splitlines()[-1] for mail in spool.held] == [b"%d" % n for n in range(50)]


def test_one_mail_for_two_desks_is_handed_over_once(
    address: tuple[str, int], spool: MemorySpool
) -> None:
    with smtplib.SMTP(*address, timeout=10) as client:
        client.sendmail("mario@comune.example", [KNOWN, SECOND, KNOWN], MAIL)
    assert [mail.recipients for mail in spool.held] == [(KNOWN, SECOND)]


def test_offers_what_it_can_do(wire: Wire) -> None:
    offered = wire.say("EHLO client.example").splitlines()
    words = {line[4:].split()[0] for line in offered}
    assert {"SIZE", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"} <= words
    assert "AUTH" not in words
    assert "250-SIZE 31457280" in offered
    assert wire.say("AUTH PLAIN AGEAYg==").startswith("502 5.5.1")
    assert wire.say(f"VRFY {KNOWN}").startswith("252")


def test_takes_a_bounce_with_its_null_sender(wire: Wire, spool: MemorySpool) -> None:
    wire.say("EHLO client.example")
    assert wire.say("MAIL FROM:<> SIZE=100 BODY=8BITMIME").startswith("250")
    assert wire.say(f"RCPT TO:<{KNOWN}>").startswith("250")
    wire.say("DATA")
    assert wire.say(MAIL + b".").startswith("250")
    assert spool.held[0].envelope_from == ""


def test_takes_reply_addresses_and_odd_paths(wire: Wire, spool: MemorySpool) -> None:
    wire.say("EHLO client.example")
    for sender in ("<a..b@x.example>", '<"a b"@x.example>', "<@relay.example:m@x.example>", "x"):
        assert wire.say(f"MAIL FROM:{sender}").startswith("250")
        assert wire.say("RSET").startswith("250")
    wire.say("MAIL FROM:<perché@esempio.example> SMTPUTF8")
    assert wire.say("RCPT TO:<Assistenza+k3y@desk.example>").startswith("250")
    wire.say("DATA")
    assert wire.say(MAIL + b".").startswith("250")
    assert spool.held[0].envelope_from == "perché@esempio.example"
    assert spool.held[0].recipients == ("Assistenza+k3y@desk.example",)


def test_takes_pipelined_commands(wire: Wire, spool: MemorySpool) -> None:
    one = f"MAIL FROM:<m@x.example>\r\nRCPT TO:<{KNOWN}>\r\nDATA\r\n"
    wire.say("EHLO client.example")
    wire.send(one)
    assert [wire.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
    wire.send(b"uno\r\n.\r\n" + one.encode())
    assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
    wire.send(b"due\r\n.\r\nQUIT")
    assert [wire.reply()[:3] for _ in range(2)] == ["250", "221"]
    assert [mail.raw for mail in spool.held] == [b"uno\r\n", b"due\r\n"]


# --- octets ---


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".\r\n",
        b"..\r\n...\r\n.a\r\n",
        b"a\r\n.b\r\n\r\n.\r\n",
        b"\xff\xe8\x80 perch\xe9\r\n",
        b"a\x00b\r\n\x00\r\n",
        b"x" * 100_000 + b"\r\n",
        b"." * 70_000 + b"\r\n",
        b"solo\nfine riga\ne\rcarrello\r\n",
        b"\r\n\r\n\r\n",
        b"Subject: x\r\n\r\n" + bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
    ],
)
def test_octets_arrive_as_they_were_sent(wire: Wire, spool: MemorySpool, raw: bytes) -> None:
    wire.begin()
    dotted = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]
    assert wire.say(dotted + b".").startswith("250")
    assert spool.held[0].raw == raw


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_octets_arrive_however_they_are_cut(wire: Wire, spool: MemorySpool, size: int) -> None:
    raw = b"Subject: x\r\n\r\n.uno\r\n..due\r\n.\r\r\n\n.\n\r\n.\rtre\r\n" * (
        1 if size < 8 else 5000
    )
    dotted = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    wire.begin()
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(dotted), size):
        wire.socket.sendall(dotted[at : at + size])
    assert wire.reply().startswith("250")
    assert spool.held[0].raw == raw


SMUGGLING = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
]  # fmt: skip - one row


@pytest.mark.parametrize("false_end", SMUGGLING)
def test_only_crlf_dot_crlf_ends_a_mail(wire: Wire, spool: MemorySpool, false_end: bytes) -> None:
    """SMTP smuggling (CVE-2024-27305): what follows a false end stays in the mail."""
    hidden = f"MAIL FROM:<boss@x.example>\r\nRCPT TO:<{KNOWN}>\r\nDATA\r\nfalso\r\n".encode()
    wire.begin()
    assert wire.say(b"vero" + false_end + hidden + b".").startswith("250")
    assert wire.say("NOOP").startswith("250")
    (mail,) = spool.held
    assert b"MAIL FROM:<boss@x.example>" in mail.raw


# --- refusals ---


def test_refuses_unknown_recipients(wire: Wire, spool: MemorySpool) -> None:
    wire.say("EHLO client.example")
    wire.say("MAIL FROM:<m@x.example>")
    assert wire.say("RCPT TO:<nessuno@desk.example>").startswith("550 5.1.1")
    assert wire.say(b"RCPT TO:<\xff\xfe@desk.example>").startswith("550 5.1.1")
    assert wire.say("DATA").startswith("503")
    assert wire.say(f"RCPT TO:<{KNOWN}>").startswith("250")
    wire.say("DATA")
    assert wire.say(MAIL + b".").startswith("250")
    assert spool.held[0].recipients == (KNOWN,)


def test_refuses_a_size_that_is_declared_too_big(wire: Wire) -> None:
    wire.say("EHLO client.example")
    assert wire.say("MAIL FROM:<m@x.example> SIZE=31457281").startswith("552 5.3.4")
    assert wire.say("MAIL FROM:<size=99999999999@x.example>").startswith("250")


def test_refuses_a_mail_over_the_limit_to_the_octet(spool: MemorySpool) -> None:
    with listening(spool, size_limit=1000) as address, Wire(address) as wire:
        wire.begin()
        assert wire.say(b"x" * 998 + b"\r\n.").startswith("250")
        wire.begin()
        assert wire.say(b"x" * 999 + b"\r\n.").startswith("552 5.3.4")
        wire.begin()
        assert wire.say(b"x" * 500_000 + b"\r\n.").startswith("552 5.3.4")
        wire.begin()
        assert wire.say(b"uno\r\n.").startswith("250")
    assert [len(mail.raw) for mail in spool.held] == [1000, 5]


def test_a_mail_of_60_megabytes_is_refused_and_not_kept(
    address: tuple[str, int], spool: MemorySpool
) -> None:
    line = b"x" * 76 + b"\r\n"
    block = line * (1 << 13)
    with Wire(address) as wire:
        wire.begin()
        before = _resident()
        for _ in range(60 * (1 << 20) // len(block) + 1):
            wire.socket.sendall(block)
        grown = _resident() - before
        assert wire.say(".").startswith("552 5.3.4")
    assert spool.held == []
    assert grown < 100 * (1 << 20)


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one line of the kernel
        return int(file.read().split()[1]) * 4096


def test_1200_recipients_lose_nothing(wire: Wire, spool: MemorySpool) -> None:
    """The peer is told to bring the rest in further transactions, as any MTA does."""
    waiting = [f"assistenza+{n}@desk.example" for n in range(1200)]
    wire.say("EHLO client.example")
    rounds = 0
    while waiting:
        rounds += 1
        wire.say("MAIL FROM:<m@x.example>")
        answers = {one: wire.say(f"RCPT TO:<{one}>") for one in waiting}
        assert {answer[:9] for answer in answers.values()} <= {"250 2.1.5", "452 4.5.3"}
        wire.say("DATA")
        assert wire.say(MAIL + b".").startswith("250")
        waiting = [one for one, answer in answers.items() if answer.startswith("452")]
    assert rounds == 12
    taken = [one for mail in spool.held for one in mail.recipients]
    assert len(taken) == len(set(taken)) == 1200


def test_knows_its_order_of_commands(wire: Wire) -> None:
    assert wire.say("MAIL FROM:<m@x.example>").startswith("503")
    wire.say("EHLO client.example")
    assert wire.say(f"RCPT TO:<{KNOWN}>").startswith("503")
    assert wire.say("DATA").startswith("503 5.5.1")
    wire.say("MAIL FROM:<m@x.example>")
    assert wire.say("MAIL FROM:<m@x.example>").startswith("503")
    wire.say(f"RCPT TO:<{KNOWN}>")
    assert wire.say("DATA now").startswith("501 5.5.4")
    assert wire.say("RCPT TO:<a\x01b@x.example>").startswith("553")
    assert wire.say("x" * 5000).startswith("500")
    assert wire.say(b"\xff\xff").startswith("500")
    assert wire.say("NOOP").startswith("250")
