"""The listener when we fail, peers drop, drip or crowd in, and it has to stop."""

from __future__ import annotations

import errno
import logging
import smtplib
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress

import pytest

from mail_ingest.smtp_server import Listen, MailServer, SpoolFull
from tests.wire import KNOWN, MAIL, SECOND, MemorySpool, Wire, listening, until


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
    spool.put = lambda _mail: cancelled  # type: ignore[method-assign,assignment] # one odd answer
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
        dripping = threading.Thread(target=_drip, args=(wire,))
        dripping.start()
        assert wire.reply().startswith("421 4.4.2")
        dripping.join()
    assert spool.held == []


def _drip(wire: Wire) -> None:
    with suppress(OSError):
        for _ in range(100):
            wire.send(b"goccia\r\n")
            time.sleep(0.05)


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


# --- all peers together: the mails in memory have one bound ---


def test_mails_that_wait_share_one_bound_and_give_it_back(spool: MemorySpool) -> None:
    body = b"x" * 6_000 + b"\r\n"
    with listening(spool, octets_in_flight=10_000) as here, Wire(here) as slow, Wire(here) as late:
        slow.begin()
        slow.send(body)
        time.sleep(0.3)  # what was sent is read
        late.begin()
        assert late.say(body + b".") == "452 4.3.1 Insufficient storage, try again later"
        assert slow.say(b".").startswith("250")
        for _ in range(4):
            late.begin()
            assert late.say(body + b".").startswith("250")
        slow.begin()
        slow.send(body)
        time.sleep(0.3)
        slow.close()
        time.sleep(0.3)  # who drops gives back as well
        late.begin()
        assert late.say(body + b".").startswith("250")
    assert len(spool.held) == 6
