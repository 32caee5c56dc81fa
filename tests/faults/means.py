"""The means of the faults: dialogues cut at any octet, and a disk that is soon full."""

from __future__ import annotations

import random
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.acceptance.post import DESK
from tests.faults.mta import Test


class CannotBeDone(Exception):
    """This machine does not let the fault be done."""


def begun(address: tuple[str, int], test: Test) -> socket.socket:
    """Open a dialogue up to `354`."""
    wire = socket.create_connection(address, timeout=60)
    lines = (
        "EHLO mta.example",
        f"MAIL FROM:<{test.sender}>",
        f"RCPT TO:<{DESK}>",
        "DATA",
    )
    answers = wire.makefile("rb")
    answers.readline()
    for line in lines:
        wire.sendall(f"{line}\r\n".encode())
        while answers.readline()[3:4] == b"-":
            pass
    answers.close()
    return wire


def half_sent(address: tuple[str, int], test: Test) -> tuple[socket.socket, bytes]:
    """Send a mail up to a random octet; also returns the octets that are left."""
    wire = begun(address, test)
    octets = test.raw + b".\r\n"
    cut = random.randrange(len(octets))
    wire.sendall(octets[:cut])
    return wire, octets[cut:]


def sent_whole(address: tuple[str, int], test: Test) -> socket.socket:
    """Send a mail with its final dot and read no answer."""
    wire = begun(address, test)
    wire.sendall(test.raw + b".\r\n")
    return wire


def answer(address: tuple[str, int], test: Test) -> int:
    """Send a mail once and return the answer to it."""
    with smtplib.SMTP(*address, timeout=150) as client:
        client.ehlo("mta.example")
        client.mail(test.sender)
        client.rcpt(DESK)
        return client.data(test.raw)[0]


def answers_noop(address: tuple[str, int]) -> bool:
    """Return whether somebody greets and answers; raises what smtplib raises where nobody does."""
    with smtplib.SMTP(*address, timeout=5) as client:
        return client.noop()[0] == 250


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Make `folder` a disk of 24 MiB; raises CannotBeDone where this machine has none to give."""
    folder.mkdir(parents=True)
    # Only root may, and not in every container.
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise CannotBeDone("a small disk needs root and the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(ballast: Path) -> None:
    """Write a file until there is no room left."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
