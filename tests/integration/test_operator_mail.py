"""Mail of Operators, and on whose behalf a Requester writes."""

from __future__ import annotations

from core import access
from core.model import (
    AuthorKind,
    Conversation,
    Disposition,
    Membership,
    MembershipRole,
    OperatorRole,
    Requester,
    Visibility,
)
from tests.mailroom import ANNA, KYBERNES, MARCO, Mailroom


def test_a_notice_to_operators_carries_no_token(mailroom: Mailroom) -> None:
    mailroom.operator("Carla", "kybernes", OperatorRole.TECNICO)
    mailroom.arrive(mailroom.mail(to=KYBERNES), KYBERNES)
    to_staff = [one for one in mailroom.outgoing("ticket_opened") if "carla" in one.recipient]
    assert [one.reply_to for one in to_staff] == [KYBERNES]


def test_an_operator_who_mails_into_a_conversation_is_held(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail())
    ticket = mailroom.tickets()[0]
    mailroom.act("answer", ticket.id)
    answer = mailroom.outgoing()[-1]

    line = mailroom.arrive(mailroom.reply(answer, ANNA, text="Il cliente è un disastro."))

    assert line.disposition is Disposition.HELD
    assert line.conversation_id == ticket.conversation_id
    assert len(mailroom.messages(ticket.conversation_id)) == 2


def test_an_operators_mail_becomes_an_internal_note_when_admitted(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail())
    ticket = mailroom.tickets()[0]
    mailroom.act("answer", ticket.id)
    before = len(mailroom.outgoing())
    line = mailroom.arrive(
        mailroom.reply(mailroom.outgoing()[-1], ANNA, text="Il cliente è un disastro.")
    )

    mailroom.decide("admit", line.id)

    note = mailroom.messages(ticket.conversation_id)[-1]
    assert (note.visibility, note.author_kind) == (Visibility.INTERNAL, AuthorKind.OPERATOR)
    assert mailroom.ledger()[-1].disposition is Disposition.ACCEPTED
    told = [one for one in mailroom.outgoing()[before:] if "@comune." in one.recipient]
    assert told == []


def test_an_administrator_sees_what_the_organisation_asks(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(MARCO), envelope_from=MARCO)
    mailroom.arrive(mailroom.mail())
    with mailroom.store.begin() as session:
        giulia = session.get_one(Requester, mailroom.world.people["giulia"])
        marco = session.get_one(Requester, mailroom.world.people["marco"])
        home = session.query(Membership).filter_by(requester_id=marco.id).one()
        home.role = MembershipRole.ORGANISATION_ADMIN
        conversation = session.get_one(Conversation, mailroom.tickets()[0].conversation_id)
        assert conversation.organisation_id == home.organisation_id
        giulia_too = Membership(requester_id=giulia.id, organisation_id=home.organisation_id)
        session.add(giulia_too)
        session.flush()

    # Whoever belongs to two Organisations writes on behalf of neither.
    mailroom.arrive(mailroom.mail())
    with mailroom.store.read() as session:
        newest = session.get_one(Conversation, mailroom.tickets()[-1].conversation_id)
        assert newest.organisation_id is None
        desks = [mailroom.world.desk_ids["rtpec"]]
        first = mailroom.tickets()[0].conversation_id
        second = mailroom.tickets()[1].conversation_id
        assert access.can_see(session, marco, first, open_desks=desks)
        assert not access.can_see(session, marco, second, open_desks=desks)
