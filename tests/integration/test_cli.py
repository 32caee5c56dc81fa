"""Commands on an installation: what an administrator types, and what stands in the store after."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest

from app.jobs import job_list
from app.runner import Runner
from app.wiring import courier, open_installation
from config.settings import load
from core import clock, mailbox, outbox
from core.errors import Permanent
from core.mailbox import Arrival
from core.model import (
    Disposition,
    EntryState,
    Fact,
    LoginSession,
    Operator,
    OutboxEntry,
    RawMail,
    Requester,
    TimelineEntry,
)
from mail_ingest.spool import fingerprint
from tests.command import Command

PASSWORD = "cavallo batteria graffetta"


@pytest.fixture
def sportello(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Make an installation with one administrator."""
    command = Command(tmp_path / "data", capsys, monkeypatch)
    monkeypatch.setenv("SPORTELLO_ADMIN_EMAIL", "ada@sportello.example")
    assert command("init", "--yes").code == 0
    return command


def test_init_makes_everything_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sportello = Command(tmp_path / "new" / "data", capsys, monkeypatch)
    monkeypatch.setenv("SPORTELLO_PUBLIC_URL", "https://aiuto.comune.example")
    monkeypatch.setenv("SPORTELLO_TRUSTED_PROXIES", '["10.0.0.1"]')
    monkeypatch.setenv("SPORTELLO_MAIL_PASSWORD", 'a "quoted" \\ one')
    first = sportello("init", "--yes")
    assert first.code == 0
    assert first.fact("administrator") == "admin@localhost"
    assert re.fullmatch(r"(?:[a-z2-9]{5}-){3}[a-z2-9]{5}", first.fact("password"))
    assert "sportello serve" in first.err
    settings = sportello.data / "settings.toml"
    assert tomllib.loads(settings.read_text("utf-8")) == {
        "public_url": "https://aiuto.comune.example",
        "trusted_proxies": ["10.0.0.1"],
        "mail_password": 'a "quoted" \\ one',
    }
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert stat.S_IMODE(sportello.data.stat().st_mode) == 0o700

    monkeypatch.delenv("SPORTELLO_PUBLIC_URL")
    again = sportello("init", "--yes")
    assert again.code == 0
    assert again.fact("public url") == "https://aiuto.comune.example"
    assert "password" not in again.out


def test_init_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sportello = Command(tmp_path / "data", capsys, monkeypatch)
    answers = ["https://x.example/", "127.0.0.1", "nonsense", "tls", "1", "me", "secret"]
    told = sportello("init", typed="\n".join([*answers, "Ada Neri", "ada@x.example", PASSWORD, ""]))
    assert told.code == 0
    assert told.fact("administrator") == "ada@x.example"
    assert "password" not in told.out
    assert "cannot be reached" in told.err
    settings = load(sportello.data)
    assert (settings.public_url, settings.mail_host, settings.mail_port) == (
        "https://x.example",
        "127.0.0.1",
        1,
    )
    assert (settings.mail_security, settings.mail_username) == ("tls", "me")
    assert settings.mail_password == "secret"


def test_init_without_answers_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sportello = Command(tmp_path / "data", capsys, monkeypatch)
    told = sportello("init", typed="")
    assert (told.code, told.out) == (1, "")
    assert not sportello.data.exists()


def test_init_refuses_a_short_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sportello = Command(tmp_path / "data", capsys, monkeypatch)
    monkeypatch.setenv("SPORTELLO_ADMIN_PASSWORD", "short")
    assert sportello("init", "--yes").code == 1
    assert not sportello.data.exists()


def test_data_after_the_name_wins(sportello: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPORTELLO_DATA", str(sportello.data.parent / "elsewhere"))
    assert sportello("tickets", "list", "--json").result == []
    assert sportello.bare("tickets", "list").code == 1


def test_an_operator_comes_changes_and_goes(sportello: Command) -> None:
    added = sportello(
        "operator", "add", "Bruno Conti", "Bruno@x.example", "--desk", "rtpec", "--role", "tecnico"
    )
    assert added.fact("operator") == "Bruno Conti <bruno@x.example>, tecnico at rtpec"
    assert len(added.fact("password")) >= 12

    more = sportello("operator", "add", "Bruno", "bruno@x.example", "--desk", "condafne")
    assert more.code == 0
    assert "password" not in more.out
    row = next(line for line in sportello("operator", "list").out.splitlines() if "bruno@" in line)
    assert "condafne (operatore), rtpec (tecnico)" in row
    assert "Bruno Conti" in row

    changed = sportello(
        "operator", "password", "bruno@x.example", "--ask-password", typed=PASSWORD + "\n"
    )
    assert (changed.code, changed.out) == (0, "operator: bruno@x.example\n")
    assert sportello("operator", "disable", "bruno@x.example").code == 0

    store = open_installation(load(sportello.data)).store
    with store.read() as session:
        bruno = session.query(Operator).filter_by(email="bruno@x.example").one()
        assert not bruno.active
        assert session.query(LoginSession).count() == 0
        facts = [
            (entry.to_value, entry.desk_id is not None)
            for entry in session.query(TimelineEntry).order_by(TimelineEntry.id)
            if entry.kind is Fact.OPERATOR_CHANGED and entry.data["operator"] == bruno.id
        ]
    store.close()
    assert facts == [
        ("added", False),
        ("tecnico", True),
        ("operatore", True),
        ("password", False),
        ("disabled", False),
    ]


REFUSED = [
    (["operator", "add", "X", "nowhere"], "`nowhere` is no mail address"),
    (["operator", "add", " ", "x@x.example"], "the name is empty"),
    (["operator", "add", "X", "x@x.example", "--desk", "nope"], "no desk has the code `nope`"),
    (["operator", "password", "x@x.example"], "no Operator signs in as"),
    (["operator", "disable", "ada@sportello.example"], "the last administrator"),
    (["tickets", "list", "--desk", "nope"], "no desk has the code `nope`"),
    (["tickets", "show", "7"], "no Ticket 7"),
    (["tickets", "show", "seven"], "no Ticket number"),
    (["outbox", "retry", "99"], "left alone: 99"),
    (["mail", "test", "x@x.example"], "outgoing mail is not set up"),
    (["beat"], "there is no broker"),
]


@pytest.mark.parametrize(("arguments", "names"), REFUSED)
def test_what_cannot_be_done_is_one_line(
    sportello: Command, arguments: list[str], names: str
) -> None:
    told = sportello(*arguments)
    assert (told.code, told.out) == (1, "")
    assert told.err.count("\n") == 1
    assert names in told.err


def test_a_short_password_is_refused(sportello: Command) -> None:
    told = sportello(
        "operator", "password", "ada@sportello.example", "--ask-password", typed="short\n"
    )
    assert (told.code, told.err.count("\n")) == (1, 1)


def test_a_requester_who_wrote_before_is_the_same(sportello: Command) -> None:
    _receive(sportello, b"From: luca@x.example\nMessage-ID: <1@x>\nSubject: Uno\n\nAiuto")
    told = sportello(
        "requester", "add", "Luca Verdi", "luca@x.example",
        "--organisation", "Comune di Prato", "--admin", "--code", "HD-1",
    )  # fmt: skip
    assert told.fact("requester") == "Luca Verdi <luca@x.example>"
    assert told.fact("password")
    again = sportello("requester", "add", "Luca", "luca@x.example")
    assert again.code == 1
    assert "registered" in again.err
    store = open_installation(load(sportello.data)).store
    with store.read() as session:
        person = session.query(Requester).one()
        assert person.name == "Luca Verdi"
        assert {one.address for one in person.identities} == {"luca@x.example", "hd-1"}
        assert all(one.verified_at for one in person.identities)
    store.close()


def test_tickets_are_told_to_people_and_programs(sportello: Command) -> None:
    assert sportello("tickets", "list", "--json").result == []
    _receive(sportello, b"From: Luca <luca@x.example>\nMessage-ID: <1@x>\nSubject: Uno\n\nAiuto")
    _receive(
        sportello,
        b"From: Sara <sara@x.example>\nMessage-ID: <2@x>\nSubject: Due \x1b[2J\n\nAiuto",
        to="odr@infocamere.it",
    )
    newest, oldest = sportello("tickets", "list", "--json").result
    assert oldest | {"opened_at": "", "conversation": 0} == {
        "number": "9631",
        "sequence": 9631,
        "desk": "rtpec",
        "subject": "Uno",
        "requester": "luca@x.example",
        "status": "open",
        "severity": None,
        "channel": "email",
        "opened_at": "",
        "messages": 1,
        "assignee": None,
        "conversation": 0,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", oldest["opened_at"])
    assert newest["number"] == "000315"
    only = sportello("tickets", "list", "--json", "--desk", "rtpec").result
    assert [one["number"] for one in only] == ["9631"]
    assert "\x1b" not in sportello("tickets", "list").out

    shown = sportello("tickets", "show", "[rtpec #9631]", "--json").result
    assert [(one["seq"], one["text"]) for one in shown["messages"]] == [(1, "Aiuto")]
    assert [one["kind"] for one in shown["timeline"]] == ["ticket_opened"]
    for name in ("315", "000315"):
        assert "\x1b" not in (told := sportello("tickets", "show", name)).out
        assert told.fact("requester") == "sara@x.example"


def test_a_mail_that_was_given_up_is_replayed(sportello: Command) -> None:
    raw_id = _spool(sportello, b"From: luca@x.example\nMessage-ID: <1@x>\nSubject: Uno\n\nAiuto")
    _give_up(sportello, raw_id)
    entry = sportello("outbox", "list", "--json").result[0]
    assert (entry["state"], entry["last_error"]) == ("given_up", "broken")
    told = sportello("mail", "replay")
    assert told.out == f"{raw_id}: waits for a worker again\n"
    # The same entry: nothing that was given up is left over.
    assert [one["state"] for one in sportello("outbox", "list", "--json").result] == ["waiting"]
    _work(sportello)
    assert len(sportello("tickets", "list", "--json").result) == 1
    assert sportello("mail", "replay", "--from", "1").out == ""


def test_outbox_retry_also_opens_the_ledger_line(sportello: Command) -> None:
    raw_id = _spool(sportello, b"From: luca@x.example\nMessage-ID: <1@x>\nSubject: Uno\n\nAiuto")
    _give_up(sportello, raw_id)
    assert sportello("outbox", "retry").out.endswith("waits for a worker again\n")
    _work(sportello)
    assert len(sportello("tickets", "list", "--json").result) == 1
    assert "Nothing was given up" in sportello("outbox", "retry").err


def test_a_range_is_replayed_but_no_message_twice(sportello: Command) -> None:
    _receive(sportello, b"From: luca@x.example\nMessage-ID: <1@x>\nSubject: Uno\n\nAiuto")
    held = _receive(
        sportello,
        b"From: sara@x.example\nMessage-ID: <2@x>\nSubject: Due\n\nAiuto",
        to="hdintesa@advalia.com",
    )
    assert len(sportello("tickets", "list", "--json").result) == 1
    assert sportello("mail", "replay").out == ""
    assert sportello("requester", "add", "Sara", "sara@x.example").code == 0
    assert sportello("mail", "replay", "--from", "1", "--since", "2026-01-01").out == (
        f"{held}: waits for a worker again\n"
    )
    _work(sportello)
    codes = [one["desk"] for one in sportello("tickets", "list", "--json").result]
    assert codes == ["condafne", "rtpec"]


def test_a_new_desk_has_the_administrators(sportello: Command) -> None:
    folder = sportello.data / "desks"
    folder.mkdir()
    text = sportello.bare("desk", "new", "comune", "Comune", "a@comune.example").out
    (folder / "comune.yaml").write_text(text, "utf-8")
    assert sportello("migrate").code == 0
    assert "comune (amministratore_sistema)" in sportello("operator", "list").out


def _spool(sportello: Command, raw: bytes, *, to: str = "assistenza.rt@namirial.com") -> int:
    """Put a mail into the ledger as the mail edge does; return its line."""
    here = open_installation(load(sportello.data))
    desk = here.store.ports.desks.by_address(to)
    assert desk is not None
    with here.store.begin() as session:
        arrival = Arrival(
            desk_id=here.desk_ids[desk.code],
            raw=raw,
            fingerprint=fingerprint(raw),
            recipient=to,
            envelope_from="x@x.example",
            source="smtp",
            received_at=clock.now(),
        )
        mailbox.spool(session, [arrival], now=clock.now())
        line = session.query(RawMail).order_by(RawMail.id.desc()).first()
        assert line is not None
        raw_id = line.id
    here.store.close()
    return raw_id


def _receive(sportello: Command, raw: bytes, *, to: str = "assistenza.rt@namirial.com") -> int:
    raw_id = _spool(sportello, raw, to=to)
    _work(sportello)
    return raw_id


def _work(sportello: Command) -> None:
    """Work off what is due, as a worker does."""
    settings = load(sportello.data)
    here = open_installation(settings)
    runner = Runner(here.store, job_list(courier(settings)))
    while runner.run_due():
        pass
    here.store.close()


def _give_up(sportello: Command, raw_id: int) -> None:
    """Let the processing of a mail fail for good."""
    here = open_installation(load(sportello.data))
    now = clock.now()
    with here.store.begin() as session:
        (job,) = outbox.claim(session, now=now)
        fault = Permanent("broken")
        retry = outbox.retry_after(fault, attempts=1, limit=5, since=now - now, now=now)
        assert outbox.fail(session, job, fault, retry=retry)
        mailbox.give_up(session, raw_id, reason="broken", now=now)
    with here.store.read() as session:
        assert session.get_one(RawMail, raw_id).disposition is Disposition.GIVEN_UP
        assert session.query(OutboxEntry).one().state is EntryState.GIVEN_UP
    here.store.close()
