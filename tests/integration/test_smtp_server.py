"""The listener over real sockets: every answer, and what the spool holds afterwards."""

from __future__ import annotations

import errno
import logging
import smtplib
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from mail_ingest.smtp_server import Arrived, Listen, MailServer, SpoolFull

KNOWN = "assistenza@desk.example"
SECOND = "guasti@desk.example"
MAIL = b"From: mario@comune.example\r\nSubject: token\r\n\r\nNon va.\r\n"


class MemorySpool:
    """Keeps mail in a list and commits in a thread, like the real one; fails as it is told."""

    def __init__(self) -> None:
        self.held: list[Arrived] = []
        self.commit_seconds = 0.0
        self.fault: BaseException | None = None
        self.lookup_fault: Exception | None = None
        self.never_answers = False
        self.put_faults = False

    def knows(self, address: str) -> bool:
        if self.lookup_fault is not None and address == SECOND:
            raise self.lookup_fault
        local, _, domain = address.lower().rpartition("@")
        return f"{local.partition('+')[0]}@{domain}" in (KNOWN, SECOND)

    def put(self, mail: Arrived) -> Future[None]:
        if self.put_faults:
            raise RuntimeError("secret of the house")
        committed: Future[None] = Future()
        if not self.never_answers:
            threading.Thread(target=self._commit, args=(mail, committed)).start()
        return committed

    def _commit(self, mail: Arrived, committed: Future[None]) -> None:
        time.sleep(self.commit_seconds)
        if self.fault is not None:
            committed.set_exception(self.fault)
            return
        self.held.append(mail)
        committed.set_result(None)

    def wait_for(self, count: int) -> list[Arrived]:
        until(lambda: len(self.held) >= count)
        return self.held


def until(met: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Wire:
    """A client that sends exactly the octets it is told."""

    def __init__(self, address: tuple[str, int], *, greeting: bool = True) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self._file = self.socket.makefile("rb")
        if greeting:
            assert self.reply().startswith("220")

    def reply(self) -> str:
        """One answer with all its lines."""
        lines: list[str] = []
        while True:
            line = self._file.readline().decode()
            if not line:
                return "\n".join(lines) or "closed"
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, octets: bytes | str) -> str:
        self.send(octets)
        return self.reply()

    def send(self, octets: bytes | str) -> None:
        data = octets.encode() if isinstance(octets, str) else octets
        self.socket.sendall(data if data.endswith(b"\n") else data + b"\r\n")

    def begin(self, *recipients: str, hello: str = "EHLO client.example") -> None:
        """Up to the 354."""
        assert self.say(hello).startswith("250")
        assert self.say("MAIL FROM:<mario@comune.example>").startswith("250")
        for recipient in recipients or (KNOWN,):
            assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
        assert self.say("DATA").startswith("354")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def spool() -> MemorySpool:
    return MemorySpool()


@contextmanager
def listening(spool: MemorySpool, **settings: Any) -> Iterator[tuple[str, int]]:
    server = MailServer(spool, Listen(**settings))
    try:
        yield server.start()
    finally:
        server.stop(grace=2)


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


# --- our own failures: 4xx, a constant text, nothing lost ---


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (RuntimeError("secret of the house"), "451 4.3.0"),
        (sqlite3.OperationalError("database is locked"), "451 4.3.0"),
        (SpoolFull(), "452 4.3.1"),
        (OSError(errno.ENOSPC, "No space left on device"), "452 4.3.1"),
    ],
)
def test_a_failing_spool_is_the_peers_cue_to_come_again(
    wire: Wire, spool: MemorySpool, fault: Exception, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    spool.fault = fault
    with caplog.at_level(logging.CRITICAL):
        wire.begin()
        said = wire.say(MAIL + b".")
    assert said.startswith(answer)
    assert "secret" not in said
    assert "locked" not in said
    spool.fault = None
    wire.begin()
    assert wire.say(MAIL + b".").startswith("250")
    assert len(spool.held) == 1


def test_a_full_sqlite_and_a_cause_deep_down_are_seen(wire: Wire, spool: MemorySpool) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    wrapped = RuntimeError("commit failed")
    wrapped.__cause__ = full
    spool.fault = wrapped
    wire.begin()
    assert wire.say(MAIL + b".").startswith("452 4.3.1")


def test_a_spool_that_raises_at_once(wire: Wire, spool: MemorySpool) -> None:
    spool.put_faults = True
    wire.begin()
    assert wire.say(MAIL + b".") == "451 4.3.0 Temporary failure, try again later"
    spool.put_faults = False
    wire.begin()
    assert wire.say(MAIL + b".").startswith("250")


def test_a_lookup_that_raises(wire: Wire, spool: MemorySpool) -> None:
    spool.lookup_fault = RuntimeError("secret")
    wire.say("EHLO client.example")
    wire.say("MAIL FROM:<m@x.example>")
    assert wire.say(f"RCPT TO:<{SECOND}>") == "451 4.3.0 Temporary failure, try again later"
    assert wire.say(f"RCPT TO:<{KNOWN}>").startswith("250")


def test_a_commit_that_takes_too_long(spool: MemorySpool) -> None:
    spool.commit_seconds = 0.5
    with listening(spool, commit_seconds=0.1) as address, Wire(address) as wire:
        wire.begin()
        assert wire.say(MAIL + b".").startswith("451 4.3.0")
        spool.wait_for(1)  # it was committed all the same; the resend is a duplicate


def test_a_cancelled_commit(wire: Wire, spool: MemorySpool) -> None:
    cancelled: Future[None] = Future()
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    spool.put = lambda _mail: cancelled  # type: ignore[method-assign] # one odd answer
    wire.begin()
    assert wire.say(MAIL + b".").startswith("451 4.3.0")


@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_drops_after_the_dot_does_not_undo_the_commit(
    address: tuple[str, int], spool: MemorySpool, *, reset: bool
) -> None:
    spool.commit_seconds = 0.3
    wire = Wire(address)
    wire.begin()
    wire.send(MAIL + b".")
    time.sleep(0.1)
    if reset:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wire.close()
    assert spool.wait_for(1)[0].raw == MAIL


def test_a_client_that_drops_before_the_dot_leaves_nothing(
    address: tuple[str, int], spool: MemorySpool
) -> None:
    wire = Wire(address)
    wire.begin()
    wire.send(MAIL + b"\r\nmezza")
    wire.close()
    with Wire(address) as other:
        other.begin()
        assert other.say(b"intera\r\n.").startswith("250")
    assert [mail.raw for mail in spool.held] == [b"intera\r\n"]


# --- limits of a connection ---


def test_hangs_up_on_the_idle(spool: MemorySpool) -> None:
    with listening(spool, idle_seconds=0.2) as address, Wire(address) as wire:
        assert wire.reply().startswith("421 4.4.2")
        assert wire.reply() == "closed"


def test_hangs_up_on_idle_data_but_not_on_slow_data(spool: MemorySpool) -> None:
    with listening(spool, idle_seconds=0.4) as address:
        with Wire(address) as wire:
            wire.begin()
            for _ in range(6):
                time.sleep(0.1)
                wire.send(b"goccia\r\n")
            assert wire.say(".").startswith("250")
            wire.begin()
            assert wire.reply().startswith("421 4.4.2")
        assert len(spool.held) == 1


def test_hangs_up_on_data_that_drips_for_ever(spool: MemorySpool) -> None:
    with listening(spool, data_seconds=0.3) as address, Wire(address) as wire:
        wire.begin()
        with pytest.raises(OSError):  # noqa: PT011 - whichever way the kernel says it
            for _ in range(100):
                time.sleep(0.05)
                wire.send(b"goccia\r\n")
        assert spool.held == []


def test_a_slow_commit_does_not_count_as_idle(spool: MemorySpool) -> None:
    spool.commit_seconds = 0.5
    with listening(spool, idle_seconds=0.2) as address, Wire(address) as wire:
        wire.begin()
        assert wire.say(MAIL + b".").startswith("250")


def test_one_connection_too_many_is_told_to_come_again(spool: MemorySpool) -> None:
    with listening(spool, max_connections=2) as address:
        with Wire(address) as first, Wire(address) as second:
            first.begin()
            second.say("EHLO x")
            with Wire(address, greeting=False) as third:
                assert third.reply().startswith("421 4.3.2")
                assert third.reply() == "closed"
            assert first.say(MAIL + b".").startswith("250")
        until(lambda: _is_welcome(address))


def _is_welcome(address: tuple[str, int]) -> bool:
    with Wire(address, greeting=False) as wire:
        return wire.reply().startswith("220")


def test_many_clients_at_once(address: tuple[str, int], spool: MemorySpool) -> None:
    def send(number: int) -> None:
        with smtplib.SMTP(*address, timeout=30) as client:
            for turn in range(10):
                client.sendmail("m@x.example", [KNOWN], MAIL + b"%d.%d\r\n" % (number, turn))

    clients = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len({mail.raw for mail in spool.held}) == len(spool.held) == 200


# --- stopping ---


def test_stopping_lets_a_mail_under_way_end(spool: MemorySpool) -> None:
    server = MailServer(spool, Listen())
    address = server.start()
    busy, idle = Wire(address), Wire(address)
    busy.begin()
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert idle.reply().startswith("421 4.3.2")
    assert busy.say(MAIL + b".").startswith("250")
    assert busy.reply().startswith("421 4.3.2")
    stopping.join(5)
    assert not stopping.is_alive()
    assert len(spool.held) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=2)
    server.stop()
    busy.close()
    idle.close()


def test_stopping_does_not_wait_for_ever(spool: MemorySpool) -> None:
    server = MailServer(spool, Listen())
    with Wire(server.start()) as wire:
        wire.begin()
        begun = time.monotonic()
        server.stop(grace=0.2)
        assert time.monotonic() - begun < 3
        assert wire.reply() == "closed"


def test_an_address_in_use_is_an_error_at_start(
    address: tuple[str, int], spool: MemorySpool
) -> None:
    with pytest.raises(OSError, match="in use"):
        MailServer(spool, Listen(port=address[1])).start()


# --- STARTTLS ---


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


def test_takes_a_mail_over_tls(
    spool: MemorySpool, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    big = MAIL + (b"x" * 76 + b"\r\n") * 20_000
    with listening(spool, tls=tls) as address, smtplib.SMTP(*address, timeout=10) as client:
        client.starttls(context=trusting)
        client.ehlo()
        assert not client.has_extn("auth")
        assert not client.has_extn("starttls")
        client.sendmail("mario@comune.example", [KNOWN], big)
    assert spool.held[0].raw == big


def test_commands_sent_before_tls_are_not_obeyed_after_it(
    spool: MemorySpool, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    """STARTTLS injection (CVE-2024-34083)."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with listening(spool, tls=tls) as address, Wire(address) as wire:
        wire.say("EHLO x")
        wire.socket.sendall(b"STARTTLS\r\nEHLO y\r\nMAIL FROM:<injected@x.example>\r\n")
        assert wire.reply().startswith("220")
        with trusting.wrap_socket(wire.socket, server_hostname="127.0.0.1") as secured:
            said = secured.makefile("rb")
            secured.sendall(b"EHLO z\r\n")
            while said.readline()[3:4] != b" ":
                pass
            secured.sendall(f"RCPT TO:<{KNOWN}>\r\n".encode())
            assert said.readline().startswith(b"503"), "the injected MAIL was obeyed"
            said.close()


def test_a_broken_handshake_harms_nobody_else(spool: MemorySpool, tls: ssl.SSLContext) -> None:
    with listening(spool, tls=tls) as address:
        with Wire(address) as wire:
            wire.say("EHLO x")
            assert wire.say("STARTTLS").startswith("220")
            wire.send(b"this is no handshake\r\n")
            wire.socket.recv(1000)
        with Wire(address) as other:
            other.begin()
            assert other.say(MAIL + b".").startswith("250")


# --- LMTP ---


@pytest.fixture
def lmtp(spool: MemorySpool) -> Iterator[Wire]:
    with listening(spool, protocol="lmtp") as address, Wire(address) as wire:
        yield wire


def test_lmtp_answers_for_each_recipient(lmtp: Wire, spool: MemorySpool) -> None:
    lmtp.begin(KNOWN, SECOND, KNOWN, hello="LHLO client.example")
    assert lmtp.say(MAIL + b".").startswith("250")
    assert lmtp.reply().startswith("250")
    assert lmtp.reply().startswith("250")
    assert lmtp.say("NOOP").startswith("250")
    assert [(mail.source, mail.recipients) for mail in spool.held] == [("lmtp", (KNOWN, SECOND))]


def test_lmtp_ok_unknown_and_for_now_not(lmtp: Wire, spool: MemorySpool) -> None:
    spool.lookup_fault = RuntimeError("no")
    lmtp.say("LHLO client.example")
    lmtp.say("MAIL FROM:<m@x.example>")
    assert lmtp.say(f"RCPT TO:<{KNOWN}>").startswith("250")
    assert lmtp.say("RCPT TO:<nessuno@desk.example>").startswith("550 5.1.1")
    assert lmtp.say(f"RCPT TO:<{SECOND}>").startswith("451 4.3.0")
    lmtp.say("DATA")
    assert lmtp.say(MAIL + b".").startswith("250")
    assert lmtp.say("NOOP").startswith("250"), "one accepted recipient, one answer"
    assert spool.held[0].recipients == (KNOWN,)


def test_lmtp_failures_are_told_for_each_recipient(spool: MemorySpool) -> None:
    spool.fault = RuntimeError("no")
    with (
        listening(spool, protocol="lmtp", size_limit=1000) as address,
        smtplib.LMTP(*address) as client,
    ):
        client.sock.settimeout(10)  # type: ignore[union-attr] # connected by the constructor
        client.docmd("LHLO", "x")
        for body, answer in ((MAIL, b"4.3.0"), (b"x" * 2000 + b"\r\n", b"5.3.4")):
            client.docmd("MAIL", "FROM:<m@x.example>")
            client.docmd("RCPT", f"TO:<{KNOWN}>")
            client.docmd("RCPT", f"TO:<{SECOND}>")
            client.docmd("DATA")
            client.send(body + b".\r\n")
            assert [client.getreply()[1][:5] for _ in range(2)] == [answer, answer]


def test_lmtp_wants_its_own_greeting(lmtp: Wire) -> None:
    assert lmtp.say("EHLO x").startswith("500")
    assert lmtp.say("HELO x").startswith("500")
    assert lmtp.say("LHLO x").startswith("250")
