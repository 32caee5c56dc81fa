"""`sportello mail`: the mail edge as a process; a test mail; processing mails again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from app.commands.common import (
    Data,
    SmtpHost,
    SmtpPort,
    fail,
    group,
    note,
    opened,
    say,
    settings_of,
)

commands = group(
    "Run only the mail edge; or test, or replay mail.\n\nBy itself it receives mail by SMTP and"
    " LMTP, as a process of its own, until SIGTERM.",
    alone=True,
)


def _when(meaning: str) -> Any:
    forms = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
    return typer.Option(formats=forms, metavar="TIME", help=meaning)


@commands.callback()
def mail(
    context: typer.Context,
    data: Data = None,
    smtp_host: SmtpHost = None,
    smtp_port: SmtpPort = None,
) -> None:
    """Run only the mail edge; or test, or replay mail.

    By itself it receives mail by SMTP and LMTP until SIGTERM, as a process of its own.
    """
    if context.invoked_subcommand is not None:
        if data or smtp_host or smtp_port is not None:
            raise fail(f"options belong after `mail {context.invoked_subcommand}`.")
        return
    from app.commands.processes import run_mail

    run_mail(settings_of(data, logs=True, smtp_host=smtp_host, smtp_port=smtp_port))


@commands.command("test")
def send_test(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who gets the test mail.")],
    data: Data = None,
    desk: Annotated[
        str | None,
        typer.Option("--desk", metavar="CODE", help="From this desk's address [the first]."),
    ] = None,
) -> None:
    """Send one test mail and tell the server's answer.

    It goes by the configured server at once, past the outbox.
    """
    from app.mail_check import send

    outcome = send(settings_of(data), address, desk=desk)
    if outcome.sent:
        say(outcome.says)
    else:
        raise fail(outcome.says)


@commands.command()
def replay(
    data: Data = None,
    first: Annotated[
        int | None, typer.Option("--from", min=1, metavar="ID", help="From this ledger line.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=1, metavar="ID", help="Up to this ledger line.")
    ] = None,
    since: Annotated[datetime | None, _when("From this moment.")] = None,
    until: Annotated[datetime | None, _when("Up to this moment.")] = None,
) -> None:
    """Process mails again that were given up.

    With a range: all in it that became no Message, as those held or ignored. Times are
    this machine's, as 2026-05-04 or 2026-05-04T08:30. A mail that became a Message is never
    touched, so a repeat does no harm.
    """
    from core import clock
    from core.replay import Range, mails

    chosen = Range(
        first=first,
        last=last,
        since=since.astimezone() if since else None,
        until=until.astimezone() if until else None,
    )
    with opened(settings_of(data)) as here, here.store.begin() as session:
        lines = mails(session, None if chosen == Range() else chosen, now=clock.now())
    for line in lines:
        say(f"{line}: waits for a worker again")
    if not lines:
        note("There is no such mail." if chosen != Range() else "No mail was given up.")
