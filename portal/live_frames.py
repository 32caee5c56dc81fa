"""What one live connection is to be told: read anew from the store each time, and re-authorised."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy.orm import Session

from core import conversations
from core.errors import NotFound
from core.model import Conversation, Operator
from portal import console, messages, presenters, queries, reading
from portal.frame import fragment
from portal.presenters import Eyes
from portal.queries import BESIDE, PAGE
from portal.queue_view import view_of
from portal.readers import Browser
from portal.reading import Reader
from portal.visit import Site

Frame = dict[str, Any]
#: Answers whose delivery is told again when a page comes back: it may have missed a change.
TOLD_AGAIN = 10


class Ended(Exception):
    """The connection may not listen any more."""


@dataclass
class Stream:
    """One Conversation on one connection."""

    conversation: int
    after: int
    more: bool = False
    """Whether the last reading left something for the next."""
    ticket: str = ""
    """Digest of the Ticket's fragment as it was last sent."""
    deliveries: dict[int, str] | None = None
    """State of each answer's Delivery as it was last sent; None before the first look."""


@dataclass
class Listener:
    """What one connection follows."""

    site: Site
    browser: Browser
    console: bool
    streams: dict[int, Stream] = field(default_factory=dict)
    view: str | None = None
    """Query string of the list on the page; None where there is no list."""

    def require_person(self, now: datetime) -> int | None:
        """Return the id of the Operator who listens at a console; raises Ended for a stranger."""
        if not self.console:
            return None
        with self.site.store.read() as session:
            return self._operator(session, now)[0].id

    def stream_frames(self, stream: Stream, now: datetime) -> list[Frame]:
        """Return what a Conversation has to tell, and move the cursor; raises Ended."""
        with self.site.store.read() as session:
            try:
                reader, conversation = self.browser.find(
                    self.site,
                    session,
                    lambda session, reader: reading.find(session, reader, stream.conversation),
                    now=now,
                )
            except NotFound:
                raise Ended from None
            context = self._context(session, now)
            part = reading.following(session, reader, conversation, after=stream.after)
            eyes = self._eyes(session, reader, conversation, now)
            frames = self._updates(session, stream, conversation, eyes, context)
            frames += messages.frames(self.site.templates, part, eyes, context)
            frames += self._ticket(session, stream, conversation, reader, context)
            stream.after, stream.more = part.after, part.after < conversation.last_seq
            return frames

    def queue_frames(self, changed: Collection[int] | None, now: datetime) -> list[Frame]:
        """Return the rows of what changed (None: the whole list) and the figures; raises Ended."""
        if not self.console:
            return []
        with self.site.store.read() as session:
            operator, csrf = self._operator(session, now)
            context = fragment(csrf, console=True)
            frames: list[Frame] = [{"type": "counts", "counts": queries.counts(session, operator)}]
            # A later page of a list stands still: what changes moves to the first.
            if self.view is None or "da=" in self.view:
                return frames
            if changed is None:
                return [self._whole_queue(session, operator, context), *frames]
            return self._rows(session, operator, changed, context) + frames

    def read_up_to(self, conversation_id: int, seq: int, now: datetime) -> None:
        """Record what a person has seen; visitors leave no mark. Raises Ended."""
        with self.site.store.read() as session:
            try:
                reader, conversation = self.browser.find(
                    self.site,
                    session,
                    lambda session, reader: reading.find(session, reader, conversation_id),
                    now=now,
                )
            except NotFound:
                raise Ended from None
            person = reader.person
            seq = min(seq, conversation.last_seq)
            if person is None or messages.read_up_to(session, person, conversation_id) >= seq:
                return
        with self.site.store.begin() as session:
            conversations.mark_seen(session, conversation_id, person, seq=seq, now=now)

    def _operator(self, session: Session, now: datetime) -> tuple[Operator, str]:
        for login in self.browser.logins(session, now):
            if isinstance(login.person, Operator):
                return login.person, login.csrf
        raise Ended

    def _context(self, session: Session, now: datetime) -> dict[str, Any]:
        csrf = next((login.csrf for login in self.browser.logins(session, now)), "")
        return fragment(csrf, console=self.console)

    def _eyes(
        self, session: Session, reader: Reader, conversation: Conversation, now: datetime
    ) -> Eyes:
        if reader.operator is None:
            return Eyes(reader, now, self.site.profile(session, conversation.desk_id))
        ticket = reading.ticket(session, conversation.id)
        return console.eyes(self.site, session, reader.operator, ticket, now)

    def _updates(
        self,
        session: Session,
        stream: Stream,
        conversation: Conversation,
        eyes: Eyes,
        context: dict[str, Any],
    ) -> list[Frame]:
        """Return the answers whose Delivery changed since they were last sent."""
        states = {key: f"{row.state}{row.reason}" for key, row in eyes.deliveries.items()}
        if stream.deliveries is None:
            changed = sorted(states)[-TOLD_AGAIN:]
        else:
            changed = [key for key, state in states.items() if stream.deliveries.get(key) != state]
        stream.deliveries = states
        if not changed:
            return []
        rows = reading.some(session, eyes.reader, conversation, changed)
        return [
            {
                "type": "update",
                "conversation": conversation.id,
                "html": self.site.templates.render(
                    "partials/message.html", {**context, "message": presenters.message(row, eyes)}
                ),
            }
            for row in rows
            if row.seq <= stream.after
        ]

    def _ticket(
        self,
        session: Session,
        stream: Stream,
        conversation: Conversation,
        reader: Reader,
        context: dict[str, Any],
    ) -> list[Frame]:
        """Return the Ticket's state, if it is another than was last sent."""
        if reader.person is None:
            return []
        html = self._ticket_html(session, conversation, reader, context)
        digest = hashlib.sha256(html.encode()).hexdigest()
        if digest == stream.ticket:
            return []
        stream.ticket = digest
        return [{"type": "ticket", "html": html}]

    def _ticket_html(
        self,
        session: Session,
        conversation: Conversation,
        reader: Reader,
        context: dict[str, Any],
    ) -> str:
        ticket = reading.ticket(session, conversation.id)
        desk = self.site.profile(session, conversation.desk_id)
        render, operator = self.site.templates.render, reader.operator
        if operator is None:
            head = presenters.request_head(ticket, conversation, desk)
            return render("partials/request_head.html", {**context, "ticket": head})
        beside = console.around(self.site, session, operator, ticket, conversation)
        shown = presenters.ticket(ticket, conversation, desk, operator, beside)
        return "".join(
            render(f"partials/ticket_{part}.html", {**context, "ticket": shown})
            for part in ("properties", "actions")
        )

    def _whole_queue(self, session: Session, operator: Operator, context: dict[str, Any]) -> Frame:
        view = view_of(_parameters(self.view or ""))
        limit = BESIDE if self.streams else PAGE
        desks = self.site.desk_ids(session)
        found = queries.queue(session, operator, view, desks, limit=limit)
        html = self.site.templates.render(
            "partials/queue_list.html",
            {
                **context,
                "tickets": console.queue_list(self.site, session, operator, view, found),
                "queue": console.queue_words(view, ""),
            },
        )
        return {"type": "queue", "html": html}

    def _rows(
        self,
        session: Session,
        operator: Operator,
        changed: Collection[int],
        context: dict[str, Any],
    ) -> list[Frame]:
        view = view_of(_parameters(self.view or ""))
        rows = console.changed_rows(self.site, session, operator, view, changed)
        return [
            {
                "type": "row",
                "ticket": ticket_id,
                "html": self.site.templates.render(
                    "partials/queue_row.html", {**context, "ticket": row}
                )
                if row
                else None,
            }
            for ticket_id, row in rows.items()
        ]


def _parameters(query: str) -> dict[str, str]:
    return dict(parse_qsl(query[:500]))
