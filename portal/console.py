"""What the console shows of the queue and of one Ticket: queries put together for templates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import ANSWERING
from core.model import (
    Conversation,
    Membership,
    Operator,
    Organisation,
    Requester,
    Ticket,
)
from portal import labels, presenters, queries, reading
from portal.language import gettext, ngettext
from portal.presenters import Around, Eyes
from portal.queries import Slice
from portal.queue_view import VIEWS, View
from portal.reading import Part, Reader
from portal.visit import Site


def queue_list(
    site: Site, session: Session, operator: Operator, view: View, found: Slice
) -> list[dict[str, Any]]:
    """Return a page of the queue as rows."""
    return _rows(site, session, operator, view, found.rows)


def changed_rows(
    site: Site, session: Session, operator: Operator, view: View, conversations: Collection[int]
) -> dict[int, dict[str, Any] | None]:
    """Return the rows of Tickets that changed, by Ticket; None for one that left the list."""
    desks = site.desk_ids(session)
    rows, gone = queries.queue_rows(session, operator, view, desks, conversations)
    shown = _rows(site, session, operator, view, rows)
    return dict.fromkeys(gone) | {row["id"]: row for row in shown}


def how_many(number: int, *, more: bool) -> str:
    """Say how long a list is, or that it is longer than was counted."""
    if more:
        return gettext("più di {n} richieste").format(n=number)
    return ngettext("{n} richiesta", "{n} richieste", number).format(n=number)


def queue_words(view: View, total: str) -> dict[str, Any]:
    """Return what stands above and in place of the rows."""
    searched = view.search and {
        "empty_title": gettext("Non è stata trovata nessuna richiesta."),
        "empty_text": gettext("Prova con altre parole, oppure con un altro filtro."),
    }
    return {
        "title": gettext(labels.VIEWS[view.name]),
        "total_text": total,
        "view": view.query(),
        "url": replace(view, search="").url(),
        "empty_title": None,
        "empty_text": None,
        **(searched or {}),
    }


def filters(
    site: Site, operator: Operator, view: View, figures: Mapping[str, int], desks: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return the groups of filters beside the queue."""
    own = {membership.desk_id for membership in operator.desks}
    views = [
        _option(gettext(labels.VIEWS[name]), view.but(name=name), view, figures.get(name), name)
        for name in VIEWS
    ]
    places = [_option(gettext("Tutti"), view.but(desk=""), view)]
    places += [
        _option(profile.name, view.but(desk=code), view)
        for code, profile in site.desks.items()
        if desks.get(code) in own
    ]
    orders = [
        _option(gettext("Prima le più recenti"), replace(view, oldest_first=False), view),
        _option(gettext("Prima le più vecchie"), replace(view, oldest_first=True), view),
    ]
    groups = [("vista", gettext("Vista"), views), ("ordine", gettext("Ordine"), orders)]
    if len(places) > len(("all", "one")):
        groups.insert(1, ("sportello", gettext("Sportello"), places))
    return [{"key": key, "label": label, "options": options} for key, label, options in groups]


def ticket_of(session: Session, operator: Operator, ticket_id: int) -> tuple[Ticket, Conversation]:
    """Return a Ticket that an Operator may see; raises NotFound for any other."""
    conversation_id = session.scalar(select(Ticket.conversation_id).where(Ticket.id == ticket_id))
    conversation = reading.find(session, Reader(operator), conversation_id or 0)
    return reading.ticket(session, conversation.id), conversation


def around(
    site: Site, session: Session, operator: Operator, ticket: Ticket, conversation: Conversation
) -> Around:
    """Return what stands around a Ticket."""
    desk = site.profile(session, ticket.desk_id)
    entries = reading.history(session, conversation.id)
    names = reading.names(session, [entry.actor for entry in entries])
    roles = {one.role for one in operator.desks if one.desk_id == ticket.desk_id}
    return Around(
        requester=session.get_one(Requester, conversation.requester_id),
        organisation=_organisation(session, conversation),
        others=[
            presenters.other(row, subject, site.profile(session, row.desk_id))
            for row, subject in reading.others(session, operator, ticket, conversation)
        ],
        history=[
            {
                "at": entry.at,
                "text": labels.fact(entry, names.get(entry.actor, gettext("Sportello")), desk),
            }
            for entry in entries
        ],
        may_answer=bool(roles & ANSWERING),
    )


def eyes(site: Site, session: Session, operator: Operator, ticket: Ticket, now: datetime) -> Eyes:
    """Return how an Operator sees the Messages of a Ticket."""
    return Eyes(
        Reader(operator),
        now,
        site.profile(session, ticket.desk_id),
        reading.deliveries(session, ticket.conversation_id),
        f"/console/ticket/{ticket.id}",
    )


def panes(
    site: Site, session: Session, operator: Operator, ticket_id: int, now: datetime
) -> tuple[dict[str, Any], Part]:
    """Return the middle and the right pane of a Ticket's page, and how far its Messages reach."""
    ticket, conversation = ticket_of(session, operator, ticket_id)
    desk = site.profile(session, ticket.desk_id)
    part = reading.newest(session, Reader(operator), conversation)
    beside = around(site, session, operator, ticket, conversation)
    seen = eyes(site, session, operator, ticket, now)
    context = {
        "ticket": presenters.ticket(ticket, conversation, desk, operator, beside),
        "current_ticket": ticket.id,
        "conversation": {
            "id": conversation.id,
            "after": part.after,
            "messages_url": f"/console/ticket/{ticket.id}/messaggi",
            "token": None,
        },
        "messages": presenters.messages(part.messages, seen),
        "greeting": None,
        "composer": presenters.console_composer(ticket, conversation, desk, operator, beside),
        "files": presenters.reusable(reading.files(session, conversation.id)),
    }
    return context, part


def _rows(
    site: Site, session: Session, operator: Operator, view: View, rows: Any
) -> list[dict[str, Any]]:
    unread = queries.unread_counts(session, operator, [row.conversation_id for row in rows])
    return [
        presenters.queue_row(
            row,
            site.profile(session, row.desk_id),
            operator,
            unread=unread.get(row.conversation_id, 0),
            view=view,
        )
        for row in rows
    ]


def _option(
    label: str, there: View, here: View, count: int | None = None, key: str | None = None
) -> dict[str, Any]:
    return {
        "label": label,
        "url": there.url(),
        "current": there == here,
        "count": count,
        "key": key if count is not None else None,
    }


def _organisation(session: Session, conversation: Conversation) -> str | None:
    """Return the name of the Conversation's Organisation, else of its Requester's."""
    if conversation.organisation_id is not None:
        return session.get_one(Organisation, conversation.organisation_id).name
    return session.scalar(
        select(Organisation.name)
        .join(Membership, Membership.organisation_id == Organisation.id)
        .where(Membership.requester_id == conversation.requester_id)
        .order_by(Organisation.id)
        .limit(1)
    )
