"""Counts what one peer does in a stretch of time, in this process; remembers nothing on disk."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

from core.logins import TooManyAttempts

#: Peers that are remembered; beyond them the oldest are forgotten.
_PEERS = 10_000


class Throttle:
    """At most `limit` acts of one peer within `seconds`."""

    def __init__(self, *, limit: int, seconds: int) -> None:
        """Begin with nobody known."""
        self._limit = limit
        self._window = timedelta(seconds=seconds)
        self._acts: dict[str, deque[datetime]] = {}
        self._lock = threading.Lock()

    def act(self, peer: str, *, now: datetime) -> None:
        """Count one act; raises TooManyAttempts where the peer must wait."""
        with self._lock:
            acts = self._acts.pop(peer, deque())
            while acts and acts[0] <= now - self._window:
                acts.popleft()
            # Put back at the end: the first in the dictionary is who was quiet longest.
            self._acts[peer] = acts
            if len(self._acts) > _PEERS:
                del self._acts[next(iter(self._acts))]
            if len(acts) >= self._limit:
                raise TooManyAttempts(acts[0] + self._window - now)
            acts.append(now)
