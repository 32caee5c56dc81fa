"""*Your own desk in ten minutes*, typed line by line as the page has it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "desks.md"
#: Seconds until a start has printed its addresses, and a mail has become a Ticket.
PATIENCE = 60.0

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


class Reader:
    """Somebody who types what the page says, in an empty folder; a server runs on beside it."""

    def __init__(self, folder: Path) -> None:
        """Begin in `folder`, with the ports that are free."""
        self.folder = folder
        self.server: subprocess.Popen[str] | None = None
        self.smtp_port = ""
        commands = Path(sys.executable).parent
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SPORTELLO_")
        } | {"PATH": f"{commands}:{os.environ['PATH']}", "SPORTELLO_PORT": "0"}
        # The page's port may be taken on this machine.
        self.environment["SPORTELLO_SMTP_PORT"] = "0"

    def types(self, line: str) -> str:
        """Run one line; return its standard output."""
        if line.startswith("sportello serve"):
            return self._serves(line)
        done = subprocess.run(  # noqa: S602 - a reader types into a shell
            line.replace("8025", self.smtp_port),
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return done.stdout

    def _serves(self, line: str) -> str:
        self.server = subprocess.Popen(
            shlex.split(line),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout is not None
        said = ""
        while "smtp: " not in said:
            read = self.server.stdout.readline()
            assert read, "it ended before it served"
            said += read
        self.smtp_port = said.strip().rpartition(":")[2]
        return said

    def stops(self) -> None:
        """Press Ctrl+C."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.communicate(timeout=30)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.stops()


def test_the_page_works_as_it_is_written(reader: Reader) -> None:
    blocks: list[str] = _BLOCK.findall(PAGE.read_text("utf-8"))
    lines = [line[2:] for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for block in blocks for line in block.splitlines())
    assert len(lines) >= 7
    reader.types("sportello init --yes")
    for line in lines[:-1]:
        reader.types(line)
    deadline = time.monotonic() + PATIENCE
    while not (found := json.loads(reader.types(lines[-1]))):
        assert time.monotonic() < deadline, "the mail opened no Ticket"
    assert [(one["number"], one["subject"]) for one in found] == [("1001", "Stampante")]


def test_the_mistake_on_the_page_is_told_like_that(reader: Reader) -> None:
    told = re.search(r"```\n(var/desks/(\S+)\.yaml:(\d+): (\S+): `9:00`.*?) …", PAGE.read_text())
    assert told is not None
    new = next(line for line in PAGE.read_text().splitlines() if "sportello desk new" in line)
    (reader.folder / "var" / "desks").mkdir(parents=True)
    reader.types(new.removeprefix("$ "))
    file = reader.folder / "var" / "desks" / f"{told[2]}.yaml"
    file.write_text(file.read_text().replace('"09:00"', '"9:00"'))
    done = subprocess.run(
        ["sportello", "desk", "check", str(file.relative_to(reader.folder))],
        cwd=reader.folder,
        env=reader.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(told[1])
