"""Which Tickets a list shows and in what order, as it stands in the address; no query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from core.model import Status

#: Views of the Operators' queue by their name in the address -> statuses (None: all).
VIEWS: Mapping[str, frozenset[Status] | None] = {
    "da-gestire": frozenset(
        {Status.OPEN, Status.TAKEN, Status.PENDING_REQUESTER, Status.PENDING_THIRD}
    ),
    "mie": frozenset({Status.OPEN, Status.TAKEN, Status.PENDING_REQUESTER, Status.PENDING_THIRD}),
    "libere": frozenset({Status.OPEN}),
    "da-leggere": frozenset(
        {Status.OPEN, Status.TAKEN, Status.PENDING_REQUESTER, Status.PENDING_THIRD, Status.SOLVED}
    ),
    "risolte": frozenset({Status.SOLVED}),
    "chiuse": frozenset({Status.CLOSED, Status.MERGED, Status.CANCELLED}),
    "tutte": None,
}
FIRST_VIEW = "da-gestire"


@dataclass(frozen=True, slots=True)
class View:
    """One list: what an address says after its question mark."""

    name: str = FIRST_VIEW
    desk: str = ""
    """A desk's code; empty: all of the Operator's."""
    oldest_first: bool = False
    search: str = ""

    @property
    def statuses(self) -> frozenset[Status] | None:
        """The statuses shown; None: all."""
        return VIEWS[self.name]

    def query(self) -> str:
        """Return the query string, empty for the first view."""
        parts = {
            "vista": "" if self.name == FIRST_VIEW else self.name,
            "sportello": self.desk,
            "ordine": "vecchie" if self.oldest_first else "",
            "q": self.search,
        }
        return urlencode({name: value for name, value in parts.items() if value})

    def url(self, base: str = "/console") -> str:
        """Return the address of the list."""
        query = self.query()
        return f"{base}?{query}" if query else base

    def but(self, *, name: str | None = None, desk: str | None = None) -> View:
        """Return this list with another view or desk."""
        return replace(
            self,
            name=self.name if name is None else name,
            desk=self.desk if desk is None else desk,
        )


def view_of(parameters: Mapping[str, str]) -> View:
    """Read a list from an address; what nobody knows is passed over."""
    name = parameters.get("vista", "")
    return View(
        name=name if name in VIEWS else FIRST_VIEW,
        desk=parameters.get("sportello", "")[:64],
        oldest_first=parameters.get("ordine") == "vecchie",
        search=" ".join(parameters.get("q", "").split())[:100],
    )
