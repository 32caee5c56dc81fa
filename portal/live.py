"""The live endpoint: one WebSocket a tab, woken by changes, resumed by cursors.

Frames to the page: `message`, `update`, `row`, `queue`, `counts`, `ticket`, `bye`, `pong`; from it:
`hello`, `read`, `ping` (portal/frontend/README.md). A change is only a wake-up: what is sent is
read from the store after the page's cursor, in a thread, for whoever the browser is at that moment.
No Message waits in memory for a slow page: what it has not taken yet stays in the store.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio
import structlog
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from core import clock
from core.changes import Changes
from core.errors import CallerError, Transient
from core.model import Operator, Requester
from portal.cookies import Jar
from portal.edge import Endpoint
from portal.live_frames import Ended, Frame, Listener, Stream
from portal.readers import Browser
from portal.visit import Site, require_same_origin

#: Seconds in which changes of the queue are gathered before they are sent.
GATHER = 0.2
#: Seconds in which a page must take what it is sent; then it is told to come back (1013).
PATIENCE = 20
#: Seconds after which a page is told to try again when the store does not answer.
AGAIN = 1.0
#: Conversations that one tab follows at most, and characters of one frame from it.
MOST_STREAMS, LONGEST_FRAME, LONGEST_NUMBER = 8, 16_384, 18
#: Seconds that a page without sockets may wait for an answer, and between two looks for it.
LONGEST_POLL, POLL_PAUSE = 25, 0.5
OK = 200

POLICY_VIOLATION, TRY_AGAIN_LATER, UNREADABLE = 1008, 1013, 1003
Made = TypeVar("Made")

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Connection:
    """One tab: what it follows, and what of that has changed since it was last told."""

    listener: Listener
    socket: WebSocket
    operator_id: int | None = None
    changed_streams: set[int] = field(default_factory=set)
    changed_rows: set[int] | None = field(default_factory=set)
    """Conversations whose rows changed; None: the whole list may have."""
    streams_woken: asyncio.Event = field(default_factory=asyncio.Event)
    rows_woken: asyncio.Event = field(default_factory=asyncio.Event)
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wake(self, conversations: frozenset[int] | None) -> None:
        """Note what changed."""
        followed = set(self.listener.streams)
        self.changed_streams |= followed if conversations is None else followed & conversations
        if self.changed_streams:
            self.streams_woken.set()
        if not self.listener.console:
            return
        if conversations is None:
            self.changed_rows = None
        elif self.changed_rows is not None:
            self.changed_rows |= conversations
        self.rows_woken.set()

    async def send(self, frame: Frame) -> None:
        """Send one frame, one at a time; raises TimeoutError where the page does not take it."""
        async with self.sending:
            with anyio.fail_after(PATIENCE):
                await self.socket.send_text(json.dumps(frame, ensure_ascii=False))


class Hub:
    """All connections of this process, and the way by which changes reach them."""

    def __init__(self, site: Site, changes: Changes) -> None:
        """Prepare; nothing is watched before `start`."""
        self.site = site
        self._changes = changes
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forget: Callable[[], None] | None = None
        self._anything = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many tabs listen."""
        return len(self._connections)

    def start(self) -> None:
        """Listen to changes, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._forget = self._changes.listen(self._changed)

    def stop(self) -> None:
        """Stop listening."""
        if self._forget is not None:
            self._forget()
        self._loop = None

    def seen(self, operator_id: int, conversation_id: int) -> None:
        """Renew a row for an Operator who has just read it elsewhere; for any thread."""
        self._soon(self._wake_operator, operator_id, conversation_id)

    @property
    def next_change(self) -> asyncio.Event:
        """What the next change sets; who reads and then waits takes it before reading."""
        return self._anything

    def add(self, connection: Connection) -> None:
        """Let a connection hear of changes."""
        self._connections.add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def _changed(self, conversations: frozenset[int] | None) -> None:
        # In the watcher's thread. An empty set means that nothing changed which pages show.
        if conversations is None or conversations:
            self._soon(self._wake, conversations)

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        loop = self._loop
        if loop is not None:
            # The loop may close between the two lines: then nobody is left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(call, *arguments)

    def _wake(self, conversations: frozenset[int] | None) -> None:
        self._anything.set()
        self._anything = asyncio.Event()
        for connection in self._connections:
            connection.wake(conversations)

    def _wake_operator(self, operator_id: int, conversation_id: int) -> None:
        for connection in self._connections:
            if connection.operator_id == operator_id and connection.changed_rows is not None:
                connection.changed_rows.add(conversation_id)
                connection.rows_woken.set()


async def live(socket: WebSocket) -> None:
    """Serve one tab until it leaves or may not listen any more."""
    site: Site = socket.app.state.site
    hub: Hub = socket.app.state.hub
    try:
        require_same_origin(socket, site.settings)
    except CallerError:
        await socket.close(POLICY_VIOLATION)
        return
    await socket.accept()
    console = socket.query_params.get("area") == "console"
    jar = Jar(socket, secure=site.settings.secure)
    browser = Browser(jar, (Operator,) if console else (Requester,))
    connection = Connection(Listener(site, browser, console), socket)
    try:
        await _serve(hub, connection)
    except* Ended:
        await _end(connection)
    except* TimeoutError:
        await socket.close(TRY_AGAIN_LATER)
    except* WebSocketDisconnect:
        pass
    except* ValueError:
        await socket.close(UNREADABLE)


def long_poll(endpoint: Endpoint) -> Endpoint:
    """Return `GET …/messages?after=seq` with `&wait=seconds`: it answers when there is something.

    Each look is a request of its own, with all its checks.
    """

    async def waiting(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        change = hub.next_change
        response = await endpoint(request)
        with anyio.move_on_after(_seconds(request.query_params.get("wait", ""))):
            while response.status_code == OK and not json.loads(bytes(response.body))["messages"]:
                await change.wait()
                await anyio.sleep(POLL_PAUSE)
                change = hub.next_change
                response = await endpoint(request)
        return response

    return waiting


def _seconds(text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    return min(int(text), LONGEST_POLL) if plain else 0


async def _serve(hub: Hub, connection: Connection) -> None:
    connection.operator_id = await _read(connection, connection.listener.require_person)
    hub.add(connection)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tell_streams, connection)
            tasks.start_soon(_tell_rows, connection)
            await _hear(hub, connection)
    finally:
        hub.remove(connection)


async def _hear(hub: Hub, connection: Connection) -> None:
    while True:
        text = await connection.socket.receive_text()
        if len(text) > LONGEST_FRAME:
            raise ValueError
        frame = json.loads(text)
        if not isinstance(frame, dict):
            raise ValueError  # noqa: TRY004 - not a mistake of ours: the page speaks nonsense
        await _obey(hub, connection, frame)


async def _obey(hub: Hub, connection: Connection, frame: Frame) -> None:
    kind = frame.get("type")
    if kind == "hello":
        _hello(connection, frame)
    elif kind == "read":
        await _mark_read(hub, connection, frame)
    elif kind == "ping":
        await connection.send({"type": "pong"})


def _hello(connection: Connection, frame: Frame) -> None:
    """Take in what a page follows and from where; it says so again when it finds a gap."""
    listener = connection.listener
    token = frame.get("token")
    if isinstance(token, str) and token and token != listener.browser.visitor_token:
        browser = listener.browser
        listener.browser = Browser(browser.cookies, browser.kinds, token[:200])
    said = frame.get("streams")
    streams = [_stream(one) for one in said[:MOST_STREAMS]] if isinstance(said, list) else []
    listener.streams = {stream.conversation: stream for stream in streams}
    listener.view = str(frame.get("view") or "") if frame.get("queue") else None
    connection.wake(None)


def _stream(said: Any) -> Stream:
    if not isinstance(said, dict):
        raise ValueError  # noqa: TRY004 - see _hear
    return Stream(_number(said, "conversation"), _number(said, "after"))


def _number(said: Frame, name: str) -> int:
    text = str(said.get(name, ""))
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise ValueError
    return int(text)


async def _mark_read(hub: Hub, connection: Connection, frame: Frame) -> None:
    stream = connection.listener.streams.get(_number(frame, "conversation"))
    if stream is None:
        return
    seq = _number(frame, "seq")
    await _read(connection, partial(connection.listener.read_up_to, stream.conversation, seq))
    if connection.operator_id is not None:
        hub.seen(connection.operator_id, stream.conversation)


async def _tell_streams(connection: Connection) -> None:
    while True:
        await connection.streams_woken.wait()
        connection.streams_woken.clear()
        changed, connection.changed_streams = connection.changed_streams, set()
        for conversation in changed:
            await _tell_stream(connection, conversation)


async def _tell_stream(connection: Connection, conversation: int) -> None:
    more = True
    while more:
        stream = connection.listener.streams.get(conversation)
        if stream is None:
            return
        frames = await _read(connection, partial(connection.listener.stream_frames, stream))
        for frame in frames:
            await connection.send(frame)
        more = stream.more


async def _tell_rows(connection: Connection) -> None:
    while True:
        await connection.rows_woken.wait()
        await anyio.sleep(GATHER)
        connection.rows_woken.clear()
        changed, connection.changed_rows = connection.changed_rows, set()
        frames = await _read(connection, partial(connection.listener.queue_frames, changed))
        for frame in frames:
            await connection.send(frame)


async def _read(connection: Connection, read: Callable[..., Made]) -> Made:
    """Run a reading in a thread; while the store does not answer, try again."""
    limiter = connection.listener.site.live_threads
    while True:
        try:
            return await to_thread.run_sync(read, clock.now(), limiter=limiter)
        except Transient as fault:
            _log.warning("live.unavailable", fault=str(fault))
            await anyio.sleep(AGAIN)


async def _end(connection: Connection) -> None:
    with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        await connection.send({"type": "bye", "reason": "signed-out"})
        await connection.socket.close(POLICY_VIOLATION)
