"""What commands share: the data folder's option, opening the installation, and how they speak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from app.wiring import Installation
    from config.settings import Settings

#: `--data DIR`, after the name of each command that needs an installation.
Data: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of all that is kept [SPORTELLO_DATA; else var].",
        show_default=False,
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Host: TypeAlias = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Listen on this address [127.0.0.1]."),
]
Port: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--port", min=0, max=65535, metavar="N", help="Portal's port; 0: a free one [8080]."
    ),
]
SmtpHost: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--smtp-host", metavar="ADDRESS", help="Receive mail on this address [127.0.0.1]."
    ),
]
SmtpPort: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--smtp-port", min=0, max=65535, metavar="N", help="SMTP port; 0: a free one [8025]."
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        max=64,
        metavar="N",
        help="Worker processes; 0: everything in one process [by the cores].",
    ),
]


def group(summary: str, *, alone: bool = False) -> typer.Typer:
    """Return a group of commands; `alone`: its name is also a command by itself."""
    return typer.Typer(
        help=summary,
        no_args_is_help=not alone,
        invoke_without_command=alone,
        rich_markup_mode=None,
    )


def settings_of(data: Path | None, *, logs: bool = False, **explicit: Any) -> Settings:
    """Read the settings and start logging: everything for a server (`logs`), else what is wrong."""
    import logging

    from app.observability import start_logging
    from config.settings import load

    # Before the settings are read as well: whatever speaks then, speaks on standard error.
    level = logging.INFO if logs else logging.ERROR
    start_logging(level=level)
    settings = load(data, **explicit)
    start_logging(settings, level=level)
    return settings


@contextmanager
def opened(settings: Settings) -> Iterator[Installation]:
    """Open the installation for one command.

    Raises SetupError where there is none, before anything is made in its place.
    """
    from app.wiring import bind_broker, open_installation

    require_installation(settings)
    here = open_installation(settings)
    try:
        if settings.broker:
            bind_broker(here)
        yield here
    finally:
        here.store.close()


def require_installation(settings: Settings) -> None:
    """Raise SetupError where the data folder holds no store, as when its name was mistyped."""
    from core.errors import SetupError

    if settings.database or (settings.data / "sportello.sqlite").is_file():
        return
    raise SetupError(
        f"there is no installation in {settings.data}: name its folder with --data, or make one"
        f" with `sportello init --data {settings.data}`."
    )


def say(line: str = "") -> None:
    """Print a line of the result to standard output."""
    typer.echo(line)


def note(line: str) -> None:
    """Tell the person something that is not the result, on standard error."""
    typer.echo(line, err=True)


def fail(line: str) -> typer.Exit:
    """Say what is wrong and what to do, on one line, and return what to raise."""
    note(f"sportello: {line}")
    return typer.Exit(1)


def say_json(value: object) -> None:
    """Print a result as JSON, letters as they are."""
    import json

    say(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def say_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns under a head; an empty table is its head alone."""
    table = [[_cell(value) for value in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    """Return a value on one line; what a stranger wrote must not move the cursor."""
    text = "" if value is None else str(value)
    return "".join(one if one.isprintable() else " " for one in text)
