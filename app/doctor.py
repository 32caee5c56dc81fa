"""Looks at an installation and says what is wrong and what to do; mends nothing."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.addresses import place
from app.rendering import Notices
from app.wiring import mail_out, open_store
from config.desk_files import load_desks
from config.settings import Settings, load
from core import clock, mailbox, migrate, operators
from core.db import Store
from core.errors import SetupError, SportelloError
from core.model import Disposition, EntryState, OutboxEntry, RawMail, TimelineEntry
from mail_ingest.sender import Mailer

Level = Literal["ok", "warn", "fail"]

#: Bytes of free disk below which one should act, and below which mail is about to be refused.
LITTLE_ROOM, NO_ROOM = 2 * 1024**3, 200 * 1024**2
#: Work that waits longer than this for a worker waits for one that is not there.
STUCK = timedelta(minutes=10)
#: Seconds that a server gets to answer.
PATIENCE = 5.0
#: A clock before this release is wrong; so is one behind what the store has recorded.
BUILT = datetime(2026, 1, 1, tzinfo=UTC)
BEHIND = timedelta(minutes=2)

FRONT_END = Path(__file__).parent.parent / "portal" / "static" / "dist" / "manifest.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    level: Level
    says: str
    do: str = ""
    """What to do about it; empty where nothing is to be done."""

    def plain(self) -> dict[str, str]:
        """Return the finding as JSON takes it."""
        return asdict(self)


Findings = Iterator[Finding]
Check = Callable[[Settings], Findings]


def examine(data: Path | None) -> list[Finding]:
    """Look at everything; a check that fails in an unforeseen way is itself a finding."""
    try:
        settings = load(data)
    except SetupError as fault:
        return [Finding("settings", "fail", str(fault), "correct it, then run doctor again")]
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(settings)
        except (SportelloError, OSError) as fault:
            what = check.__name__.strip("_").replace("_", " ")
            found.append(
                Finding(what, "fail", str(fault), "see the lines above, then run it again")
            )
    return found


def _data_folder(settings: Settings) -> Findings:
    folder = settings.data
    if not folder.is_dir():
        yield Finding("data folder", "fail", f"{folder} is not there", _init(settings))
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        who = f"let the user who runs Sportello write to {folder}"
        yield Finding("data folder", "fail", f"{folder}: {fault.strerror}", who)
        return
    free = shutil.disk_usage(folder).free
    says = f"{folder.resolve()}, {free / 1024**3:.1f} GiB free"
    level: Level = "fail" if free < NO_ROOM else "warn" if free < LITTLE_ROOM else "ok"
    yield Finding("data folder", level, says, "" if level == "ok" else "make room on that disk")


def _settings(settings: Settings) -> Findings:
    url = urlsplit(settings.public_url)
    do = "set SPORTELLO_PUBLIC_URL, or run `sportello init`"
    if not settings.public_url:
        at = f"http://{place(settings.host, settings.port)}"
        yield Finding("public URL", "warn", f"not set: links in mails lead to {at}", do)
    elif url.scheme not in ("http", "https") or not url.hostname:
        yield Finding("public URL", "fail", f"`{settings.public_url}` is no web address", do)
    elif url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        what = f"{settings.public_url}: passwords travel in the clear"
        yield Finding("public URL", "warn", what, "put https in front, and say so in the URL")
    else:
        yield Finding("public URL", "ok", settings.public_url)


def _desk_files(settings: Settings) -> Findings:
    folder = settings.desk_folder
    try:
        desks = load_desks(folder)
        Notices().check(desks.values())
    except SetupError as fault:
        first, *others = str(fault).splitlines()
        more = f" (and {len(others)} more)" if others else ""
        yield Finding("desk files", "fail", first + more, f"see `sportello desk check {folder}`")
    else:
        yield Finding("desk files", "ok", f"{', '.join(desks)} ({folder})")


def _store(settings: Settings) -> Findings:
    where = "SQLite" if not settings.database else settings.database.partition(":")[0]
    if not settings.database and not (settings.data / "sportello.sqlite").is_file():
        yield Finding("store", "fail", f"{settings.data} holds none yet", _init(settings))
        return
    store = open_store(settings)
    try:
        migrate.require_current(store)
        fault = _damage(store)
        if fault:
            yield Finding("store", "fail", f"damaged: {fault}", "restore the last backup")
            return
        yield Finding("store", "ok", f"{where}, schema current, intact")
        with store.read() as session:
            yield from _people(session)
            yield from _work(session)
            yield _clock(session)
    except SportelloError as fault:
        yield Finding("store", "fail", str(fault), _mend_store(settings))
    finally:
        store.close()


def _damage(store: Store) -> str | None:
    """Return SQLite's first complaint about its file; PostgreSQL looks after itself."""
    with store.read() as session:
        if not store.embedded:
            session.execute(text("SELECT 1"))
            return None
        said = str(session.execute(text("PRAGMA quick_check(1)")).scalar_one())
        return None if said == "ok" else said


def _people(session: Session) -> Findings:
    found = operators.administrators(session)
    if found:
        yield Finding("administrators", "ok", f"{len(found)} may sign in")
    else:
        do = "run `sportello operator add NAME EMAIL --role amministratore_sistema`"
        yield Finding("administrators", "fail", "nobody administers this installation", do)


def _work(session: Session) -> Findings:
    now = clock.now()
    mails = session.scalar(
        select(func.count()).select_from(RawMail).where(RawMail.disposition == Disposition.GIVEN_UP)
    )
    entries = session.scalar(
        select(func.count())
        .select_from(OutboxEntry)
        .where(OutboxEntry.state == EntryState.GIVEN_UP, OutboxEntry.topic != mailbox.PROCESS)
    )
    if mails:
        do = "see them in the console under Posta, or run `sportello mail replay`"
        yield Finding("mail in", "warn", f"{mails} set aside", do)
    else:
        yield Finding("mail in", "ok", "none set aside")
    if entries:
        do = "see `sportello outbox list`, then `sportello outbox retry`"
        yield Finding("outbox", "warn", f"{entries} given up", do)
    late = session.scalar(
        select(func.count())
        .select_from(OutboxEntry)
        .where(OutboxEntry.state == EntryState.WAITING, OutboxEntry.due_at < now - STUCK)
    )
    if late:
        do = "start `sportello serve`, or a `sportello worker`"
        yield Finding("outbox", "warn", f"{late} wait for a worker for over ten minutes", do)
    if not entries and not late:
        yield Finding("outbox", "ok", "nothing given up, nothing late")


def _clock(session: Session) -> Finding:
    now = clock.now()
    newest = session.scalar(select(func.max(TimelineEntry.at)))
    do = "set the machine's clock (timedatectl set-ntp true)"
    if now < BUILT:
        return Finding("clock", "fail", f"it says {now:%Y-%m-%d %H:%M} UTC", do)
    if newest is not None and now < newest - BEHIND:
        says = f"it is behind the store, whose newest fact is of {newest:%Y-%m-%d %H:%M} UTC"
        return Finding("clock", "fail", says, do)
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")


def _time_zones(settings: Settings) -> Findings:
    try:
        zones = {"Europe/Rome"} | {desk.tz for desk in load_desks(settings.desk_folder).values()}
    except SetupError:
        zones = {"Europe/Rome"}
    try:
        local = [f"{name} {datetime.now(ZoneInfo(name)):%H:%M}" for name in sorted(zones)]
    except ZoneInfoNotFoundError as fault:
        do = "install the tzdata package: `pip install tzdata`, or the system's"
        yield Finding("time zones", "fail", str(fault).strip("'\""), do)
    else:
        yield Finding("time zones", "ok", ", ".join(local))


def _ports(settings: Settings) -> Findings:
    yield _port("portal", settings.host, settings.port, "--port")
    yield _port("smtp", settings.smtp_host, settings.smtp_port, "--smtp-port")
    if settings.lmtp_port is not None:
        yield _port("lmtp", settings.smtp_host, settings.lmtp_port, "SPORTELLO_LMTP_PORT")


def _port(name: str, host: str, port: int, option: str) -> Finding:
    what, at = f"{name} port", place(host, port)
    if port == 0:
        return Finding(what, "ok", "any free one, chosen at the start")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except PermissionError:
            do = f"choose one above 1023 with {option}, or grant CAP_NET_BIND_SERVICE"
            return Finding(what, "fail", f"{at}: only the superuser may listen there", do)
        except OSError as fault:
            if _is_ours(name, at):
                return Finding(what, "ok", f"{at}, served by Sportello")
            do = f"stop what listens there (ss -ltnp), or choose another with {option}"
            return Finding(what, "fail", f"{at}: {fault.strerror}", do)
    return Finding(what, "ok", f"{at} is free")


def _is_ours(name: str, at: str) -> bool:
    """Return whether what listens there speaks as Sportello does."""
    host, _, port = at.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as peer:
            if name == "portal":
                peer.sendall(f"HEAD /console/accedi HTTP/1.0\r\nHost: {at}\r\n\r\n".encode())
            said = peer.recv(4096).lower()
    except OSError:
        return False
    return b"sportello" in said


def _mail_out(settings: Settings) -> Findings:
    out = mail_out(settings)
    if out is None:
        do = "run `sportello init`, or set SPORTELLO_MAIL_HOST"
        yield Finding("mail out", "warn", "not set up: answers by mail wait in the outbox", do)
        return
    mailer = Mailer(out)
    try:
        unreachable = mailer.check()
    finally:
        mailer.close()
    if unreachable:
        do = "correct SPORTELLO_MAIL_*, then try `sportello mail test ADDRESS`"
        yield Finding("mail out", "fail", unreachable.reason, do)
        return
    how = {"none": "not encrypted", "starttls": "STARTTLS", "tls": "TLS"}[out.security]
    login = f"signed in as {out.username}" if out.username else "no login"
    yield Finding("mail out", "ok", f"{out.host}:{out.port}, {how}, {login}")


def _front_end(_settings: Settings) -> Findings:
    if FRONT_END.is_file():
        yield Finding("front end", "ok", "built")
    else:
        yield Finding("front end", "fail", "not built: pages have no style", "run `make frontend`")


def _broker(settings: Settings) -> Findings:
    if not settings.broker:
        return
    from app.celery_app import celery_app

    try:
        with celery_app(settings).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=PATIENCE)
    except Exception as fault:  # noqa: BLE001 - the library raises whatever its transport does
        do = "start RabbitMQ, or correct SPORTELLO_BROKER"
        yield Finding("broker", "fail", f"cannot be reached: {fault}", do)
    else:
        yield Finding("broker", "ok", f"reached, queue {settings.queue}")


def _init(settings: Settings) -> str:
    return f"run `sportello init --data {settings.data}`"


def _mend_store(settings: Settings) -> str:
    if settings.database:
        return "start PostgreSQL or correct SPORTELLO_DATABASE; then `sportello migrate`"
    return f"run `sportello migrate --data {settings.data}`"


CHECKS: tuple[Check, ...] = (
    _data_folder,
    _settings,
    _desk_files,
    _store,
    _time_zones,
    _ports,
    _mail_out,
    _front_end,
    _broker,
)
