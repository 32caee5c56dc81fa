"""What stands in a log line: facts with keys, no address of a person."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from app.observability import redact_email, start_logging
from config.settings import Settings
from tests.command import own_logging

CASES = [
    ("giulia.bianchi@comune.prato.example", "g…@comune.prato.example"),
    ("<a+t.0.x@b.example>, c@d.example!", "<a…@b.example>, c…@d.example!"),
    ("550 no such user: mario_rossi@x.y.example", "550 no such user: m…@x.y.example"),
    ("nothing here", "nothing here"),
    ("3 @ 4", "3 @ 4"),
]


@pytest.mark.parametrize(("text", "redacted"), CASES)
def test_addresses_are_cut(text: str, redacted: str) -> None:
    assert redact_email(text) == redacted


@pytest.mark.parametrize("form", ["text", "json"])
def test_both_loggers_speak_alike(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    with own_logging():
        start_logging(Settings(log=form))  # type: ignore[arg-type]  # parametrised
        structlog.get_logger("ours").warning("job.failed", who=["ada@x.example"], entry=7)
        logging.getLogger("theirs").warning("hello %s", "bob@x.example")
        try:
            int("eve@x.example")
        except ValueError:
            structlog.get_logger("ours").exception("broke", secret_is_local="not shown")
    out, err = capsys.readouterr()
    assert out == ""
    assert "@x.example" in err
    for name in ("ada@", "bob@", "eve@"):
        assert name not in err
    if form == "json":
        first = json.loads(err.splitlines()[0])
        assert (first["event"], first["entry"], first["level"]) == ("job.failed", 7, "warning")
    else:
        assert "job.failed entry=7 who=['a…@x.example']" in err
