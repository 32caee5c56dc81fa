"""`sportello desk`: write, check and explain desk files; needs no data folder and no store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import group, note, say, say_json

if TYPE_CHECKING:
    from core.desk_profile import DeskProfile

commands = group("Desk files: write, check, explain.")


@commands.command()
def new(
    code: Annotated[
        str, typer.Argument(metavar="CODE", help="Short name, for ever: small letters, digits, -.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name as people read it.")],
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Address whose mail opens Tickets.")
    ],
) -> None:
    """Print the commented file of a new desk; redirect it to DATA/desks/CODE.yaml."""
    from config.desk_files import DeskFileError, new_desk_text

    try:
        text = new_desk_text(code, name, address)
    except DeskFileError as error:
        # There is no file yet whose lines could be named.
        for problem in error.problems:
            note(f"sportello: {problem.partition(': ')[2]}")
        raise typer.Exit(1) from error
    say(text.rstrip("\n"))


@commands.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Desk files, or a folder of them.")
    ],
) -> None:
    """Check desk files: every mistake with file, line, field and what to do; exit 1 if any.

    A folder is checked as a whole: also that no two desks share a code or a mailbox.
    """
    wrong = False
    for file in files:
        for line in _problems(file):
            wrong = True
            note(line)
    if wrong:
        raise typer.Exit(1)


def _problems(path: Path) -> Iterator[str]:
    """Yield what is wrong with a file or a folder; say of each desk that is good that it is."""
    from config.desk_files import DeskFileError, load_desk, load_desks

    try:
        desks = list(load_desks(path).values()) if path.is_dir() else [load_desk(path)]
    except DeskFileError as error:
        yield from error.problems
        return
    for desk in desks:
        missing = _missing_notices(desk)
        yield from (f"{path}: desk {desk.code}: {what}" for what in missing)
        if not missing:
            addresses = ", ".join(one.address for one in desk.intake)
            say(f"{path}: good: {desk.code}, {desk.name} <{addresses}>")


def _missing_notices(desk: DeskProfile) -> list[str]:
    """Return what app.rendering's Notices would refuse at the start, without loading templates."""
    import config

    folder = Path(config.__file__).parent / "notices" / "it"
    return [
        f"the notice `{rule.event}` names the template `{rule.template}`, which is not in {folder}"
        for rule in desk.notices
        if rule.enabled and rule.channel == "email"
        if not (folder / f"{rule.template}.txt").is_file()
    ]


@commands.command()
def schema() -> None:
    """Print the JSON Schema of desk files, which explains every key (editors read it too)."""
    from config.desk_problems import desk_schema

    say_json(desk_schema())
