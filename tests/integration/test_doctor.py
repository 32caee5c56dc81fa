"""The doctor's findings: what is wrong is named with what to do, and decides the exit code."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from app.doctor import examine
from app.wiring import open_installation
from config.settings import load
from core import clock
from core.model import EntryState, OutboxEntry, TimelineEntry
from tests.command import Command


@pytest.fixture
def sportello(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Make an installation on free ports, with a built front end."""
    command = Command(tmp_path / "data", capsys, monkeypatch)
    monkeypatch.setenv("SPORTELLO_PORT", "0")
    monkeypatch.setenv("SPORTELLO_SMTP_PORT", "0")
    monkeypatch.setenv("SPORTELLO_PUBLIC_URL", "https://aiuto.example")
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}", "utf-8")
    monkeypatch.setattr("app.doctor.FRONT_END", manifest)
    assert command("init", "--yes").code == 0
    return command


Find = Callable[[str], tuple[str, str, str]]


@pytest.fixture
def finding(sportello: Command) -> Find:
    """Return a function that looks for the finding on one subject."""

    def find(what: str) -> tuple[str, str, str]:
        found = [one for one in examine(sportello.data) if one.what == what]
        worst = max(found, key=lambda one: ("ok", "warn", "fail").index(one.level))
        return worst.level, worst.says, worst.do

    return find


def test_a_good_installation_is_good(sportello: Command) -> None:
    told = sportello("doctor")
    assert told.code == 0
    assert "fail" not in told.out
    assert "mail out        not set up" in told.out
    subjects = {one["what"] for one in sportello("doctor", "--json").result}
    assert subjects >= {
        *("data folder", "public URL", "desk files", "store", "administrators", "clock"),
        *("time zones", "portal port", "smtp port", "mail out", "front end", "outbox"),
    }


def test_no_installation_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Command(tmp_path / "nowhere", capsys, monkeypatch)
    told = nowhere("doctor")
    assert told.code == 1
    assert f"-> run `sportello init --data {nowhere.data}`" in told.out
    assert not nowhere.data.exists()


def test_a_wrong_setting(sportello: Command) -> None:
    (sportello.data / "settings.toml").write_text("port = 'eighty'\nnope = 1\n", "utf-8")
    sportello.monkeypatch.delenv("SPORTELLO_PORT")
    told = sportello("doctor")
    assert told.code == 1
    assert "`port`" in told.out
    assert "`nope`" in told.out


def test_a_wrong_desk_file(sportello: Command, finding: Find) -> None:
    (sportello.data / "desks").mkdir()
    (sportello.data / "desks" / "x.yaml").write_text("code: x\n", "utf-8")
    level, says, do = finding("desk files")
    assert level == "fail"
    assert "x.yaml:1: intake: is missing" in says
    assert "and 1 more" in says
    assert "sportello desk check" in do


def test_a_damaged_store(sportello: Command, finding: Find) -> None:
    file = sportello.data / "sportello.sqlite"
    held = bytearray(file.read_bytes())
    held[8192:40960] = b"\xa5" * (40960 - 8192)
    file.write_bytes(held)
    level, says, _ = finding("store")
    assert level == "fail"
    assert says


def test_a_store_of_a_newer_sportello(sportello: Command, finding: Find) -> None:
    store = open_installation(load(sportello.data)).store
    with store.engine.execution_options(sportello_writes=True).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    level, says, _ = finding("store")
    assert level == "fail"
    assert "newer Sportello" in says


def test_a_taken_port(sportello: Command, finding: Find) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        sportello.monkeypatch.setattr("app.doctor.PATIENCE", 0.2)
        sportello.monkeypatch.setenv("SPORTELLO_SMTP_PORT", str(other.getsockname()[1]))
        level, _, do = finding("smtp port")
    assert level == "fail"
    assert "--smtp-port" in do


def test_a_mail_server_that_is_away(sportello: Command, finding: Find) -> None:
    sportello.monkeypatch.setenv("SPORTELLO_MAIL_HOST", "127.0.0.1")
    sportello.monkeypatch.setenv("SPORTELLO_MAIL_PORT", "1")
    level, says, do = finding("mail out")
    assert (level, says) == ("fail", "127.0.0.1:1 cannot be reached: Connection refused")
    assert "sportello mail test" in do


def test_a_broker_that_is_away(sportello: Command, finding: Find) -> None:
    sportello.monkeypatch.setenv("SPORTELLO_BROKER", "amqp://guest:guest@127.0.0.1:1//")
    sportello.monkeypatch.setattr("app.doctor.PATIENCE", 1)
    level, _, do = finding("broker")
    assert level == "fail"
    assert "RabbitMQ" in do


def test_passwords_in_the_clear(sportello: Command, finding: Find) -> None:
    sportello.monkeypatch.setenv("SPORTELLO_PUBLIC_URL", "http://aiuto.example")
    assert finding("public URL")[0] == "warn"
    sportello.monkeypatch.setenv("SPORTELLO_PUBLIC_URL", "aiuto.example")
    assert finding("public URL")[0] == "fail"


def test_work_that_nobody_does(sportello: Command, finding: Find) -> None:
    store = open_installation(load(sportello.data)).store
    now = clock.now()
    with store.begin() as session:
        for state, late in (
            (EntryState.WAITING, timedelta(hours=1)),
            (EntryState.GIVEN_UP, now - now),
        ):
            session.add(
                OutboxEntry(
                    topic="mail.deliver",
                    payload={"delivery": 1},
                    state=state,
                    due_at=now - late,
                    attempts=0,
                    created_at=now,
                )
            )
    store.close()
    said = " ".join(one.says for one in examine(sportello.data) if one.what == "outbox")
    assert "1 given up" in said
    assert "1 wait for a worker" in said


def test_a_clock_behind_the_store(sportello: Command, finding: Find) -> None:
    store = open_installation(load(sportello.data)).store
    with store.begin() as session:
        entry = session.query(TimelineEntry).first()
        assert entry is not None
        entry.at = clock.now() + timedelta(days=1)
    store.close()
    level, says, _ = finding("clock")
    assert level == "fail"
    assert "behind the store" in says


def test_pages_without_style(sportello: Command, finding: Find) -> None:
    sportello.monkeypatch.setattr("app.doctor.FRONT_END", sportello.data / "none.json")
    assert finding("front end")[0] == "fail"
