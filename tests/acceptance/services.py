"""What tests need but do not start: Chromium, PostgreSQL, RabbitMQ. Missing: skip, in CI fail."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import psycopg
import pytest
from kombu.connection import Connection
from kombu.entity import Queue

POSTGRES = ("127.0.0.1", 5432)
RABBITMQ = ("127.0.0.1", 5672)
SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"
BROKER = "amqp://guest:guest@127.0.0.1:5672//"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True, slots=True)
class Scaled:
    """A database and a queue of their own for one product."""

    name: str

    @property
    def environment(self) -> dict[str, str]:
        """The settings that bind a product to them."""
        return {
            "SPORTELLO_DATABASE": f"postgresql+psycopg://postgres@127.0.0.1:5432/{self.name}",
            "SPORTELLO_BROKER": BROKER,
            "SPORTELLO_QUEUE": self.name,
        }

    @property
    def database(self) -> str:
        """The database as psycopg wants it."""
        return SERVER.rpartition("/")[0] + f"/{self.name}"

    def purge(self) -> int:
        """Throw away what waits on the queue and say how much it was."""
        with Connection(BROKER) as connection, connection.channel() as channel:
            purged: int = Queue(self.name, channel=channel).purge()
            return purged

    def allow_connections(self, *, allowed: bool) -> None:
        """Cut the database off, for everybody and at once, or let people in again."""
        with psycopg.connect(SERVER, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS {allowed}")
            if not allowed:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [self.name],
                )


@contextmanager
def scaled() -> Iterator[Scaled]:
    """Lend a fresh database and queue; both are gone afterwards."""
    require_postgres()
    require_rabbitmq()
    name = f"sportello_test_{secrets.token_hex(6)}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield Scaled(name)
    finally:
        with psycopg.connect(SERVER, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        with Connection(BROKER) as broker, broker.channel() as channel:
            Queue(name, channel=channel).delete()


def require_postgres() -> None:
    """Go on only where PostgreSQL answers."""
    _require("PostgreSQL", POSTGRES)


def require_rabbitmq() -> None:
    """Go on only where RabbitMQ answers."""
    _require("RabbitMQ", RABBITMQ)


def chromium() -> str:
    """Return the path of a Chromium; go on only where there is one."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or missing("no Chromium on the PATH: `make browser` installs it")


def missing(what: str) -> NoReturn:
    """End the test: as failed in CI, where nothing may be missing, else as skipped."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def _require(name: str, address: tuple[str, int]) -> None:
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError as fault:
        missing(f"{name} does not answer on {address[0]}:{address[1]} ({fault})")
