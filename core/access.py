"""Who may see and do what: the one policy of lists, pages, files and the live stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from sqlalchemy import ColumnElement, false, select, union
from sqlalchemy.orm import Session, aliased

from core.errors import NotAllowed, NotFound
from core.model import (
    Conversation,
    Membership,
    MembershipRole,
    Operator,
    OperatorRole,
    Participant,
    ParticipantKind,
    Requester,
    Visibility,
)

Person: TypeAlias = Operator | Requester

#: Roles that may answer, take and close at their Desk; administrative staff reads and notes.
ANSWERING = frozenset(
    {OperatorRole.OPERATORE, OperatorRole.TECNICO, OperatorRole.AMMINISTRATORE_SISTEMA}
)


def visible_to(person: Person, *, open_desks: Iterable[int] = ()) -> ColumnElement[bool]:
    """Return the condition on Conversation that holds exactly for what `person` may see.

    An Operator sees their Desks. A Requester sees their own Conversations, those they follow,
    and their Organisation's where they administer it and the Desk's visibility policy allows
    it (`open_desks`: ids of such Desks). Somebody in copy sees nothing before they consented
    (a mail's Cc header is written by anybody), so copies do not count here.
    """
    if isinstance(person, Operator):
        desks = [membership.desk_id for membership in person.desks] if person.active else []
        return Conversation.desk_id.in_(desks) if desks else false()
    administers = select(Membership.organisation_id).where(
        Membership.requester_id == person.id,
        Membership.role == MembershipRole.ORGANISATION_ADMIN,
    )
    theirs = aliased(Conversation)
    # One set of ids from three short walks: both databases scan the whole table for an OR of them.
    return Conversation.id.in_(
        union(
            select(theirs.id).where(theirs.requester_id == person.id),
            select(Participant.conversation_id).where(
                Participant.requester_id == person.id,
                Participant.kind == ParticipantKind.FOLLOWER,
            ),
            select(theirs.id).where(
                theirs.desk_id.in_(list(open_desks)), theirs.organisation_id.in_(administers)
            ),
        )
    )


def can_see(
    session: Session, person: Person, conversation_id: int, *, open_desks: Iterable[int] = ()
) -> bool:
    """Return whether `person` may see one Conversation."""
    return bool(
        session.scalar(
            select(Conversation.id).where(
                Conversation.id == conversation_id, visible_to(person, open_desks=open_desks)
            )
        )
    )


def require_sight(
    session: Session, person: Person, conversation_id: int, *, open_desks: Iterable[int] = ()
) -> Conversation:
    """Return the Conversation; raises NotFound, never "forbidden", where it is not theirs."""
    found = session.scalar(
        select(Conversation).where(
            Conversation.id == conversation_id, visible_to(person, open_desks=open_desks)
        )
    )
    if found is None:
        raise NotFound
    return found


def readable(person: Person | None) -> tuple[Visibility, ...]:
    """Return the visibilities that a person (None: a visitor) may read."""
    if isinstance(person, Operator):
        return (Visibility.PUBLIC, Visibility.INTERNAL)
    return (Visibility.PUBLIC,)


def require_staff(operator: Operator, desk_id: int) -> None:
    """Raise NotAllowed unless the Operator belongs to the Desk."""
    if not operator.active or desk_id not in {one.desk_id for one in operator.desks}:
        raise NotAllowed


def require_answering(operator: Operator, desk_id: int) -> None:
    """Raise NotAllowed unless the Operator may answer and move Tickets at the Desk."""
    roles = {one.role for one in operator.desks if one.desk_id == desk_id}
    if not operator.active or not roles & ANSWERING:
        raise NotAllowed
