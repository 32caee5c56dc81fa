"""Posta: the ledger of incoming mail, one mail as it came, and what an Operator decides of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import Response

from core import contents, deliveries, mailbox
from core.errors import CallerError, NotFound
from core.model import Delivery, Operator, RawMail
from portal import ledger, queries
from portal.frame import console_page
from portal.language import gettext, ngettext
from portal.visit import Visit

Decision = Callable[[Session, RawMail, Operator, datetime], None]


def mails(visit: Visit) -> Response:
    """Show a page of the ledger; what waits for a decision comes first."""
    session, operator = visit.session, visit.operator
    chosen = _chosen(visit)
    rows = ledger.lines(session, operator, chosen, before=_before(visit))
    found = _shown(visit, chosen, rows)
    last = rows[ledger.PAGE - 1].RawMail.id if len(rows) > ledger.PAGE else None
    context = console_page(
        visit,
        queries.counts(session, operator),
        current="/console/posta",
        filters=[_filters(chosen, ledger.waiting(session, operator))],
        mails=found,
        pages=_pages(visit, chosen, last),
        nothing_waits=chosen == ledger.FIRST_FILTER,
        total_text=ngettext("{n} mail", "{n} mail", len(found)).format(n=len(found)),
    )
    return visit.page("console/mail.html", context)


def mail(visit: Visit) -> Response:
    """Show one mail as it came."""
    session, operator = visit.session, visit.operator
    row = ledger.shown_line(session, operator, visit.number("mail"))
    raw = contents.get(session, visit.store.ports.files, row.RawMail.sha256)
    shown = ledger.shown(row, _desk(visit, row.RawMail.desk_id)) | ledger.source(raw)
    shown["download_url"] = f"/console/posta/{row.RawMail.id}/originale"
    context = console_page(
        visit, queries.counts(session, operator), current="/console/posta", mail=shown
    )
    return visit.page("console/raw_mail.html", context)


def source(visit: Visit) -> Response:
    """Hand over a mail's bytes."""
    line = ledger.line(visit.session, visit.operator, visit.number("mail"))
    raw = contents.get(visit.session, visit.store.ports.files, line.sha256)
    headers = {"Content-Disposition": f'attachment; filename="mail-{line.id}.eml"'}
    return Response(raw, media_type="text/plain; charset=utf-8", headers=headers)


def retry(visit: Visit) -> Response:
    """Process a mail again that was set aside."""
    return _decide(
        visit,
        lambda session, line, operator, now: mailbox.retry(session, line, operator, now=now),
        gettext("La mail è di nuovo in lavorazione."),
    )


def admit(visit: Visit) -> Response:
    """Let a held mail in."""
    return _decide(
        visit,
        lambda session, line, operator, now: mailbox.admit(session, line, operator, now=now),
        gettext("La mail è ammessa: fra poco la trovi nella coda."),
    )


def archive(visit: Visit) -> Response:
    """Put a mail away that waited for a decision; it stays in the ledger."""
    return _decide(
        visit,
        lambda session, line, operator, now: mailbox.refuse(session, line, operator, now=now),
        gettext("La mail è archiviata: la ritrovi tra le ignorate."),
    )


def resend(visit: Visit) -> Response:
    """Try an outgoing mail again that was given up."""
    with visit.store.begin() as session:
        operator = visit.acting(session)
        delivery = session.get(Delivery, visit.number("delivery"))
        if delivery is None or delivery.desk_id not in {one.desk_id for one in operator.desks}:
            raise NotFound
        deliveries.send_again(session, delivery, operator, now=visit.now)
    visit.say(gettext("La mail è di nuovo in coda."))
    return visit.go("/console/posta")


def _decide(visit: Visit, decision: Decision, said: str) -> Response:
    try:
        with visit.store.begin() as session:
            operator = visit.acting(session)
            line = ledger.line(session, operator, visit.number("mail"))
            decision(session, line, operator, visit.now)
        visit.say(said)
    except NotFound:
        raise
    except CallerError as fault:
        visit.say(str(fault), "warning")
    return visit.go("/console/posta")


def _chosen(visit: Visit) -> str:
    chosen = visit.request.query_params.get("esito", ledger.FIRST_FILTER)
    return chosen if chosen in ledger.FILTERS else ledger.FIRST_FILTER


def _shown(visit: Visit, chosen: str, rows: Sequence[Any]) -> list[dict[str, Any]]:
    found = [ledger.shown(row, _desk(visit, row.RawMail.desk_id)) for row in rows[: ledger.PAGE]]
    if chosen != ledger.FIRST_FILTER or _before(visit):
        return found
    # Outgoing mail that was given up waits for a decision too.
    return found + [
        ledger.shown_undelivered(row, _desk(visit, row.Delivery.desk_id))
        for row in ledger.undelivered(visit.session, visit.operator)
    ]


def _desk(visit: Visit, desk_id: int) -> Any:
    return visit.site.profile(visit.session, desk_id)


def _filters(chosen: str, waiting: int) -> dict[str, Any]:
    options = [
        {
            "label": gettext(label),
            "url": f"/console/posta?esito={name}",
            "current": name == chosen,
            "count": waiting if name == ledger.FIRST_FILTER else None,
            "key": None,
        }
        for name, (label, _) in ledger.FILTERS.items()
    ]
    return {"label": gettext("Esito"), "key": "esito", "options": options}


def _before(visit: Visit) -> int:
    text = visit.request.query_params.get("prima", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < len("1" * 18) else 0


def _pages(visit: Visit, chosen: str, last: int | None) -> dict[str, Any] | None:
    first = f"/console/posta?esito={chosen}"
    if last is None and not _before(visit):
        return None
    return {
        "previous_url": first if _before(visit) else None,
        "next_url": f"{first}&prima={last}" if last else None,
        "text": "",
    }
