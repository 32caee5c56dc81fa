"""What one process does: any of the roles portal, mail and worker, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from app.inline_worker import InlineWorker
from app.jobs import job_list
from app.runner import Runner
from app.wiring import Installation, bind_broker, courier
from core.changes import Changes
from mail_ingest.arrival import Listen, Source
from mail_ingest.smtp_server import MailServer
from mail_ingest.spool import SpoolWriter

if TYPE_CHECKING:
    import uvicorn

Role = Literal["portal", "mail", "worker"]
Sockets = Mapping[str, socket.socket]

#: Worker threads of one process: one thinks while the other records.
THREADS = 2
#: Seconds that open pages get to say goodbye; open sockets would hold a stop for ever.
PORTAL_GRACE = 3


def run(here: Installation, roles: frozenset[Role], sockets: Sockets | None = None) -> None:
    """Run `roles` in this process until SIGTERM or SIGINT, then let each finish what it does.

    `sockets` are bound ones by name (`portal`, `smtp`, `lmtp`) in place of the settings' addresses.
    """
    sockets = sockets or {}
    stop = threading.Event()
    # uvicorn raises the signal that stopped it once more: it must not end us before our own end.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with ExitStack() as stack:
        stack.callback(here.store.close)
        if here.settings.broker:
            bind_broker(here)
        changes = Changes(here.store)
        if "mail" in roles:
            _start_mail(here, sockets, stack)
        if "worker" in roles:
            _start_worker(here, changes, stack)
        changes.start()
        stack.callback(changes.stop)
        if "portal" in roles:
            bound = [sockets["portal"]] if "portal" in sockets else None
            _portal(here, changes).run(sockets=bound)
        else:
            stop.wait()


def _start_mail(here: Installation, sockets: Sockets, stack: ExitStack) -> None:
    spool = SpoolWriter(here.store, here.desk_ids)
    spool.start()
    stack.callback(spool.stop)
    settings = here.settings
    ports: dict[Source, int | None] = {"smtp": settings.smtp_port, "lmtp": settings.lmtp_port}
    for protocol, port in ports.items():
        if port is None:
            continue
        listen = Listen(
            host=settings.smtp_host,
            port=port,
            protocol=protocol,
            hostname=socket.gethostname(),
            size_limit=settings.mail_limit,
        )
        server = MailServer(spool, listen, bound=sockets.get(protocol))
        server.start()
        stack.callback(server.stop)


def _start_worker(here: Installation, changes: Changes, stack: ExitStack) -> None:
    sender = courier(here.settings)
    stack.callback(sender.close)
    runner = Runner(here.store, job_list(sender))
    worker = InlineWorker(here.store, runner, changes, threads=THREADS)
    worker.start()
    stack.callback(worker.stop)


def _portal(here: Installation, changes: Changes) -> uvicorn.Server:
    import uvicorn

    from portal.site import create_site

    config = uvicorn.Config(
        create_site(here.store, here.settings, changes),
        host=here.settings.host,
        port=here.settings.port,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(here.settings.trusted_proxies),
        forwarded_allow_ips=list(here.settings.trusted_proxies),
        timeout_graceful_shutdown=PORTAL_GRACE,
        ws_max_size=16_384,  # a page's frames are small (portal/live.py): no more is read of one
        lifespan="on",
    )
    return uvicorn.Server(config)
