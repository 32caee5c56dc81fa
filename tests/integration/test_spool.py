"""The listener's spool: group commit in which no mail pays for another."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from core import contents, mailbox
from core.contents import INLINE_BYTES
from core.errors import Transient
from core.mailbox import Arrival
from mail_ingest.arrival import SpoolFull
from mail_ingest.spool import SpoolWriter
from tests.mailroom import KYBERNES, RTPEC, Mailroom, arrived


@pytest.fixture
def writer(mailroom: Mailroom) -> SpoolWriter:
    """Return a writer that does not run yet: what is put waits for one commit."""
    return SpoolWriter(mailroom.store, mailroom.world.desk_ids)


def put(writer: SpoolWriter, mailroom: Mailroom, *raws: bytes) -> list[Future[None]]:
    """Put mails for the desk rtpec."""
    return [writer.put(arrived(raw, RTPEC, world=mailroom.world)) for raw in raws]


def commits(mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the size of each batch that is written."""
    sizes: list[int] = []
    real = mailbox.spool

    def spool(session: Any, arrivals: list[Arrival], *, now: Any) -> None:
        sizes.append(len(arrivals))
        real(session, arrivals, now=now)

    monkeypatch.setattr(mailbox, "spool", spool)
    return sizes


def test_mails_that_wait_are_one_commit(
    mailroom: Mailroom, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = commits(mailroom, monkeypatch)
    answers = put(writer, mailroom, *(mailroom.mail() for _ in range(130)))
    writer.start()
    for answer in answers:
        answer.result(timeout=30)
    writer.stop()
    assert sizes == [128, 2]
    assert len(mailroom.ledger()) == 130
    assert len(mailroom.outbox(mailbox.PROCESS)) == 130


def test_one_that_fails_does_not_fail_the_others(
    mailroom: Mailroom, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mailbox.spool

    def spool(session: Any, arrivals: list[Arrival], *, now: Any) -> None:
        if any(b"POISON" in one.raw for one in arrivals):
            raise ValueError("a fault of ours")
        real(session, arrivals, now=now)

    monkeypatch.setattr(mailbox, "spool", spool)
    raws = [mailroom.mail(), mailroom.mail(text="POISON"), mailroom.mail()]
    answers = put(writer, mailroom, *raws)
    writer.start()
    writer.stop()
    assert answers[0].result(timeout=0) is None
    with pytest.raises(ValueError, match="a fault of ours"):
        answers[1].result(timeout=0)
    assert answers[2].result(timeout=0) is None
    assert len(mailroom.ledger()) == 2


def test_a_resend_in_the_same_commit_is_counted(mailroom: Mailroom, writer: SpoolWriter) -> None:
    raw = mailroom.mail()
    answers = put(writer, mailroom, raw, b"Received: again\r\n" + raw, raw)
    writer.start()
    writer.stop()
    assert [answer.result(timeout=0) for answer in answers] == [None] * 3
    [line] = mailroom.ledger()
    assert line.repeats == 2
    assert len(mailroom.outbox()) == 1


def test_whoever_no_longer_waits_does_not_undo_the_commit(
    mailroom: Mailroom, writer: SpoolWriter
) -> None:
    gone, there = put(writer, mailroom, mailroom.mail(), mailroom.mail())
    assert gone.cancel()
    writer.start()
    there.result(timeout=30)
    after = put(writer, mailroom, mailroom.mail())[0]
    after.result(timeout=30)
    writer.stop()
    assert len(mailroom.ledger()) == 3


def test_nobody_who_left_keeps_a_fault_from_the_others(
    mailroom: Mailroom, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spool(*_: Any, **__: Any) -> None:
        raise Transient("away")

    monkeypatch.setattr(mailbox, "spool", spool)
    gone, there = put(writer, mailroom, mailroom.mail(), mailroom.mail())
    assert gone.cancel()
    writer.start()
    with pytest.raises(Transient):
        there.result(timeout=30)
    writer.stop()


def _full_sqlite() -> Exception:
    fault = sqlite3.OperationalError("database or disk is full")
    fault.sqlite_errorcode = sqlite3.SQLITE_FULL
    wrapped = Transient("the store does not answer")
    wrapped.__cause__ = fault
    return wrapped


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), _full_sqlite()])
def test_a_full_disk_is_said(
    mailroom: Mailroom, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(contents, "keep_aside", full)
    [answer] = put(writer, mailroom, mailroom.mail())
    writer.start()
    writer.stop()
    with pytest.raises(SpoolFull):
        answer.result(timeout=0)
    assert mailroom.ledger() == []


def test_a_word_in_a_fault_is_no_full_disk(
    mailroom: Mailroom, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise Transient("the queue is fully booked")

    monkeypatch.setattr(contents, "keep_aside", broken)
    [answer] = put(writer, mailroom, mailroom.mail())
    writer.start()
    writer.stop()
    with pytest.raises(Transient):
        answer.result(timeout=0)


def test_a_large_mail_is_a_file_written_before_the_transaction(
    mailroom: Mailroom, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    files = type(mailroom.store.ports.files)
    real_write, real_begin = files.write, mailroom.store.begin

    def write(folder: Any, sha256: str, data: bytes) -> None:
        done.append("file")
        real_write(folder, sha256, data)

    def begin() -> Any:
        done.append("begin")
        return real_begin()

    monkeypatch.setattr(files, "write", write)
    monkeypatch.setattr(mailroom.store, "begin", begin)
    raw = mailroom.mail(text="x" * 60 * 1_200)
    assert len(raw) > INLINE_BYTES
    [answer] = put(writer, mailroom, raw)
    writer.start()
    answer.result(timeout=30)
    writer.stop()
    assert done[:2] == ["file", "begin"]
    [line] = mailroom.ledger()
    with mailroom.store.read() as session:
        assert contents.get(session, mailroom.store.ports.files, line.sha256) == raw


def test_which_addresses_are_ours(writer: SpoolWriter) -> None:
    assert writer.knows("Assistenza.RT+tag@Namirial.com")
    assert not writer.knows("altro@namirial.com")


def test_a_mail_has_a_line_for_each_desk_and_each_is_signed_if_one_is(
    mailroom: Mailroom, writer: SpoolWriter
) -> None:
    tagged = "assistenza.rt+1.0.abc@namirial.com"
    mail = arrived(mailroom.mail(), tagged, RTPEC, KYBERNES, "x@y.example", world=mailroom.world)
    answer = writer.put(mail)
    writer.start()
    answer.result(timeout=30)
    writer.stop()
    assert [line.recipient for line in mailroom.ledger()] == [tagged, KYBERNES]


def test_eight_sessions_that_resend_at_once_are_one_line(
    mailroom: Mailroom, writer: SpoolWriter
) -> None:
    raw, start = mailroom.mail(), threading.Barrier(8)
    writers = [SpoolWriter(mailroom.store, mailroom.world.desk_ids) for _ in range(8)]

    def send(one: SpoolWriter) -> None:
        start.wait(timeout=30)
        put(one, mailroom, raw)[0].result(timeout=60)

    for one in writers:
        one.start()
    threads = [threading.Thread(target=send, args=(one,)) for one in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for one in writers:
        one.stop()
    [line] = mailroom.ledger()
    assert line.repeats == 7
