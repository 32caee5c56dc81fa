"""Which Conversation a mail belongs to, and what a stranger can do to one: nothing."""

from __future__ import annotations

import pytest

from core import correlation
from core.model import Disposition, MailRef, Participant, ParticipantKind, Status
from core.references import reply_address
from tests.mailroom import (
    ANNA,
    BRUNO,
    CONDAFNE,
    GIULIA,
    KYBERNES,
    MARCO,
    RTPEC,
    SARA,
    Mailroom,
)
from tests.world import OLDER_KEY


def opened(mailroom: Mailroom, **parts: str) -> int:
    """Let Giulia open a Ticket by mail, and return its Conversation."""
    mailroom.arrive(mailroom.mail(**parts))
    conversation_id: int = mailroom.tickets()[-1].conversation_id
    return conversation_id


def texts(mailroom: Mailroom, conversation_id: int) -> list[str]:
    """Return what was said, in order."""
    return [message.body_text for message in mailroom.messages(conversation_id)]


def test_an_answer_to_the_signed_address_is_appended(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [confirmation] = mailroom.outgoing()
    # The token alone: no thread headers, no reference in the subject.
    bare = mailroom.mail(to=confirmation.reply_to, subject="x", text="Novità?")
    line = mailroom.arrive(bare, confirmation.reply_to)
    assert (line.disposition, line.conversation_id) == (Disposition.ACCEPTED, here)
    assert texts(mailroom, here)[1] == "Novità?"
    assert len(mailroom.tickets()) == 1


def test_a_token_counts_also_where_only_the_header_shows_it(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [confirmation] = mailroom.outgoing()
    bare = mailroom.mail(to=confirmation.reply_to.upper(), subject="x")
    assert mailroom.arrive(bare, RTPEC).conversation_id == here


def test_a_token_of_an_older_key_still_leads_home(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    old = reply_address((OLDER_KEY,), intake=RTPEC, conversation_id=here, recipient=GIULIA)
    assert mailroom.arrive(mailroom.mail(to=old, subject="x"), old).conversation_id == here


def test_a_stranger_with_a_token_is_held_and_admitted_by_one_click(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [confirmation] = mailroom.outgoing()
    line = mailroom.arrive(mailroom.reply(confirmation, SARA), confirmation.reply_to)
    assert (line.disposition, line.conversation_id) == (Disposition.HELD, here)
    assert len(texts(mailroom, here)) == 1
    mailroom.decide("admit", line.id)
    assert texts(mailroom, here)[1] == "Grazie, ma non va ancora."
    # From now on she takes part.
    again = mailroom.reply(confirmation, SARA, text="Ancora io.")
    assert mailroom.arrive(again, confirmation.reply_to).disposition is Disposition.ACCEPTED


def test_a_stranger_who_asks_for_answers_to_somebody_else_is_a_stranger(mailroom: Mailroom) -> None:
    opened(mailroom)
    [confirmation] = mailroom.outgoing()
    sly = mailroom.reply(confirmation, SARA, Reply_To=GIULIA)
    assert mailroom.arrive(sly, confirmation.reply_to).disposition is Disposition.HELD


def test_a_flipped_token_leads_nowhere(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [confirmation] = mailroom.outgoing()
    local, _, domain = confirmation.reply_to.partition("@")
    for position in range(len(RTPEC.partition("@")[0]) + 1, len(local)):
        letter = "1" if local[position] == "0" else "0"
        flipped = f"{local[:position]}{letter}{local[position + 1 :]}@{domain}"
        tag = flipped.partition("+")[2].partition("@")[0]
        with mailroom.store.read() as session:
            found = correlation.match(
                session,
                keys=mailroom.store.ports.reply_keys,
                tags=[tag],
                senders=(GIULIA,),
                references=(),
                subject="",
                desk_id=mailroom.world.desk_ids["rtpec"],
            )
        assert found is None, (flipped, here)


def test_a_token_of_another_conversation_leads_to_that_one(mailroom: Mailroom) -> None:
    first = opened(mailroom)
    second = opened(mailroom, text="Altra richiesta.")
    confirmation = mailroom.outgoing()[0]
    # The token of the first, the headers of the second: the token is signed, headers are not.
    mixed = mailroom.reply(mailroom.outgoing()[1], to=confirmation.reply_to)
    assert mailroom.arrive(mixed, confirmation.reply_to).conversation_id == first
    assert len(texts(mailroom, second)) == 1


def test_thread_headers_lead_home(mailroom: Mailroom) -> None:
    here = opened(mailroom, Message_ID="<first@comune.example>")
    own = mailroom.mail(In_Reply_To="<first@comune.example>", subject="x", text="Aggiungo.")
    assert mailroom.arrive(own).conversation_id == here
    confirmation = mailroom.outgoing()[0]
    ours = mailroom.mail(References=f"<x@y> {confirmation.mail_id}", subject="x", text="E poi.")
    assert mailroom.arrive(ours).conversation_id == here


def test_an_id_that_was_only_cited_leads_home_too(mailroom: Mailroom) -> None:
    # The first mail that we see answers one that we were not sent.
    here = opened(mailroom, References="<before@comune.example>")
    late = mailroom.mail(In_Reply_To="<before@comune.example>", subject="x", text="Aggiungo.")
    assert mailroom.arrive(late).conversation_id == here


def test_the_subject_s_reference_leads_home(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    by_hand = mailroom.mail(subject="accesso [RTPEC #9631]", text="Aggiungo.")
    assert mailroom.arrive(by_hand).conversation_id == here
    unknown = mailroom.mail(subject="accesso [rtpec #9999]", text="Aggiungo altro.")
    assert mailroom.arrive(unknown).conversation_id != here


@pytest.mark.parametrize("way", ["headers", "subject"])
def test_a_stranger_by_headers_or_subject_opens_a_linked_ticket(
    mailroom: Mailroom, way: str
) -> None:
    here = opened(mailroom)
    [confirmation] = mailroom.outgoing()
    parts = (
        {"In_Reply_To": confirmation.mail_id, "subject": "x"}
        if way == "headers"
        else {"subject": confirmation.subject}
    )
    line = mailroom.arrive(mailroom.mail(MARCO, **parts))
    assert line.disposition is Disposition.ACCEPTED
    first, second = mailroom.tickets()
    assert second.follow_up_of_id == first.id
    assert line.conversation_id == second.conversation_id
    assert len(texts(mailroom, here)) == 1


def test_a_stranger_cannot_draw_a_thread_s_own_people_away(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [confirmation] = mailroom.outgoing()
    mailroom.arrive(mailroom.mail(MARCO, References=confirmation.mail_id, subject="x"))
    hers = mailroom.mail(In_Reply_To=confirmation.mail_id, subject="x", text="Sono io.")
    assert mailroom.arrive(hers).conversation_id == here
    assert texts(mailroom, here)[1] == "Sono io."


def test_a_stranger_at_a_desk_of_registered_senders_is_held(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(), CONDAFNE)
    [confirmation] = mailroom.outgoing()
    line = mailroom.arrive(mailroom.mail(SARA, subject=confirmation.subject), CONDAFNE)
    assert line.disposition is Disposition.HELD
    mailroom.decide("admit", line.id, BRUNO)
    first, second = mailroom.tickets()
    assert second.follow_up_of_id == first.id


def test_somebody_in_copy_takes_part(mailroom: Mailroom) -> None:
    here = opened(mailroom, Cc=SARA)
    [confirmation] = mailroom.outgoing()
    line = mailroom.arrive(mailroom.reply(confirmation, SARA), confirmation.reply_to)
    assert (line.disposition, line.conversation_id) == (Disposition.ACCEPTED, here)
    assert mailroom.messages(here)[1].author_name == "Sara Verdi"


def test_one_mail_to_two_desks_goes_on_at_each(mailroom: Mailroom) -> None:
    both = mailroom.mail(to=f"{RTPEC}, {KYBERNES}", Message_ID="<both@comune.example>")
    mailroom.arrive(both, RTPEC, KYBERNES)
    by_desk = {ticket.desk_id: ticket.conversation_id for ticket in mailroom.tickets()}
    for address, desk in ((KYBERNES, "kybernes"), (RTPEC, "rtpec")):
        more = mailroom.mail(
            to=address, In_Reply_To="<both@comune.example>", subject="x", text=f"Per {desk}."
        )
        line = mailroom.arrive(more, address)
        assert line.conversation_id == by_desk[mailroom.world.desk_ids[desk]]


def test_answers_to_a_closed_ticket_go_on_in_one_linked_ticket(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [first] = mailroom.tickets()
    mailroom.act("take", first.id)
    mailroom.act("solve", first.id)
    mailroom.act("close", first.id)
    [confirmation] = mailroom.outgoing("ticket_opened")
    for text in ("Non va più.", "Anzi, è urgente."):
        mailroom.arrive(mailroom.reply(confirmation, text=text), confirmation.reply_to)
    old, new = mailroom.tickets()
    assert (old.status, new.status, new.follow_up_of_id) == (Status.CLOSED, Status.OPEN, old.id)
    assert len(texts(mailroom, here)) == 1
    assert texts(mailroom, new.conversation_id) == ["Non va più.", "Anzi, è urgente."]
    # By headers it is the same.
    late = mailroom.mail(In_Reply_To=confirmation.mail_id, subject="x", text="Allora?")
    assert mailroom.arrive(late).conversation_id == new.conversation_id
    # Once that one is closed too, a third begins.
    for verb in ("take", "solve", "close"):
        mailroom.act(verb, new.id)
    mailroom.arrive(mailroom.reply(confirmation, text="Eccomi."), confirmation.reply_to)
    assert [ticket.follow_up_of_id for ticket in mailroom.tickets()] == [None, old.id, new.id]


def test_an_answer_of_ours_threads_in_every_mail_program(mailroom: Mailroom) -> None:
    here = opened(mailroom, Message_ID="<a@comune.example>", References="<z@comune.example>")
    [ticket] = mailroom.tickets()
    mailroom.act("answer", ticket.id)
    answer = mailroom.outgoing()[-1]
    assert answer.in_reply_to == "<a@comune.example>"
    assert answer.references[0] == "<z@comune.example>"
    assert answer.references[-1] == "<a@comune.example>"
    assert answer.subject == "Re: Accesso alla casella [rtpec #9631]"
    mailroom.arrive(mailroom.reply(answer, Message_ID="<b@comune.example>"), answer.reply_to)
    mailroom.act("answer", ticket.id, text="E ora?")
    assert mailroom.outgoing()[-1].in_reply_to == "<b@comune.example>"
    assert mailroom.outgoing()[-1].subject == answer.subject
    assert len(texts(mailroom, here)) == 4


def test_of_a_long_thread_the_first_and_the_newest_are_cited(mailroom: Mailroom) -> None:
    here = opened(mailroom, References=" ".join(f"<{number}@x>" for number in range(90)))
    [ticket] = mailroom.tickets()
    mailroom.act("answer", ticket.id)
    cited = mailroom.outgoing()[-1].references
    assert len(cited) == 20
    assert cited[0] == "<0@x>"
    with mailroom.store.read() as session:
        assert correlation.thread(session, here + 1) == correlation.Thread(None, [])


def test_remembering_nothing_is_nothing(mailroom: Mailroom) -> None:
    before = mailroom.count(MailRef)
    with mailroom.store.begin() as session:
        correlation.remember(session, 1, [])
    assert mailroom.count(MailRef) == before


def test_an_operator_who_took_a_ticket_takes_part_in_it(mailroom: Mailroom) -> None:
    here = opened(mailroom)
    [ticket] = mailroom.tickets()
    mailroom.act("take", ticket.id)
    mailroom.act("take", ticket.id)
    with mailroom.store.read() as session:
        people = {
            (one.kind, one.address)
            for one in session.query(Participant).filter_by(conversation_id=here)
        }
    assert people == {(ParticipantKind.REQUESTER, GIULIA), (ParticipantKind.ASSIGNEE, ANNA)}
