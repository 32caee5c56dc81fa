"""Counts what one peer does in a stretch of time, in this process; remembers nothing on disk."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

from core.logins import TooManyAttempts

#: Peers that are remembered; beyond them the oldest are forgotten.
_PEERS = 10_000


class Throttle:
    """At most `limit` of something (acts, bytes) by one peer within `seconds`."""

    def __init__(self, *, limit: int, seconds: int) -> None:
        """Begin with nobody known."""
        self._limit = limit
        self._window = timedelta(seconds=seconds)
        self._acts: dict[str, deque[tuple[datetime, int]]] = {}
        self._lock = threading.Lock()

    def act(self, peer: str, *, amount: int = 1, now: datetime) -> None:
        """Count one act; raises TooManyAttempts where the peer must wait."""
        with self._lock:
            acts = self._acts.pop(peer, deque())
            while acts and acts[0][0] <= now - self._window:
                acts.popleft()
            # Put back at the end: the first in the dictionary is who was quiet longest.
            self._acts[peer] = acts
            if len(self._acts) > _PEERS:
                del self._acts[next(iter(self._acts))]
            if acts and sum(one[1] for one in acts) + amount > self._limit:
                raise TooManyAttempts(acts[0][0] + self._window - now)
            acts.append((now, amount))
