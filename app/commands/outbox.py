"""`sportello outbox`: deferred work that waits or was given up, and trying it again."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.common import (
    AsJson,
    Data,
    group,
    note,
    opened,
    say,
    say_json,
    say_table,
    settings_of,
)

commands = group("Deferred work: list it, try it again.")

#: Characters of an error in the table.
ERROR = 70


@commands.command("list")
def list_(
    data: Data = None,
    as_json: AsJson = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also what is done (kept for seven days).")
    ] = False,
) -> None:
    """List what waits and what was given up, oldest first; with --json an array."""
    from sqlalchemy import select

    from core.model import EntryState, OutboxEntry

    query = select(OutboxEntry).order_by(OutboxEntry.id)
    if not every:
        query = query.where(OutboxEntry.state != EntryState.DONE)
    with opened(settings_of(data)) as here, here.store.read() as session:
        rows = [
            {
                "id": entry.id,
                "topic": entry.topic,
                "payload": entry.payload,
                "state": entry.state.value,
                "attempts": entry.attempts,
                "due_at": entry.due_at.isoformat(),
                "created_at": entry.created_at.isoformat(),
                "last_error": entry.last_error,
            }
            for entry in session.scalars(query)
        ]
    if as_json:
        say_json(rows)
        return
    say_table(
        ("ID", "TOPIC", "STATE", "ATTEMPTS", "DUE", "LAST ERROR"),
        (
            (
                row["id"],
                row["topic"],
                row["state"],
                row["attempts"],
                str(row["due_at"])[:19].replace("T", " "),
                str(row["last_error"] or "")[:ERROR],
            )
            for row in rows
        ),
    )


@commands.command()
def retry(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="Entries; none: all given up.")
    ] = None,
    data: Data = None,
) -> None:
    """Try work again that was given up: all of it, or the entries named."""
    from core import clock, replay

    with opened(settings_of(data)) as here, here.store.begin() as session:
        done = replay.given_up(session, ids or None, now=clock.now())
    for entry_id in done:
        say(f"{entry_id}: waits for a worker again")
    left = sorted(set(ids or ()) - set(done))
    if left:
        note(
            f"sportello: not given up, so left alone: {', '.join(map(str, left))};"
            " see `sportello outbox list --all`."
        )
        raise typer.Exit(1)
    if not done:
        note("Nothing was given up.")
