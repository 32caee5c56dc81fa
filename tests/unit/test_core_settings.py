"""Settings: which source wins, and how a wrong one is named."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from config.settings import EXAMPLE_DESKS, Settings, load, reply_keys, save
from core.errors import SetupError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no setting of the machine in."""
    for name in list(os.environ):
        if name.startswith("SPORTELLO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SPORTELLO_DATA", str(tmp_path))


def test_nothing_set_is_one_machine_with_sqlite(tmp_path: Path) -> None:
    settings = load()
    assert settings.store_url == f"sqlite:///{tmp_path / 'sportello.sqlite'}"
    assert settings.desk_folder == EXAMPLE_DESKS
    assert (settings.broker, settings.lmtp_port, settings.secure) == ("", None, False)


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, {"port": 9001, "smtp_port": 9002, "public_url": "https://desk.example"})
    monkeypatch.setenv("SPORTELLO_PORT", "9003")
    settings = load()
    assert (settings.port, settings.smtp_port, settings.secure) == (9003, 9002, True)


def test_what_is_said_on_the_command_line_wins_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, {"port": 9001})
    monkeypatch.setenv("SPORTELLO_PORT", "9003")
    assert load(tmp_path, port=9004, smtp_port=None).port == 9004


def test_a_data_folder_brings_its_own_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    save(other, {"port": 9005})
    assert (load(other).port, load(other).data) == (9005, other)


def test_what_is_saved_is_read_back_and_only_by_its_owner(tmp_path: Path) -> None:
    password = 'a "quoted" \\ back\\slash'
    path = save(tmp_path, {"mail_password": password, "demo": True, "workers": 2})
    settings = load()
    assert (settings.mail_password, settings.demo, settings.workers) == (password, True, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "many"), ("PORT", "70000"), ("WORKERS", "-1"), ("LOG", "loud")]
)
def test_a_wrong_variable_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SPORTELLO_{name}", value)
    with pytest.raises(SetupError, match=f"SPORTELLO_{name}"):
        load()


def test_a_wrong_setting_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("prot = 8080\n", "utf-8")
    with pytest.raises(SetupError, match="prot"):
        load()


def test_a_file_that_cannot_be_read_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("port = \n", "utf-8")
    with pytest.raises(SetupError, match=r"settings\.toml.*line 1"):
        load()


def test_a_child_process_gets_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings(
        data=tmp_path, port=0, lmtp_port=24, demo=True, trusted_proxies=("10.0.0.1", "10.0.0.2")
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert load() == given


def test_own_desk_files_are_found_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "desks").mkdir()
    assert load().desk_folder == tmp_path / "desks"


def test_the_first_reply_key_is_made_once(tmp_path: Path) -> None:
    [key] = reply_keys(tmp_path)
    assert len(key) == 32
    assert reply_keys(tmp_path) == (key,)
    path = tmp_path / "reply.keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("ab" * 32 + "\n" + path.read_text("ascii"), "ascii")
    assert reply_keys(tmp_path) == (b"\xab" * 32, key)


@pytest.mark.parametrize("text", ["", "no hex", "abcd"])
def test_a_reply_key_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "reply.keys").write_text(text, "ascii")
    with pytest.raises(SetupError, match=r"reply\.keys"):
        reply_keys(tmp_path)
