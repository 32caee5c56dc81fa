"""The sole composition root: binds ports, opens the store, builds what a process needs."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from app.rendering import Notices
from config.desk_files import load_desks
from config.settings import Settings, reply_keys
from core import clock, migrate, operators
from core.contents import Folder, insert_or_pass
from core.db import Store
from core.model import Desk, table
from core.ports import Ports
from mail_ingest.deliver import Courier
from mail_ingest.sender import MailOut


@dataclass(frozen=True, slots=True)
class Installation:
    """A store that is ready for work, with the settings it was opened by."""

    settings: Settings
    store: Store
    desk_ids: Mapping[str, int]


def open_installation(settings: Settings) -> Installation:
    """Open a store whose schema is this version's, and make the desk files' rows.

    Raises SetupError where it is not migrated or a desk file is wrong.
    """
    store = open_store(settings)
    migrate.require_current(store)
    return Installation(settings, store, install_desks(store))


def open_store(settings: Settings) -> Store:
    """Open the store with all ports bound; nothing is checked or created in it."""
    settings.data.mkdir(parents=True, exist_ok=True)
    desks = load_desks(settings.desk_folder)
    notices = Notices()
    notices.check(desks.values())
    ports = Ports(
        desks=desks,
        render=notices,
        files=Folder(settings.data / "files"),
        reply_keys=reply_keys(settings.data),
        public_url=public_url(settings),
        loop_stamp=loop_stamp(settings),
    )
    return Store(settings.store_url, ports)


def install_desks(store: Store) -> Mapping[str, int]:
    """Return the row of each desk code, making those that are new and letting administrators in."""
    known = _desk_ids(store)
    new = [code for code in store.ports.desks if code not in known]
    if not new:
        return known
    with store.begin() as session:
        # Portal, mail and worker may all start on an empty store at once: one of them makes it.
        desks = table(Desk)
        insert = insert_or_pass(store.engine.dialect.name, desks, desks.c.id)
        for code in new:
            row = {"code": code, "next_number": store.ports.desks[code].number.start}
            desk_id = session.connection().execute(insert, row).scalar_one_or_none()
            if desk_id is not None:
                operators.staff_new_desk(session, desk_id, now=clock.now())
    return _desk_ids(store)


def _desk_ids(store: Store) -> Mapping[str, int]:
    with store.read() as session:
        return {desk.code: desk.id for desk in session.scalars(select(Desk))}


def public_url(settings: Settings) -> str:
    """Return where people reach the portal: as set, or where it listens."""
    return settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"


def courier(settings: Settings) -> Courier:
    """Return what sends outgoing mail; without a server set, everything waits in the outbox."""
    return Courier(mail_out(settings), loop_stamp=loop_stamp(settings))


def mail_out(settings: Settings) -> MailOut | None:
    """Return the server that outgoing mail is handed to; None where none is set."""
    if not settings.mail_host:
        return None
    return MailOut(
        host=settings.mail_host,
        port=settings.mail_port,
        security=settings.mail_security,
        username=settings.mail_username or None,
        password=settings.mail_password or None,
        ca_file=settings.mail_ca_file,
    )


def loop_stamp(settings: Settings) -> str:
    """Return the mark by which mail of this installation knows its own way back."""
    # Derived one way: it stands in every automatic mail, the key must not.
    return hmac.digest(reply_keys(settings.data)[-1], b"loop stamp", "sha256").hex()[:16]


def bind_broker(here: Installation) -> None:
    """Tell the broker of each committed Outbox entry; only the scaled binding imports Celery."""
    from app.celery_app import Announcer

    here.store.on_committed_work(Announcer(here.settings))
