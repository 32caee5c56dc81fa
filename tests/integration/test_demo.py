"""The demonstration: its world, that a second start keeps it, and that its mail stays here."""

from __future__ import annotations

import smtplib
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import demo, demo_world
from app.catcher import Catcher
from app.wiring import courier, install_desks, open_store
from config.settings import Settings, load
from core import clock, logins, passwords
from core.db import Store
from core.errors import SetupError
from core.logins import Kind
from core.model import (
    Delivery,
    DeliveryState,
    Message,
    Operator,
    OutboxEntry,
    Requester,
    Ticket,
    Visibility,
)
from tests.command import Command

WORLD = demo_world.read()


@pytest.fixture
def loaded(store: Store) -> Store:
    """Load the demo's world into a store of each kind."""
    demo_world.load(store, install_desks(store), WORLD, now=clock.now())
    return store


def test_the_world_is_whole(loaded: Store) -> None:
    with loaded.read() as session:
        assert {one.desk for one in WORLD.ticket} == set(loaded.ports.desks)
        assert session.scalar(select(func.count()).select_from(Ticket)) == len(WORLD.ticket)
        said = sum(len(one.step) for one in WORLD.ticket)
        assert said > session.scalars(select(func.count()).select_from(Message)).one() > said / 2
        statuses = set(session.scalars(select(Ticket.status)))
        assert len(statuses) >= 4
        # Numbers ascend with time, and nothing lies in the future.
        for desk_id in install_desks(loaded).values():
            opened = list(
                session.scalars(
                    select(Ticket.opened_at)
                    .where(Ticket.desk_id == desk_id)
                    .order_by(Ticket.number)
                )
            )
            assert opened == sorted(opened)
            assert all(at < clock.now() for at in opened)
        assert demo_world.state(session, WORLD) == "ours"


def test_everybody_can_sign_in(loaded: Store) -> None:
    names: list[tuple[Kind, str]] = [(Operator, one.email) for one in WORLD.operator]
    names += [(Requester, one.email) for one in WORLD.requester]
    names += [(Requester, one.code) for one in WORLD.requester if one.code]
    with loaded.read() as session:
        hashes = []
        for kind, name in names:
            credential = logins.credential(session, kind, name)
            assert credential is not None
            hashes.append(credential.password_hash)
    assert len(set(hashes)) == 1
    assert passwords.matches(demo_world.PASSWORD, hashes[0])


def test_no_note_leaves_the_house(loaded: Store) -> None:
    with loaded.read() as session:
        notes = select(Message.id).where(Message.visibility == Visibility.INTERNAL)
        assert list(session.scalars(notes))
        assert not list(session.scalars(select(Delivery.id).where(Delivery.message_id.in_(notes))))


def test_a_second_start_keeps_what_is_there(tmp_path: Path) -> None:
    settings = load(tmp_path)
    demo.prepare(settings, WORLD)
    demo.load_once(settings, WORLD)
    demo.prepare(settings, WORLD)
    demo.load_once(settings, WORLD)
    store = open_store(settings)
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(Ticket)) == len(WORLD.ticket)
    store.close()


def test_a_real_store_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sportello = Command(tmp_path / "data", capsys, monkeypatch)
    sportello("init", "--yes")
    told = sportello("demo")
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert "settings.toml belongs to a real installation" in told.err
    (sportello.data / "settings.toml").unlink()
    told = sportello("demo")
    assert (told.code, told.out) == (1, "")
    assert "not the demo's" in told.err


def test_its_mail_stays_here_whatever_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MAIL_HOST": "smtp.real.example",
        "MAIL_PORT": "465",
        "MAIL_SECURITY": "tls",
        "MAIL_USERNAME": "me",
        "MAIL_PASSWORD": "secret",
        "BROKER": "amqp://elsewhere.example//",
    }.items():
        monkeypatch.setenv(f"SPORTELLO_{name}", value)
    confined = demo.confined(load(), mail_port=2525)
    # What a child process reads is what counts.
    for name, value in confined.environment().items():
        monkeypatch.setenv(name, value)
    child = load()
    assert (child.mail_host, child.mail_port, child.mail_security) == ("127.0.0.1", 2525, "none")
    assert (child.mail_username, child.mail_password, child.broker) == ("", "", "")
    assert child.demo


def test_its_mail_is_caught(loaded: Store, tmp_path: Path) -> None:
    catcher = Catcher(tmp_path / "caught")
    settings = demo.confined(Settings(data=tmp_path), mail_port=catcher.start())
    sender = courier(settings)
    with loaded.read() as session:
        rows = session.execute(select(Delivery.id, Delivery.recipient, Delivery.state)).all()
        entries = session.scalars(select(OutboxEntry.payload)).all()
    waiting = {row.id: row.recipient for row in rows if row.state is DeliveryState.WAITING}
    assert {one["delivery"] for one in entries} == set(waiting)
    for payload in entries:
        sender.think(loaded, payload)
    sender.close()
    catcher.stop()
    mails = [message_from_bytes(one.read_bytes()) for one in sorted(catcher.folder.iterdir())]
    assert sorted(mail["Delivered-To"] for mail in mails) == sorted(waiting.values())
    assert all(mail["Message-ID"] and mail["Return-Path"] for mail in mails)


def test_the_catcher_keeps_what_it_was_given(tmp_path: Path) -> None:
    catcher = Catcher(tmp_path)
    port = catcher.start()
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(
            "a@x.example", ["b@x.example", "c@x.example"], b"Subject: 1\r\n\r\n.dot\r\n"
        )
        client.sendmail("", ["d@x.example"], b"Subject: 2\r\n\r\n\xe8\r\n")
    catcher.stop()
    first, second = sorted(tmp_path.glob("*.eml"))
    assert first.read_bytes() == (
        b"Return-Path: <a@x.example>\r\nDelivered-To: b@x.example\r\nDelivered-To: c@x.example\r\n"
        b"Subject: 1\r\n\r\n.dot\r\n"
    )
    assert second.read_bytes().startswith(b"Return-Path: <>\r\n")
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", port)


def test_a_foreign_store_raises(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("", "utf-8")
    with pytest.raises(SetupError):
        demo.prepare(load(tmp_path), WORLD)
