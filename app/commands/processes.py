"""`sportello serve` and `demo`, the single roles, and `migrate`: what runs until told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.commands.common import (
    Data,
    Host,
    Port,
    SmtpHost,
    SmtpPort,
    Workers,
    note,
    require_installation,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from app.processes import Role
    from config.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Put these commands at the top level."""
    for command in (serve, demo, migrate, portal, worker, beat):
        app.command()(command)


def serve(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    smtp_host: SmtpHost = None,
    smtp_port: SmtpPort = None,
    workers: Workers = None,
) -> None:
    """Run everything: portal, mail edge, workers.

    Until SIGTERM or Ctrl+C; prints the addresses first. One process of each where
    there are cores, restarted if one dies; all in one with --workers 0.
    """
    from app import supervisor
    from app.addresses import lines

    settings = settings_of(
        data,
        logs=True,
        host=host,
        port=port,
        smtp_host=smtp_host,
        smtp_port=smtp_port,
        workers=workers,
    )
    require_installation(settings)
    supervisor.serve(settings, ready=lambda bound: _say_all(lines(bound, "portal", "smtp", "lmtp")))


def demo(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    smtp_host: SmtpHost = None,
    smtp_port: SmtpPort = None,
    workers: Workers = None,
) -> None:
    """Try it: a small made-up world, served.

    Five desks, two organisations, made-up people and Tickets. Outgoing mail only ever reaches a
    catcher on this machine, shown on a page. A second start keeps what is there. It refuses a
    store that holds anything else.
    """
    from app import demo as demonstration

    settings = settings_of(
        data,
        logs=True,
        host=host,
        port=port,
        smtp_host=smtp_host,
        smtp_port=smtp_port,
        workers=workers,
    )
    demonstration.run(settings, say=_say_all)


def migrate(data: Data = None) -> None:
    """Create the store, or upgrade it to this version."""
    from app.wiring import install_desks, open_store
    from core import migrate as migrations

    settings = settings_of(data)
    if not settings.data.is_dir():
        note(f"Making the data folder {settings.data}.")
    store = open_store(settings)
    try:
        migrations.upgrade(store)
        say(f"store: up to date, {len(install_desks(store))} desks")
    finally:
        store.close()


def portal(data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run only the portal: pages and live updates."""
    _run_alone(settings_of(data, logs=True, host=host, port=port), "portal")


def worker(data: Data = None, workers: Workers = None) -> None:
    """Run only workers: threads, or Celery with a broker."""
    settings = settings_of(data, logs=True, workers=workers)
    require_installation(settings)
    if settings.broker:
        import os

        from app.celery_app import run_worker

        _logs_only()
        run_worker(settings, concurrency=settings.workers or os.cpu_count() or 1)
    else:
        _run_alone(settings, "worker")


def beat(data: Data = None) -> None:
    """Run Celery's clock: what recurs. One is enough."""
    from core.errors import SetupError

    settings = settings_of(data, logs=True)
    require_installation(settings)
    if not settings.broker:
        raise SetupError(
            "there is no broker: set SPORTELLO_BROKER. Without one, workers also do what recurs."
        )
    from app.celery_app import run_beat

    _logs_only()
    run_beat(settings)


def run_mail(settings: Settings) -> None:
    """Run only the mail edge, until SIGTERM."""
    _run_alone(settings, "mail")


def _run_alone(settings: Settings, role: Role) -> None:
    """Run one role in this process on sockets that are bound, and told, first."""
    from app import processes
    from app.addresses import lines
    from app.supervisor import bind, bound_ports
    from app.wiring import open_installation

    require_installation(settings)
    sockets = {}
    if role == "portal":
        sockets["portal"] = bind(settings.host, settings.port)
    if role == "mail":
        sockets["smtp"] = bind(settings.smtp_host, settings.smtp_port)
        if settings.lmtp_port is not None:
            sockets["lmtp"] = bind(settings.smtp_host, settings.lmtp_port)
    here = open_installation(settings.model_copy(update=bound_ports(sockets)))
    _say_all(lines(here.settings, *sockets))
    processes.run(here, frozenset({role}), sockets)


def _logs_only() -> None:
    """Send standard output to standard error: Celery's banner is no result."""
    import os

    os.dup2(2, 1)


def _say_all(lines: list[str]) -> None:
    """Print lines at once, also into a pipe: whoever started us waits for them."""
    import sys

    for line in lines:
        say(line)
    sys.stdout.flush()
