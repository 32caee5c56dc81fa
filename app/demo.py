"""The demonstration: a store of its own, a small world in it, mail that only the catcher gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import inspect

from app import demo_world, supervisor
from app.addresses import lines, place
from app.catcher import keep_catching
from app.demo_world import PASSWORD, World
from app.wiring import install_desks, open_store
from config.desk_files import load_desks
from config.settings import Settings
from core import clock, migrate
from core.desk_profile import Desks
from core.errors import SetupError
from core.model import Operator

Say = Callable[[list[str]], None]


def run(settings: Settings, *, say: Say) -> None:
    """Prepare the demo's store and serve it until SIGTERM; `say` prints lines of the result.

    Raises SetupError where the folder or the store is a real installation's.
    """
    world = demo_world.read()
    prepare(settings, world)
    caught = supervisor.bind("127.0.0.1", 0)
    settings = confined(settings, mail_port=caught.getsockname()[1])
    catcher = partial(keep_catching, settings.data / "catcher", caught)

    def ready(bound: Settings) -> None:
        # Only now are the ports known, and the links in the world's mails right.
        load_once(bound, world)
        say(_told(bound, world))

    supervisor.serve(settings, ready=ready, beside={"catcher": catcher})


def confined(settings: Settings, *, mail_port: int) -> Settings:
    """Return settings under which no mail leaves this machine, whatever else they say."""
    return settings.model_copy(
        update={
            "demo": True,
            "mail_host": "127.0.0.1",
            "mail_port": mail_port,
            "mail_security": "none",
            "mail_username": "",
            "mail_password": "",
            "mail_ca_file": None,
            # Workers elsewhere might hand its mail to a real server.
            "broker": "",
        }
    )


def prepare(settings: Settings, world: World) -> None:
    """Migrate the store; raises SetupError unless it is empty or the demo's."""
    kept = settings.data / "settings.toml"
    elsewhere = "give the demo a folder of its own with --data DIR."
    if kept.exists():
        raise SetupError(f"{kept} belongs to a real installation: {elsewhere}")
    store = open_store(settings)
    try:
        # Looked at before it is touched: a real store of an older version must stay what it is.
        if inspect(store.engine).has_table(Operator.__tablename__):
            with store.read() as session:
                state = demo_world.state(session, world)
            if state == "foreign":
                raise SetupError(f"{settings.data} holds data that is not the demo's: {elsewhere}")
        migrate.upgrade(store)
    finally:
        store.close()


def load_once(settings: Settings, world: World) -> None:
    """Load the world where the store is empty; what was done since the first start stays."""
    store = open_store(settings)
    try:
        with store.read() as session:
            if demo_world.state(session, world) == "ours":
                return
        demo_world.load(store, install_desks(store), world, now=clock.now())
    finally:
        store.close()


def _told(settings: Settings, world: World) -> list[str]:
    site = f"http://{place(settings.host, settings.port)}"
    return [
        *lines(settings, "portal"),
        f"console: {site}/console",
        *lines(settings, "smtp", "lmtp"),
        f"mail catcher: {site}/demo/posta",
        "",
        "Mail to one of these addresses, by the SMTP port above, opens a Ticket:",
        *_desks(load_desks(settings.desk_folder), site),
        "",
        f"Operators sign in at {site}/console/accedi (all passwords as first loaded):",
        *_columns(
            (one.email, PASSWORD, f"{one.name}, {one.role}", ", ".join(one.desks) or "all desks")
            for one in world.operator
        ),
        "",
        f"Requesters sign in at {site}/accedi:",
        *_columns(
            (
                f"{one.email} or {one.code}" if one.code else one.email,
                PASSWORD,
                one.name,
                f"{one.organisation}, administrator" if one.admin else one.organisation,
            )
            for one in world.requester
        ),
        "",
        "Ctrl+C ends it; what was done is kept for the next start.",
    ]


def _desks(desks: Desks, site: str) -> list[str]:
    return _columns(
        (desk.address, desk.name, f"{site}/{desk.code}/chat" if desk.chat.enabled else "")
        for desk in desks.values()
    )


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
