"""The one-command start: binds the sockets, runs the roles as child processes, keeps them alive."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from app import processes
from app.processes import Role
from app.wiring import open_installation
from config.settings import Settings
from core.errors import SetupError

#: Seconds that a port may still be held by a Sportello that is just ending.
BIND_PATIENCE = 10.0
#: Seconds that children get to finish.
STOP_PATIENCE = 15.0
#: A child that lives shorter than this did not really start.
SHORT_LIFE = 5.0
#: So many short lives in a row and the supervisor gives up.
SHORT_LIVES = 5

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Child:
    """One child process and its history."""

    roles: Sequence[Role]
    process: subprocess.Popen[bytes]
    started: float
    short_lives: int = 0


@dataclass(slots=True)
class Supervisor:
    """Runs `plan` (the roles of each child) on bound sockets until told to stop."""

    settings: Settings
    plan: Sequence[Sequence[Role]]
    sockets: Mapping[str, socket.socket]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Start the children, restart one that dies, and end them all when told to.

        Raises SetupError where a child keeps dying at its start.
        """
        lifeline, held = os.pipe()
        children: list[_Child] = []
        try:
            children = [self._start(roles, lifeline) for roles in self.plan]
            while not self.stop.wait(0.2):
                for child in children:
                    if child.process.poll() is not None:
                        self._restart(child, lifeline)
        finally:
            _end([child.process for child in children])
            os.close(lifeline)
            os.close(held)

    def _start(self, roles: Sequence[Role], lifeline: int) -> _Child:
        sockets = {name: one.fileno() for name, one in self.sockets.items() if _needs(roles, name)}
        order = {"roles": list(roles), "sockets": sockets, "lifeline": lifeline}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "app.processes", json.dumps(order)],
            env=os.environ | self.settings.environment(),
            pass_fds=[lifeline, *sockets.values()],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
        )
        return _Child(roles, process, time.monotonic())

    def _restart(self, child: _Child, lifeline: int) -> None:
        lived = time.monotonic() - child.started
        child.short_lives = child.short_lives + 1 if lived < SHORT_LIFE else 0
        name = "+".join(child.roles)
        if child.short_lives >= SHORT_LIVES:
            raise SetupError(f"{name} does not start: its last words are above.")
        _log.warning("child.died", child=name, code=child.process.returncode, lived=round(lived, 1))
        self.stop.wait(0.5 * 2**child.short_lives if child.short_lives else 0)
        fresh = self._start(child.roles, lifeline)
        child.process, child.started = fresh.process, fresh.started


def serve(settings: Settings, *, ready: Callable[[Settings], None]) -> None:
    """Serve everything until SIGTERM or SIGINT.

    `ready` is called with the settings that hold once the sockets are bound (a port 0 became a
    real one): from then on a connection waits for its process instead of being refused. Raises
    SetupError where the store is not ready or a port is taken.
    """
    sockets = {"portal": bind(settings.host, settings.port)}
    sockets["smtp"] = bind(settings.smtp_host, settings.smtp_port)
    if settings.lmtp_port is not None:
        sockets["lmtp"] = bind(settings.smtp_host, settings.lmtp_port)
    ports = {
        "port": sockets["portal"].getsockname()[1],
        "smtp_port": sockets["smtp"].getsockname()[1],
    }
    if "lmtp" in sockets:
        ports["lmtp_port"] = sockets["lmtp"].getsockname()[1]
    settings = settings.model_copy(update=ports)
    open_installation(settings).store.close()
    workers = settings.workers
    if workers is None:
        workers = 1 if (os.cpu_count() or 1) > 1 else 0
    ready(settings)
    if workers == 0:
        processes.run(settings, frozenset({"portal", "mail", "worker"}), sockets)
        return
    plan: list[Sequence[Role]] = [["portal"], ["mail"], *([["worker"]] * workers)]
    supervisor = Supervisor(settings, plan, sockets)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: supervisor.stop.set())
    supervisor.run()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; waits a little for a predecessor that is just ending.

    Raises SetupError where the address stays taken or is not ours to bind.
    """
    deadline = time.monotonic() + BIND_PATIENCE
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(512)
        except OSError as fault:
            listening.close()
            if fault.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise SetupError(
                    f"cannot listen on {host}:{port} ({fault.strerror}): stop what uses it, or"
                    " choose another with --port and --smtp-port (0 takes a free one)."
                ) from fault
            time.sleep(0.1)
        else:
            return listening


def _needs(roles: Sequence[Role], name: str) -> bool:
    return name in roles or ("mail" in roles and name in ("smtp", "lmtp"))


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_PATIENCE
    for child in children:
        try:
            child.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
