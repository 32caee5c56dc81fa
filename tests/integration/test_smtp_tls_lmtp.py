"""The listener over TLS, and as LMTP with an answer for each recipient."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator

import pytest
import trustme

from mail_ingest.smtp_server import Listen, MailServer
from tests.wire import KNOWN, MAIL, SECOND, MemorySpool, Wire, listening


@pytest.fixture
def spool() -> MemorySpool:
    return MemorySpool()


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


def test_stopping_while_a_tls_client_is_leaving(
    spool: MemorySpool, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    """A TLS transport of Python 3.11 that was closed twice breaks on a write."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    for _ in range(10):
        server = MailServer(spool, Listen(tls=tls))
        with smtplib.SMTP(*server.start(), timeout=10) as client:
            client.starttls(context=trusting)
            client.ehlo()
        server.stop(grace=1)


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
