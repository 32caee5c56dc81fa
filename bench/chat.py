"""Row `chat`: a visitor's message seen by the Operator, with many other chats open."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
from sqlalchemy import update
from websockets.asyncio.client import ClientConnection, connect

from bench.mails import DESK
from bench.measure import PATIENCE, Plan, Table, busy, percentile
from bench.product import Product, serving, sign_in, token
from bench.world import live_tickets, open_world, world
from core import chats
from core.model import Channel, Conversation, table
from portal import auth

SOCKETS = (50, 500)
TICKETS = 5_000
#: Chats that are written in; one tab follows no more.
WRITERS = 8
#: Seconds between two messages.
PAUSE = 0.03


def run(plan: Plan) -> Table:
    """Write to one chat after the other and see when the Operator's tab is told."""
    result = Table(
        f"chat: milliseconds from a visitor's click to the Operator's screen ({busy()})",
        ("open chats", "p50", "p95", "CPU ms/message"),
    )
    for sockets in SOCKETS:
        with ExitStack() as stack:
            folder = stack.enter_context(world(TICKETS))
            conversations = _make_chats(folder, sockets)
            product = stack.enter_context(serving(folder))
            taken, cost = asyncio.run(_sample(product, conversations, 20 * plan.rounds))
        middle, most = percentile(taken, 0.5), percentile(taken, 0.95)
        result.lines.append((str(sockets), f"{middle:.1f}", f"{most:.1f}", f"{cost:.1f}"))
        result.values[str(sockets)] = {"ms": taken, "cpu_ms": cost}
    result.notes.append("Each chat has a visitor's socket; the Operator's shows queue and chat.")
    return result


def _secret(conversation: int) -> str:
    return hashlib.sha256(f"chat {conversation}".encode()).hexdigest()


def _make_chats(folder: Path, count: int) -> Sequence[int]:
    """Give so many open Conversations a visitor who holds a secret."""
    store = open_world(folder)
    chosen = live_tickets(TICKETS, count)
    model = table(Conversation)
    with store.begin() as session:
        for one in chosen:
            values = {"channel": Channel.WEB, "visitor_key": chats.visitor_key(_secret(one))}
            session.connection().execute(update(model).where(model.c.id == one).values(values))
    store.close()
    return chosen


async def _sample(
    product: Product, conversations: Sequence[int], messages: int
) -> tuple[list[float], float]:
    """Return the milliseconds of each message and the CPU milliseconds of one."""
    address = product.url.replace("http://", "ws://") + "/live"
    cookies = _header(sign_in(product).cookies)
    writers = conversations[:: max(len(conversations) // WRITERS, 1)][:WRITERS]
    async with AsyncExitStack() as stack:
        for one in conversations:
            tab = await stack.enter_async_context(connect(address, open_timeout=60))
            await _hello(tab, [one], queue=False, token=_secret(one))
        screen = await stack.enter_async_context(
            connect(f"{address}?area=console", additional_headers={"Cookie": cookies})
        )
        await _hello(screen, writers, queue=True, view="")
        visitors = [await stack.enter_async_context(_visitor(product, one)) for one in writers]
        tokens = [token(await one.get(f"/{DESK}/chat")) for one in visitors]
        await _write(visitors[0], tokens[0], screen)
        before = product.cpu()
        taken = []
        for number in range(messages):
            at = number % len(writers)
            taken.append(1000 * await _write(visitors[at], tokens[at], screen))
            await asyncio.sleep(PAUSE)
        return taken, 1000 * (product.cpu() - before) / messages


def _visitor(product: Product, conversation: int) -> httpx.AsyncClient:
    cookies = {f"sportello-{auth.CHAT}{DESK}": _secret(conversation)}
    return httpx.AsyncClient(base_url=product.url, cookies=cookies, timeout=60)


def _header(cookies: httpx.Cookies) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


async def _hello(tab: ClientConnection, follow: Sequence[int], **more: object) -> None:
    # Each preloaded Conversation has two Messages.
    streams = [{"conversation": str(one), "after": 2} for one in follow]
    await tab.send(json.dumps({"type": "hello", "streams": streams, **more}))


async def _write(visitor: httpx.AsyncClient, csrf: str, screen: ClientConnection) -> float:
    """Write one message and return the seconds until the Operator's tab was told."""
    text = f"messaggio {uuid4().hex}"
    form = {"csrf": csrf, "text": text, "client_id": str(uuid4())}
    began = time.perf_counter()
    post = asyncio.create_task(
        visitor.post(f"/{DESK}/chat", data=form, headers={"Accept": "application/json"})
    )
    async with asyncio.timeout(PATIENCE):
        while text not in str(await screen.recv()):
            pass
    seconds = time.perf_counter() - began
    answer = await post
    assert answer.is_success, f"the chat says {answer.status_code}"
    return seconds
