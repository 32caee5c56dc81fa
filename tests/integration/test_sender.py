"""Sending over real sockets: far ends that take, refuse, and show right or wrong papers."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from mail_ingest.sender import Mailer, MailOut, Outcome, Refused, Sent, Unreachable
from tests.far_end import (
    MAIL,
    SENDER,
    TO,
    Sink,
    far_end,
    free_port,
    login,
    mailer,
    out,
)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return authority, path


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


# --- far ends that behave ---


def test_sends_and_keeps_the_connection(sink: Sink) -> None:
    with far_end(sink) as port, mailer(out(port)) as mails:
        assert mails.send(SENDER, TO, MAIL) == Sent("250 queued as 42")
        kept = mails._connection  # noqa: SLF001 - the same connection is the point
        assert isinstance(mails.send("", "altro@comune.example", MAIL), Sent)
        assert mails._connection is kept  # noqa: SLF001 - see above
    assert sink.mails == [(SENDER, [TO], MAIL), ("<>", ["altro@comune.example"], MAIL)]


def test_mends_line_ends_and_the_end(sink: Sink) -> None:
    with far_end(sink) as port, mailer(out(port)) as mails:
        mails.send(SENDER, TO, b".a\nb\r\nc\rd")
    assert sink.mails[0][2] == b".a\r\nb\r\nc\r\nd\r\n"


@pytest.mark.parametrize(
    ("recipient", "outcome"),
    [
        ("nessuno@x.example", Refused(550, "5.1.1 No such user", permanent=True)),
        ("piena@x.example", Refused(452, "4.2.2 Mailbox full", permanent=False)),
    ],
)
def test_a_refused_recipient_leaves_the_connection_usable(
    sink: Sink, recipient: str, outcome: Refused
) -> None:
    with far_end(sink) as port, mailer(out(port)) as mails:
        assert mails.send(SENDER, recipient, MAIL) == outcome
        assert isinstance(mails.send(SENDER, TO, MAIL), Sent)


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("554 5.7.1 Spam", Refused(554, "5.7.1 Spam", permanent=True)),
        ("451 4.7.1 Greylisted", Refused(451, "4.7.1 Greylisted", permanent=False)),
    ],
)
def test_a_mail_refused_after_the_dot(sink: Sink, verdict: str, outcome: Refused) -> None:
    sink.verdict = verdict
    with far_end(sink) as port, mailer(out(port)) as mails:
        assert mails.send(SENDER, TO, MAIL) == outcome
        sink.verdict = "250 fine"
        assert isinstance(mails.send(SENDER, TO, MAIL), Sent)


def test_a_mail_over_the_size_of_the_far_end(sink: Sink) -> None:
    with far_end(sink, data_size_limit=100) as port, mailer(out(port)) as mails:
        outcome = mails.send(SENDER, TO, MAIL * 10)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.permanent) == (552, True)


def test_letters_that_the_far_end_does_not_take(sink: Sink) -> None:
    with far_end(sink, enable_SMTPUTF8=False) as port, mailer(out(port)) as mails:
        outcome = mails.send(SENDER, "perché@x.example", MAIL)
    assert isinstance(outcome, Refused)
    assert outcome.permanent
    with far_end(sink, enable_SMTPUTF8=True) as port, mailer(out(port)) as mails:
        assert isinstance(mails.send(SENDER, "perché@x.example", "è\r\n".encode()), Sent)
    assert sink.mails[0][1] == ["perché@x.example"]


@pytest.mark.parametrize("bad", ["a@b\r\nRCPT TO:<x@y>", "a b@x", "a@x>", "a\x00@x"])
def test_refuses_addresses_that_carry_commands(bad: str) -> None:
    mails = Mailer(out(9))
    with pytest.raises(ValueError, match="envelope address"):
        mails.send(SENDER, bad, MAIL)
    with pytest.raises(ValueError, match="envelope address"):
        mails.send(bad, TO, MAIL)


def test_threads_share_one_mailer(sink: Sink) -> None:
    with far_end(sink) as port, mailer(out(port)) as mails:
        outcomes: list[Outcome] = []
        threads = [
            threading.Thread(
                target=lambda n=n: outcomes.append(mails.send(SENDER, f"u{n}@x.example", MAIL))
            )
            for n in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert len(sink.mails) == 10


# --- TLS and login ---


def test_starttls_and_login(sink: Sink, authority: tuple[trustme.CA, Path]) -> None:
    ca, path = authority
    demands = {
        "tls_context": server_context(ca),
        "require_starttls": True,
        "auth_required": True,
        "authenticator": login,
    }
    good = {"security": "starttls", "ca_file": path, "username": "desk", "password": "giusta"}
    with far_end(sink, **demands) as port:
        with mailer(out(port, **good)) as mails:
            assert mails.check() is None
            assert isinstance(mails.send(SENDER, TO, MAIL), Sent)
        with mailer(out(port, **(good | {"password": "sbagliata"}))) as mails:
            outcome = mails.send(SENDER, TO, MAIL)
            assert isinstance(outcome, Unreachable)
            assert "refused the login: 535" in outcome.reason
            assert "sbagliata" not in outcome.reason + repr(mails._out)  # noqa: SLF001 - no leak
        with mailer(out(port, **(good | {"password": "perché"}))) as mails:
            outcome = mails.send(SENDER, TO, MAIL)
            assert isinstance(outcome, Unreachable)
            assert "é" not in outcome.reason
        with mailer(out(port, security="starttls", ca_file=path)) as mails:
            outcome = mails.send(SENDER, TO, MAIL)
            assert isinstance(outcome, Unreachable), "no login where one is demanded"
            assert "530" in outcome.reason
    assert len(sink.mails) == 1


def test_tls_from_the_first_octet(sink: Sink, authority: tuple[trustme.CA, Path]) -> None:
    ca, path = authority
    with (
        far_end(sink, ssl_context=server_context(ca)) as port,
        mailer(out(port, security="tls", ca_file=path)) as mails,
    ):
        assert isinstance(mails.send(SENDER, TO, MAIL), Sent)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("flaw", ["other name", "unknown authority"])
def test_wrong_certificates_stop_the_channel(
    sink: Sink, authority: tuple[trustme.CA, Path], security: str, flaw: str
) -> None:
    ca, path = authority
    context = server_context(ca, "other.example" if flaw == "other name" else "127.0.0.1")
    far = {"tls_context": context} if security == "starttls" else {"ssl_context": context}
    trusted = path if flaw == "other name" else None
    with (
        far_end(sink, **far) as port,
        mailer(out(port, security=security, ca_file=trusted)) as mails,
    ):
        outcome = mails.send(SENDER, TO, MAIL)
    assert isinstance(outcome, Unreachable)
    assert "certificate that does not verify" in outcome.reason
    assert sink.mails == []


def test_no_starttls_on_offer_means_no_mail(sink: Sink) -> None:
    with far_end(sink) as port, mailer(out(port, security="starttls")) as mails:
        outcome = mails.send(SENDER, TO, MAIL)
    assert isinstance(outcome, Unreachable)
    assert "STARTTLS" in outcome.reason
    assert sink.mails == []


def test_tls_with_one_who_speaks_plain(sink: Sink) -> None:
    with far_end(sink) as port, mailer(out(port, security="tls")) as mails:
        outcome = mails.send(SENDER, TO, MAIL)
    assert isinstance(outcome, Unreachable)
    assert "TLS" in outcome.reason


# --- nobody there ---


def test_nobody_listens() -> None:
    with mailer(out(free_port())) as mails:
        outcome = mails.send(SENDER, TO, MAIL)
        assert isinstance(outcome, Unreachable)
        assert "cannot be reached" in outcome.reason
        assert mails.check() == outcome


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    settings = MailOut(host="host.invalid", port=25, security="none", hello="x")
    with mailer(settings) as mails:
        assert mails.send(SENDER, TO, MAIL) == Unreachable(
            "the host name host.invalid is not known"
        )
