"""Who a browser is, by its cookies: an Operator, a Requester, the visitor of its chats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from core import logins
from core.chats import visitor_key
from core.errors import NotFound
from core.logins import Kind, SignedIn
from core.model import Requester
from portal.auth import CHAT
from portal.cookies import Jar
from portal.reading import Reader
from portal.visit import Site, cookie_of

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Browser:
    """What a browser holds, kept to be asked again: who it is now is looked up each time."""

    cookies: Jar
    kinds: Sequence[Kind]
    """Whose logins count here."""
    visitor_token: str = ""
    """A chat's secret that came by another way than a cookie."""

    def logins(self, session: Session, now: datetime) -> Iterator[SignedIn]:
        """Yield the logins that are valid now."""
        for kind in self.kinds:
            login = logins.recall(session, kind, self.cookies.get(cookie_of(kind)), now=now)
            if login is not None:
                yield login

    def readers(self, site: Site, session: Session, now: datetime) -> Iterator[Reader]:
        """Yield everybody that this browser is now."""
        requester_id = None
        for login in self.logins(session, now):
            yield Reader(login.person, open_desks=tuple(site.open_desks(session)))
            if isinstance(login.person, Requester):
                requester_id = login.person.id
        secrets = [self.cookies.get(name) for name in self.cookies.names() if name.startswith(CHAT)]
        for secret in (*secrets, self.visitor_token):
            if secret:
                yield Reader(None, visitor_key(secret), requester_id)

    def find(
        self,
        site: Site,
        session: Session,
        find: Callable[[Session, Reader], Found],
        *,
        now: datetime,
    ) -> tuple[Reader, Found]:
        """Return what the first of them may see, and who that is; raises NotFound."""
        for reader in self.readers(site, session, now):
            try:
                return reader, find(session, reader)
            except NotFound:
                continue
        raise NotFound
