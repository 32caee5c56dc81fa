"""The Operators' pages: the queue, one Ticket, and what they do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session
from starlette.responses import Response

from core import conversations, deliveries, tickets
from core.conversations import File
from core.errors import CallerError, NotFound
from core.model import Attachment, Delivery, Message, Operator, Ticket, Visibility
from portal import console, messages, queries
from portal.faults import status_of
from portal.frame import console_page
from portal.language import gettext
from portal.pages.requests import pages
from portal.queries import BESIDE, COUNT_CAP, Slice, cursor_of
from portal.queue_view import View, view_of
from portal.reading import Reader
from portal.visit import Visit

Verb = Callable[[Session, Ticket, Operator, str, datetime], None]


def queue(visit: Visit) -> Response:
    """Show a page of the queue."""
    session, operator, site = visit.session, visit.operator, visit.site
    view, desks = view_of(visit.request.query_params), site.desk_ids(session)
    cursor = cursor_of(visit.request.query_params.get("da", ""))
    found = queries.queue(session, operator, view, desks, cursor=cursor)
    figures = queries.counts(session, operator)
    context = console_page(
        visit,
        figures,
        current="/console",
        queue=console.queue_words(view, _number(visit, view, figures, found)),
        filters=console.filters(site, operator, view, figures, desks),
        search={"value": view.search, "hidden": _hidden(view)},
        tickets=console.queue_list(site, session, operator, view, found),
        pages=pages(found, partial(_with_cursor, view)),
    )
    return visit.page("console/queue.html", context)


def ticket(visit: Visit) -> Response:
    """Show one Ticket; what is shown is read."""
    return _ticket_page(visit, visit.number("ticket"))


def following(visit: Visit) -> Response:
    """Tell a page without sockets what came after its cursor."""
    _, conversation = console.ticket_of(visit.session, visit.operator, visit.number("ticket"))
    return messages.following(visit, Reader(visit.operator), conversation, messages.after(visit))


def say(visit: Visit) -> Response:
    """Answer the Requester, or write an internal note."""
    ticket_id = visit.number("ticket")
    try:
        conversation_id = _append(visit, ticket_id)
    except CallerError as fault:
        return _refused(visit, ticket_id, fault)
    if not visit.wants_json:
        return visit.go(_back(visit, ticket_id))
    reader = Reader(visit.operator)
    return messages.frame_of(visit, reader, conversation_id, messages.client_id(visit))


def take(visit: Visit) -> Response:
    """Take a Ticket in charge."""
    return _do(visit, lambda session, row, who, _, now: tickets.take(session, row, who, now=now))


def solve(visit: Visit) -> Response:
    """Mark a Ticket solved."""
    return _do(
        visit,
        lambda session, row, who, text, now: tickets.solve(
            session, row, who, solution=text, now=now
        ),
    )


def close(visit: Visit) -> Response:
    """Close a Ticket for good."""
    return _do(visit, lambda session, row, who, _, now: tickets.close(session, row, who, now=now))


def reopen(visit: Visit) -> Response:
    """Take a solved Ticket up again."""
    return _do(visit, lambda session, row, who, _, now: tickets.reopen(session, row, who, now=now))


def resend(visit: Visit) -> Response:
    """Try a Delivery again that was given up."""
    ticket_id = visit.number("ticket")
    with visit.store.begin() as session:
        operator = visit.acting(session)
        _, conversation = console.ticket_of(session, operator, ticket_id)
        delivery = session.get(Delivery, visit.number("delivery"))
        if delivery is None or delivery.conversation_id != conversation.id:
            raise NotFound
        deliveries.send_again(session, delivery, operator, now=visit.now)
    visit.say(gettext("La mail è di nuovo in coda."))
    return visit.go(_back(visit, ticket_id))


def _append(visit: Visit, ticket_id: int) -> int:
    internal = visit.form.text("visibility") == "internal"
    verb = tickets.note if internal else tickets.answer
    with visit.store.begin() as session:
        operator = visit.acting(session)
        row, conversation = console.ticket_of(session, operator, ticket_id)
        verb(
            session,
            row,
            operator,
            text=messages.text_of(visit),
            files=_files(visit, session, row, internal=internal),
            external_id=messages.client_id(visit),
            now=visit.now,
        )
        return conversation.id


def _do(visit: Visit, verb: Verb) -> Response:
    """Run one verb on a Ticket; what it refuses is said above the Ticket."""
    ticket_id = visit.number("ticket")
    try:
        with visit.store.begin() as session:
            operator = visit.acting(session)
            row, _ = console.ticket_of(session, operator, ticket_id)
            verb(session, row, operator, visit.form.text("text"), visit.now)
    except NotFound:
        raise
    except CallerError as fault:
        visit.say(str(fault), "warning")
    return visit.go(_back(visit, ticket_id))


def _ticket_page(visit: Visit, ticket_id: int, *, fault: CallerError | None = None) -> Response:
    session, operator, site = visit.session, visit.operator, visit.site
    view = view_of(visit.request.query_params)
    context, part = console.panes(site, session, operator, ticket_id, visit.now)
    conversation_id = context["conversation"]["id"]
    if messages.read_up_to(session, operator, conversation_id) < part.after:
        with visit.store.begin() as writing:
            conversations.mark_seen(
                writing, conversation_id, operator, seq=part.after, now=visit.now
            )
        visit.request.app.state.hub.seen(operator.id, conversation_id)
    if fault is not None:
        kept = {"text": visit.form.text("text"), "visibility": visit.form.text("visibility")}
        context["composer"] |= kept | {"error": str(fault)}
    found = queries.queue(session, operator, view, site.desk_ids(session), limit=BESIDE)
    page = console_page(
        visit,
        queries.counts(session, operator),
        queue=console.queue_words(view, "") | {"url": view.url()},
        tickets=console.queue_list(site, session, operator, view, found),
        **context,
    )
    return visit.page("console/ticket.html", page, status=status_of(fault) if fault else 200)


def _refused(visit: Visit, ticket_id: int, fault: CallerError) -> Response:
    """Show the page again with what was written and why it was not taken."""
    if visit.wants_json or isinstance(fault, NotFound):
        raise fault
    return _ticket_page(visit, ticket_id, fault=fault)


def _files(visit: Visit, session: Session, row: Ticket, *, internal: bool) -> list[File]:
    """Return the files of an answer: those sent with it, and those of the Conversation again."""
    desk = visit.site.profile(session, row.desk_id)
    again = []
    for attachment_id in dict.fromkeys(visit.form.numbers("reuse")):
        file = session.get(Attachment, attachment_id)
        said = session.get(Message, file.message_id) if file else None
        if file is None or said is None or said.conversation_id != row.conversation_id:
            raise NotFound
        if said.visibility is not Visibility.PUBLIC and not internal:
            # What Operators showed each other goes to a Requester only if one uploads it anew.
            raise NotFound
        again.append(
            File(name=file.name, content_type=file.content_type, sha256=file.sha256, size=file.size)
        )
    return visit.form.files(desk.attachments, again)


def _number(visit: Visit, view: View, figures: Mapping[str, int], found: Slice) -> str:
    """Say how long a list is; of a search only whether it goes on beyond the page."""
    if view.search:
        return console.how_many(len(found.rows), more=found.after is not None)
    session, operator = visit.session, visit.operator
    number = figures.get(view.name) if not view.desk else None
    if number is None:
        number = queries.total(session, operator, view, visit.site.desk_ids(session))
    return console.how_many(min(number, COUNT_CAP), more=number > COUNT_CAP)


def _hidden(view: View) -> list[list[str]]:
    query = replace(view, search="").query()
    return [pair.split("=", 1) for pair in query.split("&") if pair]


def _with_cursor(view: View, cursor: str) -> str:
    url = view.url()
    return f"{url}{'&' if '?' in url else '?'}da={cursor}"


def _back(visit: Visit, ticket_id: int) -> str:
    return view_of(visit.request.query_params).url(f"/console/ticket/{ticket_id}")
