"""Which mails an Operator may let in after all, and who may."""

from __future__ import annotations

import pytest

from core.errors import NotAllowed
from core.model import Disposition
from tests.mailroom import BRUNO, CONDAFNE, GIULIA, RTPEC, SARA, Mailroom


def test_who_may_not_answer_there_lets_no_mail_in(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(), RTPEC)
    [ticket] = mailroom.tickets()
    [confirmation] = mailroom.outgoing()
    line = mailroom.arrive(mailroom.mail(SARA, to=confirmation.reply_to), CONDAFNE)
    assert (line.disposition, line.conversation_id) == (Disposition.HELD, ticket.conversation_id)
    with pytest.raises(NotAllowed):
        mailroom.decide("admit", line.id, BRUNO)
    assert len(mailroom.messages(ticket.conversation_id)) == 1


def test_an_ignored_mail_can_be_let_in(mailroom: Mailroom) -> None:
    line = mailroom.arrive(mailroom.mail(GIULIA, Auto_Submitted="auto-replied"))
    assert line.disposition is Disposition.IGNORED
    mailroom.decide("admit", line.id)
    assert mailroom.ledger()[-1].disposition is Disposition.ACCEPTED
    assert len(mailroom.tickets()) == 1
    assert mailroom.outgoing() == []
