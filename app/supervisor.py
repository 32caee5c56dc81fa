"""The one-command start: binds the sockets, runs the roles as child processes, keeps them alive."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess

import structlog

from app import processes
from app.processes import Role
from app.wiring import open_installation
from config.settings import Settings
from core.errors import SetupError, SportelloError

#: Seconds that a port may still be held by a Sportello that is just ending.
BIND_PATIENCE = 10.0
#: Seconds that children get to finish.
STOP_PATIENCE = 15.0
#: A child that lives shorter than this did not really start.
SHORT_LIFE = 5.0
#: So many short lives in a row and the supervisor gives up.
SHORT_LIVES = 5

_FORK = multiprocessing.get_context("fork")

_log = structlog.get_logger(__name__)


#: What a child runs, by the name under which it is told of.
Work = Callable[[], None]


@dataclass(slots=True)
class _Child:
    """One child process and its history."""

    name: str
    work: Work
    process: BaseProcess
    started: float
    short_lives: int = 0


class Supervisor:
    """Runs each piece of work in a child process until told to stop.

    The children are forked from a parent that has imported everything and runs no thread: they
    are at work at once and share its memory.
    """

    def __init__(self, work: Mapping[str, Work]) -> None:
        """Prepare to run `work`; nothing starts before `run`."""
        self._work = work
        self._stop = threading.Event()
        self._lifeline, self._held = os.pipe()

    def stop(self) -> None:
        """Make `run` end the children and return."""
        self._stop.set()

    def run(self) -> None:
        """Start the children, restart one that dies, and end them all when told to.

        Raises SetupError where a child keeps dying at its start.
        """
        children: list[_Child] = []
        try:
            for name, work in self._work.items():
                children.append(self._start(name, work))
            while not self._stop.wait(0.2):
                for child in children:
                    if not child.process.is_alive():
                        self._restart(child)
        finally:
            _end([child.process for child in children])
            os.close(self._lifeline)
            os.close(self._held)

    def _start(self, name: str, work: Work) -> _Child:
        process = _FORK.Process(target=self._be_child, args=(work,), name=name)
        process.start()
        return _Child(name, work, process, time.monotonic())

    def _restart(self, child: _Child) -> None:
        lived = time.monotonic() - child.started
        child.short_lives = child.short_lives + 1 if lived < SHORT_LIFE else 0
        if child.short_lives >= SHORT_LIVES:
            raise SetupError(f"{child.name} does not start: its last words are above.")
        code = child.process.exitcode
        _log.warning("child.died", child=child.name, code=code, lived=round(lived, 1))
        self._stop.wait(0.5 * 2**child.short_lives if child.short_lives else 0)
        fresh = self._start(child.name, child.work)
        child.process, child.started = fresh.process, fresh.started

    def _be_child(self, work: Work) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        os.close(self._held)
        threading.Thread(target=self._die_with_parent, name="lifeline", daemon=True).start()
        try:
            work()
        except SportelloError as fault:
            sys.exit(f"sportello: {fault}")

    def _die_with_parent(self) -> None:
        """End this child the moment its supervisor is gone, however that went."""
        while os.read(self._lifeline, 1):
            pass
        os._exit(1)


def serve(
    settings: Settings,
    *,
    ready: Callable[[Settings], None],
    beside: Mapping[str, Work] | None = None,
) -> None:
    """Serve everything until SIGTERM or SIGINT.

    `ready` is called with the settings that hold once the sockets are bound (a port 0 became a
    real one): from then on a connection waits for its process instead of being refused. `beside`
    is other work that shall run as long. Raises SetupError where the store is not ready or a port
    is taken.
    """
    sockets = {"portal": bind(settings.host, settings.port)}
    sockets["smtp"] = bind(settings.smtp_host, settings.smtp_port)
    if settings.lmtp_port is not None:
        sockets["lmtp"] = bind(settings.smtp_host, settings.lmtp_port)
    here = open_installation(settings.model_copy(update=bound_ports(sockets)))
    # A connection must not be shared by parent and child.
    here.store.close()
    workers = here.settings.workers
    if workers is None:
        workers = 1 if (os.cpu_count() or 1) > 1 else 0
    ready(here.settings)
    if workers == 0 and not beside:
        processes.run(here, frozenset({"portal", "mail", "worker"}), sockets)
        return
    roles: dict[str, frozenset[Role]] = {"all": frozenset({"portal", "mail", "worker"})}
    if workers:
        roles = {"portal": frozenset({"portal"}), "mail": frozenset({"mail"})}
        roles |= {f"worker-{number}": frozenset({"worker"}) for number in range(1, workers + 1)}
    work: dict[str, Work] = {
        name: partial(processes.run, here, roles_, sockets) for name, roles_ in roles.items()
    }
    # Imported once here, before the fork, instead of in the child.
    import portal.site  # noqa: F401

    supervisor = Supervisor({**work, **(beside or {})})
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: supervisor.stop())
    supervisor.run()


def bound_ports(sockets: Mapping[str, socket.socket]) -> dict[str, int]:
    """Return the settings that say where the sockets really listen."""
    names = {"portal": "port", "smtp": "smtp_port", "lmtp": "lmtp_port"}
    return {names[name]: one.getsockname()[1] for name, one in sockets.items()}


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


def _end(children: Sequence[BaseProcess]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_PATIENCE
    for child in children:
        child.join(timeout=max(0.1, deadline - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()
