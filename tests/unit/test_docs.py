"""The documents name only what is there: links, files, and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
#: Settings that `sportello init --yes` reads beside the fields of Settings.
ONLY_INIT = {"SPORTELLO_ADMIN_NAME", "SPORTELLO_ADMIN_EMAIL", "SPORTELLO_ADMIN_PASSWORD"}
#: Bytes of a picture in the documents: it travels with each clone.
LARGEST_PICTURE = 200_000

_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
_PATH = re.compile(r"`((?:app|config|core|mail_ingest|portal|tests|tools|bench)/[\w./@-]+)`")
_SETTING = re.compile(r"SPORTELLO_[A-Z_]*[A-Z]")


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_links_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text("utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_files_named_in_running_text_are_there(page: Path) -> None:
    paths = _PATH.findall(page.read_text("utf-8"))
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_settings_that_are_named_exist() -> None:
    known = {f"SPORTELLO_{name}".upper() for name in Settings.model_fields} | ONLY_INIT
    files = [*PAGES, *(ROOT / "config" / "deploy").iterdir()]
    named = {one for file in files for one in _SETTING.findall(file.read_text("utf-8"))}
    assert named <= known


def test_pictures_are_small() -> None:
    assert not [one for one in ROOT.glob("docs/**/*.png") if one.stat().st_size > LARGEST_PICTURE]
