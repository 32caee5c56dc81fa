"""The command `sportello`: puts the groups of commands together and turns faults into one line."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from app.commands import desk, health, mail, outbox, people, processes, tickets
from core.errors import SportelloError

HELP = """Sportello, a support desk: mail, chat and portal end in one Conversation.

\b
To try it:
  sportello demo     five desks, made-up people, mail that goes nowhere
For real:
  sportello init     makes the data folder and the first administrator
  sportello serve    portal, mail and workers in one command
  sportello doctor   says what is wrong and what to do

Everything that is kept lies in one folder: --data DIR after a command's name, or SPORTELLO_DATA,
else ./var. Each setting is an environment variable SPORTELLO_... or a line of DIR/settings.toml.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
health.add_to(app)
processes.add_to(app)
app.add_typer(mail.commands, name="mail")
app.add_typer(tickets.commands, name="tickets")
app.add_typer(outbox.commands, name="outbox")
app.add_typer(people.operators, name="operator")
app.add_typer(people.requesters, name="requester")
app.add_typer(desk.commands, name="desk")


@app.callback()
def every(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an unexpected fault came from.")
    ] = False,
) -> None:
    """Take what holds for every command."""
    if debug:
        os.environ["SPORTELLO_DEBUG"] = "1"


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit: 0 it went well, 1 it did not, 2 it was called wrongly."""
    try:
        code = app(args=arguments, prog_name="sportello", standalone_mode=False)
    except SportelloError as fault:
        code = _told(str(fault))
    except typer.Abort:
        code = _told("ended; nothing more was done.")
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has read enough; nothing may be written at the exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as fault:  # noqa: BLE001 - a person at a terminal gets one line, whatever it is
        code = _unexpected(fault)
    sys.exit(code if isinstance(code, int) else 0)


def _unexpected(fault: Exception) -> int:
    told = getattr(fault, "format_message", None)
    if told is not None:
        return _called_wrongly(fault, str(told()))
    if os.environ.get("SPORTELLO_DEBUG"):
        raise fault
    what = " ".join(f"{type(fault).__name__}: {fault}".split())[:300]
    return _told(
        f"unexpected fault ({what}): run it again as `sportello --debug ...` to see where,"
        " and report it."
    )


def _called_wrongly(fault: Exception, what: str) -> int:
    """Say on one line how to call the command; without any argument, show its help."""
    if not what.startswith("Usage:"):
        context = getattr(fault, "ctx", None)
        path = context.command_path if context is not None else "sportello"
        what = f"{path}: {' '.join(what.split()).rstrip('.')}. See `{path} --help`."
    sys.stderr.write(what.rstrip() + "\n")
    return 2


def _told(what: str) -> int:
    sys.stderr.write(f"sportello: {what.strip()}\n")
    return 1
