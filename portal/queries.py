"""Lists of Tickets: the Operators' queue and a Requester's own, a page at a time by keyset."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVarTuple

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from core.access import visible_to
from core.model import (
    AuthorKind,
    Conversation,
    Disposition,
    Message,
    Operator,
    RawMail,
    ReadMark,
    Requester,
    Status,
    Ticket,
    Visibility,
)
from core.timeline import actor
from portal.queue_view import View

#: Rows of one page of the queue, and of the narrow list beside a Ticket.
PAGE, BESIDE = 50, 25
#: Counting stops here: nobody reads "12.345 richieste", and counting them all costs.
COUNT_CAP = 1000

Position = tuple[datetime, int]
Columns = TypeVarTuple("Columns")


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a list."""

    rows: Sequence[Row[Any]]
    before: str | None
    """Cursor of the page before this one, None on the first."""
    after: str | None
    """Cursor of the page after this one, None on the last."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after (or, going back, before) one row."""

    position: Position
    back: bool

    def text(self) -> str:
        """Write it for an address."""
        at, row_id = self.position
        return f"{'-' if self.back else ''}{round(at.timestamp() * 1_000_000)}.{row_id}"


def cursor_of(text: str) -> Cursor | None:
    """Read a cursor from an address; None where it is none."""
    at, _, row_id = text.removeprefix("-").partition(".")
    if not (at.isascii() and at.isdigit() and row_id.isascii() and row_id.isdigit()):
        return None
    if len(at) > len("9999999999999999") or len(row_id) > len("999999999999999999"):
        return None
    position = (datetime.fromtimestamp(int(at) / 1_000_000, UTC), int(row_id))
    return Cursor(position, text.startswith("-"))


def queue(
    session: Session,
    operator: Operator,
    view: View,
    desks: Mapping[str, int],
    *,
    cursor: Cursor | None = None,
    limit: int = PAGE,
) -> Slice:
    """Return a page of an Operator's queue."""
    query = _rows().where(*_belonging(operator, view, desks))
    newest_first = not view.oldest_first
    if not view.search:
        # The page's Tickets first, by the index alone: sorting all that waits together with all
        # that a row shows took 70 ms of 20,000 Tickets, this takes 6.
        page = select(Ticket.id).where(*_listed(operator, view, desks))
        page = _ordered(page, cursor, newest_first=newest_first).limit(limit + 1)
        query = query.where(Ticket.id.in_(page))
    return _slice(session, query, cursor, newest_first=newest_first, limit=limit)


def queue_rows(
    session: Session,
    operator: Operator,
    view: View,
    desks: Mapping[str, int],
    conversations: Collection[int],
) -> tuple[Sequence[Row[Any]], Sequence[int]]:
    """Return which of some Conversations' Tickets belong to a list, and the ids of the others."""
    here = Ticket.conversation_id.in_(conversations)
    rows = session.execute(_rows().where(here, *_belonging(operator, view, desks))).all()
    seen = select(Ticket.id).join(Conversation, Conversation.id == Ticket.conversation_id)
    known = session.scalars(seen.where(here, visible_to(operator))).all()
    belonging = {row.id for row in rows}
    return rows, [ticket_id for ticket_id in known if ticket_id not in belonging]


def unread_counts(
    session: Session, person: Operator | Requester, conversations: Sequence[int]
) -> dict[int, int]:
    """Return how many Messages of the other side a person has not read, by Conversation."""
    if not conversations:
        return {}
    read = ReadMark.__table__.alias()
    rows = session.execute(
        select(Message.conversation_id, func.count())
        .outerjoin(
            read,
            and_(read.c.conversation_id == Message.conversation_id, read.c.reader == actor(person)),
        )
        .where(
            Message.conversation_id.in_(conversations),
            Message.seq > func.coalesce(read.c.last_seq, 0),
            _from_other_side(person),
        )
        .group_by(Message.conversation_id)
    )
    return {row[0]: row[1] for row in rows}


def counts(session: Session, operator: Operator) -> dict[str, int]:
    """Return the figures beside the views and in the bar, each up to COUNT_CAP + 1."""
    desks = [membership.desk_id for membership in operator.desks]
    mine = Ticket.assignee_id == operator.id
    figures: dict[str, ColumnElement[bool]] = {
        "da-gestire": _in_work(desks, _UNDECIDED),
        "mie": and_(_in_work(desks, _UNDECIDED), mine),
        "libere": _in_work(desks, [Status.OPEN]),
    }
    capped = [
        _capped(select(Ticket.id).where(condition)).label(name)
        for name, condition in figures.items()
    ]
    waiting = select(RawMail.id).where(
        RawMail.desk_id.in_(desks),
        RawMail.disposition.in_([Disposition.HELD, Disposition.GIVEN_UP]),
    )
    row = session.execute(select(*capped, _capped(waiting).label("posta"))).one()
    return {name.replace("_", "-"): int(count) for name, count in row._mapping.items()}  # noqa: SLF001 - SQLAlchemy's public way to a row's names


def total(session: Session, operator: Operator, view: View, desks: Mapping[str, int]) -> int:
    """Return how many Tickets a list without a search has, up to COUNT_CAP + 1."""
    return (
        session.scalar(select(_capped(select(Ticket.id).where(*_listed(operator, view, desks)))))
        or 0
    )


def own(
    session: Session,
    requester: Requester,
    *,
    open_desks: Collection[int],
    statuses: Collection[Status] | None,
    search: str,
    cursor: Cursor | None,
) -> Slice:
    """Return a page of the Tickets that a Requester may see, newest activity first."""
    query = _requester_rows(requester, open_desks)
    if statuses is not None:
        query = query.where(Ticket.status.in_(statuses))
    if search:
        query = query.where(_found(search))
    return _slice(session, query, cursor, newest_first=True, limit=20)


def own_counts(
    session: Session, requester: Requester, open_desks: Collection[int]
) -> dict[Status, int]:
    """Return how many Tickets a Requester may see in each status."""
    rows = session.execute(
        select(Ticket.status, func.count())
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .where(visible_to(requester, open_desks=open_desks))
        .group_by(Ticket.status)
    )
    return {row[0]: row[1] for row in rows}


_UNDECIDED = [Status.OPEN, Status.TAKEN, Status.PENDING_REQUESTER, Status.PENDING_THIRD]


def _rows() -> Select[*tuple[Any, ...]]:
    """All that a row of the queue shows, in one query."""
    assignee, last = aliased(Operator), aliased(Message)
    return (
        select(
            Ticket.id,
            Ticket.number,
            Ticket.status,
            Ticket.severity,
            Ticket.updated_at,
            Ticket.desk_id,
            Ticket.assignee_id,
            Conversation.id.label("conversation_id"),
            Conversation.subject,
            Conversation.channel,
            Conversation.last_seq,
            Requester.name.label("requester_name"),
            assignee.name.label("assignee_name"),
            func.substr(last.body_text, 1, 200).label("snippet"),
        )
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .join(Requester, Requester.id == Conversation.requester_id)
        .outerjoin(assignee, assignee.id == Ticket.assignee_id)
        .outerjoin(
            last,
            and_(last.conversation_id == Conversation.id, last.seq == Conversation.last_seq),
        )
    )


def _requester_rows(requester: Requester, open_desks: Collection[int]) -> Select[*tuple[Any, ...]]:
    # Theirs first, and once: they are few, and walking all Tickets by date is not.
    theirs = (
        select(Conversation.id)
        .where(visible_to(requester, open_desks=open_desks))
        .cte("theirs")
        .prefix_with("MATERIALIZED")
    )
    return (
        select(
            Ticket.id,
            Ticket.number,
            Ticket.status,
            Ticket.updated_at,
            Ticket.opened_at,
            Ticket.desk_id,
            Conversation.id.label("conversation_id"),
            Conversation.subject,
            Conversation.updated_at.label("last_at"),
        )
        .select_from(theirs)
        .join(Conversation, Conversation.id == theirs.c.id)
        .join(Ticket, Ticket.conversation_id == Conversation.id)
    )


def _belonging(
    operator: Operator, view: View, desks: Mapping[str, int]
) -> list[ColumnElement[bool]]:
    """Return what holds exactly for the Tickets of a list that the Operator may see."""
    conditions = [visible_to(operator), *_listed(operator, view, desks)]
    if view.search:
        conditions.append(_found(view.search, people=True))
    return conditions


def _listed(operator: Operator, view: View, desks: Mapping[str, int]) -> list[ColumnElement[bool]]:
    """Return what a list says of the Ticket's own row, so that it can be counted alone.

    The desks are the same as visible_to's, by the column that the index begins with.
    """
    allowed = {membership.desk_id for membership in operator.desks} if operator.active else set()
    chosen = {desks[view.desk]} & allowed if view.desk in desks else allowed
    conditions: list[ColumnElement[bool]] = [Ticket.desk_id.in_(sorted(chosen))]
    if view.statuses is not None:
        conditions.append(Ticket.status.in_(sorted(view.statuses)))
    if view.name == "mie":
        conditions.append(Ticket.assignee_id == operator.id)
    if view.name == "da-leggere":
        conditions.append(_unread(operator))
    return conditions


def _unread(operator: Operator) -> ColumnElement[bool]:
    read = (
        select(ReadMark.last_seq)
        .where(
            ReadMark.conversation_id == Message.conversation_id, ReadMark.reader == actor(operator)
        )
        .scalar_subquery()
    )
    return exists().where(
        Message.conversation_id == Ticket.conversation_id,
        Message.seq > func.coalesce(read, 0),
        _from_other_side(operator),
    )


def _from_other_side(person: Operator | Requester) -> ColumnElement[bool]:
    if isinstance(person, Operator):
        return and_(
            Message.visibility == Visibility.PUBLIC,
            Message.author_kind == AuthorKind.REQUESTER,
        )
    return and_(
        Message.visibility == Visibility.PUBLIC,
        Message.author_kind.in_([AuthorKind.OPERATOR, AuthorKind.ASSISTANT]),
    )


def _found(search: str, *, people: bool = False) -> ColumnElement[bool]:
    pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    ways: list[ColumnElement[bool]] = [Conversation.subject.ilike(pattern, escape="\\")]
    if people:
        ways.append(Requester.name.ilike(pattern, escape="\\"))
        ways.append(Ticket.contact_email.ilike(pattern, escape="\\"))
    digits = search.lstrip("#").lstrip("0")
    if digits.isascii() and digits.isdigit() and len(digits) <= len("999999999999"):
        ways.append(Ticket.number == int(digits))
    return or_(*ways)


def _slice(
    session: Session,
    query: Select[*tuple[Any, ...]],
    cursor: Cursor | None,
    *,
    newest_first: bool,
    limit: int,
) -> Slice:
    back = cursor is not None and cursor.back
    query = _ordered(query, cursor, newest_first=newest_first)
    rows = list(session.execute(query.limit(limit + 1)).all())
    more = len(rows) > limit
    rows = rows[:limit]
    if back:
        rows.reverse()
    return Slice(
        rows,
        before=_edge(rows, first=True) if (more if back else cursor is not None) else None,
        after=_edge(rows, first=False) if (back or more) else None,
    )


def _ordered(
    query: Select[*Columns], cursor: Cursor | None, *, newest_first: bool
) -> Select[*Columns]:
    """Return the query in the order in which a page is read, from its cursor on."""
    down = newest_first is not (cursor is not None and cursor.back)
    if cursor is not None:
        query = query.where(_beyond(cursor.position, down=down))
    return query.order_by(
        *(column.desc() if down else column.asc() for column in (Ticket.updated_at, Ticket.id))
    )


def _beyond(position: Position, *, down: bool) -> ColumnElement[bool]:
    at, row_id = position
    # The first condition is implied by the second: it is the one that an index can follow.
    if down:
        tie = and_(Ticket.updated_at == at, Ticket.id < row_id)
        return and_(Ticket.updated_at <= at, or_(Ticket.updated_at < at, tie))
    tie = and_(Ticket.updated_at == at, Ticket.id > row_id)
    return and_(Ticket.updated_at >= at, or_(Ticket.updated_at > at, tie))


def _edge(rows: Sequence[Row[Any]], *, first: bool) -> str | None:
    if not rows:
        return None
    row = rows[0] if first else rows[-1]
    return Cursor((row.updated_at, row.id), back=first).text()


def _in_work(desks: Sequence[int], statuses: Sequence[Status]) -> ColumnElement[bool]:
    return and_(Ticket.desk_id.in_(desks), Ticket.status.in_(statuses))


def _capped(ids: Select[*tuple[Any, ...]]) -> Any:
    some = ids.limit(COUNT_CAP + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()
