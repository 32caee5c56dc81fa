"""Runs `sportello` commands inside the test process, as quick as functions; serves nothing."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.cli import main


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)

    def fact(self, name: str) -> str:
        """Return what stands behind `name:` on a line of its standard output."""
        lines = (line.partition(": ") for line in self.out.splitlines())
        return next(value for key, _, value in lines if key == name)


@dataclass
class Command:
    """`sportello` with one data folder."""

    data: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, typed: str | None = None) -> Said:
        """Run a command on the data folder."""
        return self.bare(*arguments, "--data", str(self.data), typed=typed)

    def bare(self, *arguments: str, typed: str | None = None) -> Said:
        """Run a command as it stands."""
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(typed or ""))
        self.capsys.readouterr()
        with own_logging(), pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = self.capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, out, err)


@contextmanager
def own_logging() -> Iterator[None]:
    """Undo afterwards what a command did to the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
