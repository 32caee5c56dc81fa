"""Commands that need no installation, and how every command says that it was called wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Command

DESKS = Path(__file__).parents[2] / "config" / "desks"

COMMANDS = [
    *("init", "doctor", "serve", "demo", "migrate", "portal", "worker", "beat"),
    *("mail", "tickets", "outbox", "operator", "requester", "desk"),
]

CALLED_WRONGLY = [
    (["tickets", "lst"], "No such command 'lst'"),
    (["tickets", "show"], "Missing argument 'NUMBER'"),
    (["serve", "--port", "99999"], "'--port'"),
    (["serve", "--nope"], "--nope"),
    (["mail", "test"], "Missing argument 'ADDRESS'"),
    (["requester", "add", "A", "a@b.example", "--admin"], "--organisation"),
]


@pytest.fixture
def sportello(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return Command(tmp_path / "data", capsys, monkeypatch)


def test_help_names_every_command(sportello: Command) -> None:
    told = sportello.bare("--help")
    assert told.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in told.out


def test_nothing_heavy_is_loaded_for_help() -> None:
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import app.cli"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    loaded = {line.rpartition("|")[2].strip() for line in said.splitlines()}
    assert not loaded & {"sqlalchemy", "pydantic", "structlog", "uvicorn", "jinja2", "rich"}


@pytest.mark.parametrize(("arguments", "names"), CALLED_WRONGLY)
def test_called_wrongly_is_one_line(sportello: Command, arguments: list[str], names: str) -> None:
    told = sportello.bare(*arguments)
    assert told.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert names in told.err
    assert "--help`" in told.err


@pytest.mark.parametrize(
    "arguments",
    [["tickets", "list"], ["outbox", "list"], ["serve"], ["portal"], ["worker"], ["mail"]],
)
def test_a_mistyped_folder_is_named_and_not_made(sportello: Command, arguments: list[str]) -> None:
    told = sportello(*arguments)
    assert told.code == 1
    assert told.err.count("\n") == 1
    assert f"sportello init --data {sportello.data}" in told.err
    assert not sportello.data.exists()


def test_a_wrong_setting_is_named(sportello: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPORTELLO_PORT", "eighty")
    told = sportello("serve")
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "SPORTELLO_PORT" in told.err


def test_an_unexpected_fault_is_one_line(
    sportello: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr("config.settings.load", breaks)
    monkeypatch.delenv("SPORTELLO_DEBUG", raising=False)
    told = sportello("tickets", "list")
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "ZeroDivisionError: by nothing" in told.err
    assert "--debug" in told.err


def test_the_five_desks_are_good(sportello: Command) -> None:
    told = sportello.bare("desk", "check", str(DESKS))
    assert told.code == 0
    assert told.err == ""
    assert told.out.count(": good: ") == 5


def test_a_new_desk_is_good(sportello: Command, tmp_path: Path) -> None:
    text = sportello.bare("desk", "new", "comune", 'Assistenza: "Prova"', "a@comune.example").out
    file = tmp_path / "comune.yaml"
    file.write_text(text, "utf-8")
    assert sportello.bare("desk", "check", str(file)).code == 0


def test_every_mistake_of_a_desk_file_is_a_line(sportello: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("kode: x\nname: X\nintake:\n  - address: nowhere\n", "utf-8")
    told = sportello.bare("desk", "check", str(file), str(tmp_path / "none.yaml"))
    assert told.code == 1
    assert told.out == ""
    lines = told.err.splitlines()
    assert [line for line in lines if line.startswith(f"{file}:")] == lines[:-1]
    assert f"{file}:4: intake[0].address" in told.err
    assert "did you mean `code`" in told.err
    assert lines[-1].startswith(f"{tmp_path / 'none.yaml'}: cannot be read")


def test_a_notice_without_a_text_is_a_mistake(sportello: Command, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    notice = "{event: ticket_opened, audience: requester, template: nothing_like_it}"
    file.write_text(
        f"code: x\nname: X\nintake: [{{address: a@x.example}}]\nnotices: [{notice}]\n", "utf-8"
    )
    told = sportello.bare("desk", "check", str(file))
    assert told.code == 1
    assert "nothing_like_it" in told.err


def test_a_desk_that_cannot_be_is_refused(sportello: Command) -> None:
    told = sportello.bare("desk", "new", "Not A Code", "x", "y")
    assert (told.code, told.out) == (1, "")
    assert "small letters" in told.err


def test_the_schema_explains_every_key(sportello: Command) -> None:
    schema = sportello.bare("desk", "schema").result
    assert schema["title"] == "Sportello desk file"
    assert schema["$defs"]["DeskProfile"]["properties"]["intake"]["description"]
