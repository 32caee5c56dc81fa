"""A Requester's own Tickets: the list, one Conversation, an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from core import chats, conversations
from core.errors import CallerError
from core.model import Conversation, Requester, Status
from portal import messages, presenters, queries, reading
from portal.desks import desk_page
from portal.faults import status_of
from portal.frame import portal_page
from portal.language import gettext, ngettext
from portal.presenters import Eyes
from portal.queries import Slice, cursor_of
from portal.reading import Reader
from portal.visit import Visit

#: Filters of the list by their name in the address -> label, statuses (None: all).
FILTERS: Mapping[str, tuple[str, frozenset[Status] | None]] = {
    "": ("Tutte", None),
    "aperte": (
        "Aperte",
        frozenset({Status.OPEN, Status.TAKEN, Status.PENDING_REQUESTER, Status.PENDING_THIRD}),
    ),
    "risolte": ("Risolte", frozenset({Status.SOLVED})),
    "chiuse": ("Chiuse", frozenset({Status.CLOSED, Status.MERGED, Status.CANCELLED})),
}


def requests(visit: Visit) -> Response:
    """List what the Requester may see, newest activity first."""
    parameters = visit.request.query_params
    chosen = parameters.get("stato", "")
    chosen = chosen if chosen in FILTERS else ""
    search = " ".join(parameters.get("q", "").split())[:100]
    found = queries.own(
        visit.session,
        visit.requester,
        open_desks=visit.site.open_desks(visit.session),
        statuses=FILTERS[chosen][1],
        search=search,
        cursor=cursor_of(parameters.get("da", "")),
    )
    context = _list(visit, found, chosen=chosen, search=search)
    return visit.page("portal/requests.html", context)


def request(visit: Visit) -> Response:
    """Show one Conversation; what is shown is read."""
    reader = reader_of(visit)
    conversation = reading.find(visit.session, reader, visit.number("conversation"))
    part = reading.newest(visit.session, reader, conversation)
    mark_read(visit, visit.requester, conversation.id, part.after)
    return _page(visit, reader, conversation, part)


def answer(visit: Visit) -> Response:
    """Take in what the Requester writes under a Ticket of theirs."""
    conversation_id = visit.number("conversation")
    try:
        with visit.store.begin() as session:
            reader = reader_of(visit)
            conversation = reading.find(session, reader, conversation_id)
            words = messages.words(visit, session, conversation.desk_id)
            person = session.get_one(Requester, visit.requester.id)
            chats.write(session, conversation, person, words, now=visit.now)
    except CallerError as fault:
        return _refused(visit, conversation_id, fault)
    if visit.wants_json:
        return messages.frame_of(visit, reader, conversation_id, words.external_id)
    visit.say(gettext("Messaggio inviato."))
    return visit.go(f"/richieste/{conversation_id}")


def following(visit: Visit) -> Response:
    """Tell a page without sockets what came after its cursor."""
    reader = reader_of(visit)
    conversation = reading.find(visit.session, reader, visit.number("conversation"))
    return messages.following(visit, reader, conversation, messages.after(visit))


def reader_of(visit: Visit) -> Reader:
    """Return the signed-in Requester as a reader."""
    return Reader(visit.requester, open_desks=tuple(visit.site.open_desks(visit.session)))


def mark_read(visit: Visit, person: Requester, conversation_id: int, seq: int) -> None:
    """Record how far somebody has read, if they had not read so far before."""
    if messages.read_up_to(visit.session, person, conversation_id) >= seq:
        return
    with visit.store.begin() as session:
        conversations.mark_seen(session, conversation_id, person, seq=seq, now=visit.now)


def _list(visit: Visit, found: Slice, *, chosen: str, search: str) -> dict[str, Any]:
    session, person = visit.session, visit.requester
    figures = queries.own_counts(session, person, visit.site.open_desks(session))
    unread = queries.unread_counts(session, person, [row.conversation_id for row in found.rows])
    total = sum(n for s, n in figures.items() if _shown(FILTERS[chosen][1], s))
    plain = {"stato": chosen, "q": search}
    return portal_page(
        visit,
        current="/richieste",
        tickets=[
            presenters.request_row(
                row,
                visit.site.profile(session, row.desk_id),
                unread=unread.get(row.conversation_id, 0),
            )
            for row in found.rows
        ],
        search=search,
        status_filter=[
            {
                "label": gettext(label),
                "url": _url({"stato": name}),
                "current": name == chosen,
                "count": sum(n for s, n in figures.items() if _shown(statuses, s)),
            }
            for name, (label, statuses) in FILTERS.items()
        ],
        pages=pages(found, lambda cursor: _url({**plain, "da": cursor})),
        new_url="/",
        result_text=_result(len(found.rows) if search else total),
    )


def pages(found: Slice, url: Any) -> dict[str, Any] | None:
    """Return the links to the pages before and after, or None where there is only one."""
    if found.before is None and found.after is None:
        return None
    return {
        "previous_url": url(found.before) if found.before else None,
        "next_url": url(found.after) if found.after else None,
        "text": ngettext("{n} in questa pagina", "{n} in questa pagina", len(found.rows)).format(
            n=len(found.rows)
        ),
    }


def _page(
    visit: Visit,
    reader: Reader,
    conversation: Conversation,
    part: reading.Part,
    *,
    fault: CallerError | None = None,
) -> Response:
    session = visit.session
    desk = visit.site.profile(session, conversation.desk_id)
    ticket = reading.ticket(session, conversation.id)
    here = f"/richieste/{conversation.id}"
    composer = None
    if not ticket.ended:
        composer = presenters.composer(
            desk, here, label=gettext("La tua risposta"), button=gettext("Invia")
        )
        composer |= {"text": visit.form.text("text"), "error": str(fault) if fault else None}
    context = portal_page(
        visit,
        current="/richieste",
        desk=desk_page(desk, visit.now),
        ticket=presenters.request_head(ticket, conversation, desk),
        conversation=messages.stream(conversation.id, part.after, f"{here}/messaggi"),
        messages=presenters.messages(part.messages, Eyes(reader, visit.now, desk)),
        greeting=None,
        composer=composer,
        closed_text=desk.status_help(ticket.status.value) or None,
    )
    return visit.page("portal/request.html", context, status=status_of(fault) if fault else 200)


def _refused(visit: Visit, conversation_id: int, fault: CallerError) -> Response:
    """Show the page again with what was written and why it was not taken."""
    if visit.wants_json:
        raise fault
    reader = reader_of(visit)
    conversation = reading.find(visit.session, reader, conversation_id)
    part = reading.newest(visit.session, reader, conversation)
    return _page(visit, reader, conversation, part, fault=fault)


def _shown(statuses: frozenset[Status] | None, status: Status) -> bool:
    return statuses is None or status in statuses


def _url(parts: Mapping[str, str | None]) -> str:
    query = urlencode({name: value for name, value in parts.items() if value})
    return f"/richieste?{query}" if query else "/richieste"


def _result(number: int) -> str:
    return ngettext("{n} richiesta", "{n} richieste", number).format(n=number)
