"""A desk's chat: a visitor writes, the first words open a Ticket, the browser's cookie keeps it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import Response

from core import chats
from core.chats import Visitor, Words, visitor_key
from core.desk_profile import DeskProfile
from core.errors import CallerError, NotFound
from core.model import Conversation, Desk, Requester
from portal import auth, messages, moments, presenters, reading
from portal.desks import desk_page
from portal.faults import status_of
from portal.frame import portal_page
from portal.language import gettext
from portal.presenters import Eyes
from portal.reading import Part, Reader
from portal.visit import Visit

#: How long a browser keeps its chat.
KEPT = 30 * 24 * 3600


def chat(visit: Visit) -> Response:
    """Show the chat as it stands, or an empty one."""
    desk = _desk(visit)
    conversation = _current(visit, visit.session, desk)
    if conversation is not None and _wants_new(visit):
        if not reading.ticket(visit.session, conversation.id).ended:
            return visit.go(f"/{desk.code}/chat")
        conversation = None
    return _page(visit, desk, conversation)


def write(visit: Visit) -> Response:
    """Take in what a visitor writes; the first words open a Ticket."""
    desk = _desk(visit)
    try:
        conversation_id, secret, client_id = _take_in(visit, desk)
    except CallerError as fault:
        if visit.wants_json:
            raise
        return _page(visit, desk, _current(visit, visit.session, desk), fault=fault)
    visit.cookies.put(_cookie(desk), secret, seconds=KEPT)
    if not visit.wants_json:
        return visit.go(f"/{desk.code}/chat")
    return _sent(visit, desk, conversation_id, secret, client_id)


def following(visit: Visit) -> Response:
    """Tell a page without sockets what came after its cursor."""
    desk = _desk(visit)
    conversation = _current(visit, visit.session, desk)
    if conversation is None:
        raise NotFound
    reader = _reader(visit, _secret(visit, desk))
    return messages.following(visit, reader, conversation, messages.after(visit))


def _take_in(visit: Visit, desk: DeskProfile) -> tuple[int, str, str]:
    """Return the Conversation, its secret and the Message's own id."""
    with visit.store.begin() as session:
        desk_id = visit.site.desk_id(session, desk.code)
        words = messages.words(visit, session, desk_id)
        known = _current(visit, session, desk)
        ended = known is not None and reading.ticket(session, known.id).ended
        if known is not None and not (ended and _wants_new(visit)):
            visit.site.words_written.act(str(known.id), now=visit.now)
            person = session.get_one(Requester, known.requester_id)
            chats.write(session, known, person, words, now=visit.now)
            return known.id, _secret(visit, desk), words.external_id
        return _begin(visit, session, session.get_one(Desk, desk_id), words)


def _sent(
    visit: Visit, desk: DeskProfile, conversation_id: int, secret: str, client_id: str
) -> Response:
    here, reader = f"/{desk.code}/chat", _reader(visit, secret)
    # The page's socket was opened before the browser had the cookie: hence the token.
    more = {"messages_url": f"{here}/messaggi", "token": secret, "location": here}
    return messages.frame_of(visit, reader, conversation_id, client_id, **more)


def _begin(visit: Visit, session: Session, desk: Desk, words: Words) -> tuple[int, str, str]:
    secret = _new_secret(visit, desk.code, words.external_id)
    key = visitor_key(secret)
    who = _signed_in(visit)
    if chats.find(session, desk.id, key, who) is None:
        visit.site.chats_begun.act(visit.peer, now=visit.now)
    visitor = Visitor(
        key=key,
        name=visit.form.text("requester_name"),
        email=visit.form.text("requester_email"),
        requester_id=who,
    )
    received = chats.begin(session, desk, visitor, words, now=visit.now)
    return received.conversation_id, secret, words.external_id


def _new_secret(visit: Visit, code: str, client_id: str) -> str:
    """Derive a chat's secret from the browser's own: a first Message sent twice opens one chat."""
    # For each login another: what one person could not send is not the next one's chat.
    text = f"chat\0{visit.stranger}\0{_signed_in(visit)}\0{code}\0{client_id}".encode()
    return base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode().rstrip("=")


def _current(visit: Visit, session: Session, desk: DeskProfile) -> Conversation | None:
    secret = _secret(visit, desk)
    if not secret:
        return None
    desk_id = visit.site.desk_id(session, desk.code)
    return chats.find(session, desk_id, visitor_key(secret), _signed_in(visit))


def _signed_in(visit: Visit) -> int | None:
    return visit.login.person.id if visit.login else None


def _reader(visit: Visit, secret: str) -> Reader:
    return Reader(None, visitor_key(secret), _signed_in(visit))


def _page(
    visit: Visit,
    desk: DeskProfile,
    conversation: Conversation | None,
    *,
    fault: CallerError | None = None,
) -> Response:
    session = visit.session
    reader = _reader(visit, _secret(visit, desk))
    part = Part((), 0, 0)
    ended = False
    if conversation is not None:
        part = reading.newest(session, reader, conversation)
        ended = reading.ticket(session, conversation.id).ended
    here = f"/{desk.code}/chat"
    found = conversation.id if conversation else None
    context = portal_page(
        visit,
        desk=desk_page(desk, visit.now),
        conversation=messages.stream(found, part.after, f"{here}/messaggi" if found else None),
        messages=presenters.messages(part.messages, Eyes(reader, visit.now, desk)),
        today=moments.local(visit.now).date().isoformat(),
        greeting=desk.chat.greeting,
        quick_replies=list(desk.chat.quick_replies),
        composer=None if ended else _composer(visit, desk, begun=found is not None, fault=fault),
        closed_text=desk.chat.closed_note,
        new_chat_url=f"{here}?nuova=1",
    )
    return visit.page("chat/page.html", context, status=status_of(fault) if fault else 200)


def _composer(
    visit: Visit, desk: DeskProfile, *, begun: bool, fault: CallerError | None
) -> dict[str, Any]:
    url = f"/{desk.code}/chat" + ("?nuova=1" if _wants_new(visit) else "")
    form = visit.form
    return {
        **presenters.composer(desk, url, label=gettext("Messaggio"), button=desk.chat.send),
        "placeholder": desk.chat.placeholder,
        "ask_who": not begun and visit.login is None,
        "requester_name": form.text("requester_name") or None,
        "requester_email": form.text("requester_email") or None,
        "text": form.text("text") or None,
        "error": str(fault) if fault else None,
    }


def _desk(visit: Visit) -> DeskProfile:
    desk = visit.site.desks.get(visit.request.path_params["desk"])
    if desk is None or not desk.chat.enabled:
        raise NotFound
    return desk


def _wants_new(visit: Visit) -> bool:
    return visit.request.query_params.get("nuova") == "1"


def _secret(visit: Visit, desk: DeskProfile) -> str:
    return visit.cookies.get(_cookie(desk))


def _cookie(desk: DeskProfile) -> str:
    return f"{auth.CHAT}{desk.code}"
