"""`sportello tickets`: what the store knows of Tickets, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.commands.common import (
    AsJson,
    Data,
    group,
    opened,
    say,
    say_json,
    say_table,
    settings_of,
)

commands = group("Tickets: list them, show one.")

Desk = Annotated[
    str | None, typer.Option("--desk", metavar="CODE", help="Only this desk.", show_default=False)
]
#: Characters of a subject in the table.
SUBJECT = 50


@commands.command("list")
def list_(
    data: Data = None,
    desk: Desk = None,
    as_json: AsJson = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="At most the newest N [all]."),
    ] = None,
) -> None:
    """List Tickets, newest first; with --json an array, [] when there is none."""
    from app.listing import tickets

    with opened(settings_of(data)) as here:
        rows = tickets(here.store, desk=desk, limit=limit)
    if as_json:
        say_json(rows)
        return
    head = ("NUMBER", "DESK", "STATUS", "SEVERITY", "OPENED", "REQUESTER", "MESSAGES", "SUBJECT")
    say_table(head, (_row(row) for row in rows))


@commands.command()
def show(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="000314, 314, or [desk #314] as in a subject.")
    ],
    data: Data = None,
    desk: Desk = None,
    as_json: AsJson = False,
) -> None:
    """Show one Ticket with its Messages (internal ones too) and its Timeline."""
    from app.listing import ticket

    with opened(settings_of(data)) as here:
        found = ticket(here.store, number, desk=desk)
    if as_json:
        say_json(found)
    else:
        _print(found)


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row["number"],
        row["desk"],
        row["status"],
        row["severity"],
        row["opened_at"][:16].replace("T", " "),
        row["requester"],
        row["messages"],
        row["subject"][:SUBJECT],
    )


def _print(found: Mapping[str, Any]) -> None:
    for key in ("number", "desk", "subject", "requester", "status", "severity", "assignee"):
        say(f"{key}: {_plain(found[key]) or '-'}")
    say(f"opened_at: {found['opened_at']} by {found['channel']}")
    for message in found["messages"]:
        author = _plain(message["author"]["name"])
        kind = message["author"]["kind"]
        say(f"\n#{message['seq']} {message['at']} {author} ({kind}), {message['visibility']}")
        for line in message["text"].splitlines():
            say(f"    {_plain(line)}")
        for file in message["attachments"]:
            say(f"    [{_plain(file['name'])}, {file['size']} bytes]")
    say("\nTimeline")
    for entry in found["timeline"]:
        change = " -> ".join(_plain(one) for one in (entry["from"], entry["to"]) if one)
        parts = (entry["at"], entry["kind"], entry["actor"], change, _plain(entry["reason"]))
        say("  " + "  ".join(part for part in parts if part))


def _plain(value: object) -> str:
    """Return text without what would move the cursor: strangers wrote it."""
    text = "" if value is None else str(value)
    return "".join(one if one.isprintable() else " " for one in text)
