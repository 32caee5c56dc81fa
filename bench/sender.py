"""Sends mails by SMTP as fast as the server takes them, in a process of its own.

`python -m bench.sender PORT CONNECTIONS FILE`: no pipelining, every answer is waited for. All bytes
are made before the clock starts, so that the load costs little beside what is measured.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.mails import Letter


class Refused(Exception):
    """The server said anything but yes."""


class Dialogue:
    """One connection and what it still has to say."""

    def __init__(self, port: int, letters: Sequence[Letter], recipient: str) -> None:
        """Connect; nothing is said before the greeting."""
        self._words = _words(letters, recipient)
        self._heard = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hear(self) -> bool:
        """Take what came in and answer it; False when all is said."""
        self._heard += self.socket.recv(65536)
        last = self._heard[self._heard.rfind(b"\n", 0, -1) + 1 :]
        if not last.endswith(b"\n") or last[3:4] == b"-":
            return True
        if last[:1] not in b"23" or not self._heard:
            raise Refused(last.decode("latin-1"))
        self._heard = b""
        following = next(self._words, None)
        if following is None:
            return False
        self.socket.sendall(following)
        return True


def _words(letters: Sequence[Letter], recipient: str) -> Iterator[bytes]:
    # A list first: the mails must not be put together while the clock runs.
    words = [b"EHLO bench.example\r\n"]
    for one in letters:
        words += [
            f"MAIL FROM:<{one.sender}>\r\n".encode(),
            f"RCPT TO:<{recipient}>\r\n".encode(),
            b"DATA\r\n",
            one.raw + b".\r\n",
        ]
    return iter(words)


def send(port: int, connections: int, letters: Sequence[Letter], recipient: str) -> float:
    """Send all letters over so many connections and return the seconds that it took.

    Raises Refused on any answer but yes.
    """
    pick = selectors.DefaultSelector()
    dialogues = [Dialogue(port, letters[n::connections], recipient) for n in range(connections)]
    began = time.perf_counter()
    for one in dialogues:
        pick.register(one.socket, selectors.EVENT_READ, one)
    while pick.get_map():
        for key, _ in pick.select():
            dialogue: Dialogue = key.data
            if not dialogue.hear():
                pick.unregister(dialogue.socket)
    seconds = time.perf_counter() - began
    for one in dialogues:
        one.socket.close()
    return seconds


def write(path: Path, letters: Sequence[Letter]) -> None:
    """Write letters to a file that `read` reads."""
    written = [(one.sender, one.raw.decode("ascii")) for one in letters]
    path.write_text(json.dumps(written), "ascii")


def read(path: Path) -> list[Letter]:
    """Read the letters that `write` wrote."""
    written = json.loads(path.read_text("ascii"))
    return [Letter(sender=sender, raw=raw.encode("ascii")) for sender, raw in written]


def main() -> None:
    """Send the letters of a file and print the seconds as JSON."""
    port, connections, path, recipient = sys.argv[1:]
    print(json.dumps(send(int(port), int(connections), read(Path(path)), recipient)))


if __name__ == "__main__":
    main()
