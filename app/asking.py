"""Asks a person at the terminal, on standard error, so that standard output stays the result's."""

from __future__ import annotations

import getpass
import sys

import typer


def ask(question: str, offered: str) -> str:
    """Return the answer, or what was offered where the person pressed Enter.

    Raises Abort where nobody answers any more.
    """
    sys.stderr.write(f"{question} [{offered}]: ")
    sys.stderr.flush()
    return _line() or offered


def ask_hidden(question: str) -> str:
    """Return an answer that is not shown while it is typed; from a pipe, one line of it."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{question}: ", stream=sys.stderr)
    return _line()


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip()
