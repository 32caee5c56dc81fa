"""Messages between forms, sockets and rows: what a form says, what a frame carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from core.chats import Words
from core.errors import CallerError
from core.model import Conversation, Operator, ReadMark, Requester
from core.timeline import actor
from portal import presenters, reading
from portal.frame import fragment
from portal.presenters import Eyes
from portal.reading import Part, Reader
from portal.templating import Templates
from portal.visit import Visit

#: Characters of one Message typed on the web.
LONGEST_TEXT = 100_000
LONGEST_CURSOR = len("999999999999999999")


def words(visit: Visit, session: Session, desk_id: int) -> Words:
    """Return what a composer's form says; raises CallerError beyond the Desk's limits."""
    desk = visit.site.profile(session, desk_id)
    return Words(
        text=text_of(visit),
        external_id=client_id(visit),
        files=visit.form.files(desk.attachments),
    )


def text_of(visit: Visit) -> str:
    """Return a form's text with line ends as everywhere else; raises CallerError if too long."""
    text = visit.form.text("text").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > LONGEST_TEXT:
        raise CallerError(f"Il messaggio supera {LONGEST_TEXT} caratteri: allegalo come file.")
    return text


def client_id(visit: Visit) -> str:
    """Return the UUID that the page gave to a Message, by which a repeat is known."""
    try:
        return str(UUID(visit.form.text("client_id")))
    except ValueError:
        raise CallerError("Il modulo non è completo: ricarica la pagina e riprova.") from None


def stream(conversation_id: int | None, after: int, url: str | None) -> dict[str, Any]:
    """Return a Conversation as partials/messages.html wants it."""
    return {"id": conversation_id, "after": after, "messages_url": url, "token": None}


def frames(
    templates: Templates, part: Part, eyes: Eyes, context: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return Messages as the live frames that carry them; `prev` lets a page see a gap."""
    found, previous = [], part.previous
    for row in part.messages:
        shown = presenters.message(row, eyes)
        found.append(
            {
                "type": "message",
                "conversation": row.conversation_id,
                "seq": row.seq,
                "prev": previous,
                "html": templates.render("partials/message.html", {**context, "message": shown}),
                "own": presenters.own(row, eyes.reader),
            }
        )
        previous = row.seq
    return found


def frame_of(
    visit: Visit, reader: Reader, conversation_id: int, external_id: str, **more: Any
) -> Response:
    """Answer a composer's script with the Message that it sent, as the socket would bring it."""
    session = visit.session
    conversation = reading.find(session, reader, conversation_id)
    part = reading.one(session, reader, conversation, external_id=external_id)
    body: dict[str, Any] = {"conversation": conversation_id}
    if part is not None:
        eyes = eyes_of(visit, reader, conversation)
        body |= frames(visit.site.templates, part, eyes, fragment_of(visit))[0]
    return visit.json(body | more, status=201)


def following(visit: Visit, reader: Reader, conversation: Conversation, after: int) -> Response:
    """Answer a page without sockets: what came after its cursor."""
    part = reading.following(visit.session, reader, conversation, after=after)
    eyes = eyes_of(visit, reader, conversation)
    found = frames(visit.site.templates, part, eyes, fragment_of(visit))
    return visit.json({"messages": found, "after": part.after})


def eyes_of(visit: Visit, reader: Reader, conversation: Conversation) -> Eyes:
    """Return how a reader sees a Conversation's Messages."""
    session = visit.session
    desk = visit.site.profile(session, conversation.desk_id)
    if reader.operator is None:
        return Eyes(reader, visit.now, desk)
    deliveries = reading.deliveries(session, conversation.id)
    ticket = reading.ticket(session, conversation.id)
    return Eyes(reader, visit.now, desk, deliveries, f"/console/ticket/{ticket.id}")


def fragment_of(visit: Visit) -> dict[str, Any]:
    """Return what a fragment needs of its page's context."""
    return fragment(visit.csrf, console=visit.area == "console")


def read_up_to(session: Session, person: Operator | Requester, conversation_id: int) -> int:
    """Return the number up to which a person has read."""
    seen = select(ReadMark.last_seq).where(
        ReadMark.conversation_id == conversation_id, ReadMark.reader == actor(person)
    )
    return session.scalar(seen) or 0


def after(visit: Visit) -> int:
    """Return the cursor of a page without sockets; 0 where it names none."""
    text = visit.request.query_params.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_CURSOR else 0
