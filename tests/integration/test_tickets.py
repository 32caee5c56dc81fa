"""The Ticket's machine (T1 to T10) and what people hear of it, desk by desk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core import conversations, notifications, reactions, tickets
from core.errors import CallerError, Conflict, NotAllowed, NotPossible, Permanent
from core.incoming import Incoming, Received
from core.model import (
    AuthorKind,
    Channel,
    Conversation,
    Delivery,
    Fact,
    Holder,
    Message,
    Operator,
    OperatorRole,
    ReadMark,
    Requester,
    Status,
    Ticket,
    Visibility,
)
from tests.mailroom import (
    ANNA,
    BRUNO,
    CONDAFNE,
    GIULIA,
    KYBERNES,
    RMA,
    RTPEC,
    Mailroom,
    recipients,
)
from tests.world import desks


@pytest.fixture
def ticket(mailroom: Mailroom) -> Ticket:
    """Let Giulia open a Ticket by mail at the desk of Anna."""
    mailroom.arrive(mailroom.mail())
    [opened] = mailroom.tickets()
    assert isinstance(opened, Ticket)
    return opened


def status(mailroom: Mailroom) -> Status:
    """Return the status of the oldest Ticket."""
    found: Status = mailroom.tickets()[0].status
    return found


def say(mailroom: Mailroom, ticket: Ticket, **changes: Any) -> Received:
    """Let Giulia write on a Ticket."""
    with mailroom.store.begin() as session:
        person = session.get_one(Requester, mailroom.world.people["giulia"])
        incoming = Incoming(
            **{
                "desk_id": ticket.desk_id,
                "desk": desks()["rtpec"],
                "channel": Channel.EMAIL,
                "requester_id": person.id,
                "requester_name": person.name,
                "address": GIULIA,
                "text": "Allora?",
                **changes,
            }
        )
        return tickets.receive(
            session, incoming, conversation_id=ticket.conversation_id, now=mailroom.world.now
        )


# --- T1 to T10 ---------------------------------------------------------------------------------


def test_a_life_of_a_ticket(mailroom: Mailroom, ticket: Ticket) -> None:
    mailroom.act("take", ticket.id)
    assert status(mailroom) is Status.TAKEN
    mailroom.act("answer", ticket.id)
    mailroom.act("solve", ticket.id)
    assert status(mailroom) is Status.SOLVED
    say(mailroom, ticket)
    assert status(mailroom) is Status.TAKEN
    mailroom.act("solve", ticket.id, solution=" Sbloccata. ")
    mailroom.act("reopen", ticket.id)
    assert status(mailroom) is Status.TAKEN
    mailroom.act("solve", ticket.id)
    mailroom.act("close", ticket.id)
    kinds = [one.kind for one in mailroom.facts(ticket.conversation_id)]
    assert kinds == [
        Fact.TICKET_OPENED,
        Fact.TICKET_TAKEN,
        Fact.OPERATOR_WROTE,
        Fact.TICKET_SOLVED,
        Fact.STATUS_CHANGED,
        Fact.REQUESTER_WROTE,
        Fact.TICKET_SOLVED,
        Fact.STATUS_CHANGED,
        Fact.TICKET_SOLVED,
        Fact.TICKET_CLOSED,
    ]
    moves = [(one.from_value, one.to_value) for one in mailroom.facts(ticket.conversation_id)]
    assert moves[1] == ("open", "taken")
    assert moves[-1] == ("solved", "closed")


@pytest.mark.parametrize("verb", ["take", "solve", "close", "reopen"])
def test_a_repeat_changes_nothing(mailroom: Mailroom, ticket: Ticket, verb: str) -> None:
    before = {"take": [], "solve": ["take"], "close": ["take", "solve"]}
    for one in before.get(verb, ["take", "solve"]):
        mailroom.act(one, ticket.id)
    mailroom.act(verb, ticket.id)
    facts, sent = mailroom.facts(ticket.conversation_id), mailroom.count(Delivery)
    mailroom.act(verb, ticket.id)
    assert len(mailroom.facts(ticket.conversation_id)) == len(facts)
    assert mailroom.count(Delivery) == sent


def test_two_operators_click_and_one_wins(mailroom: Mailroom, ticket: Ticket) -> None:
    other = mailroom.operator("Carla", "rtpec", OperatorRole.OPERATORE)
    together = threading.Barrier(2)

    def take(email: str) -> str:
        with mailroom.store.read() as session:
            # What the page showed each of them: nobody has it.
            assert session.get_one(Ticket, ticket.id).assignee is None
        together.wait(timeout=30)
        try:
            mailroom.act("take", ticket.id, email)
        except Conflict as fault:
            return str(fault)
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(take, [ANNA, other]))
    assert said[0] == ""
    assert "già in carico" in said[1]
    kinds = [one.kind for one in mailroom.facts(ticket.conversation_id)]
    assert kinds.count(Fact.TICKET_TAKEN) == 1


def test_the_loser_sees_who_has_it_though_they_had_looked_before(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    other = mailroom.operator("Carla", "rtpec", OperatorRole.OPERATORE)
    with mailroom.store.read() as session:
        stale = session.get_one(Ticket, ticket.id)
        operator = session.scalars(select(Operator).where(Operator.email == other)).one()
        assert operator.desks
        assert stale.assignee is None
        session.expunge_all()
    mailroom.act("take", ticket.id)
    with mailroom.store.begin() as session:
        session.add_all([stale, operator])
        with pytest.raises(Conflict, match="Anna Rossi"):
            tickets.take(session, stale, operator, now=mailroom.world.now)


def looked_at(mailroom: Mailroom, ticket: Ticket) -> Ticket:
    """Return a Ticket as somebody sees it now, apart from any session."""
    with mailroom.store.read() as session:
        seen = session.get_one(Ticket, ticket.id)
        session.expunge_all()
    return seen


def test_a_mail_finds_the_ticket_as_it_is_though_it_was_looked_at_before(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    stale = looked_at(mailroom, ticket)
    for verb in ("take", "solve", "close"):
        mailroom.act(verb, ticket.id)
    with mailroom.store.begin() as session:
        session.add(stale)
        incoming = Incoming(
            desk_id=ticket.desk_id,
            desk=desks()["rtpec"],
            channel=Channel.EMAIL,
            requester_id=mailroom.world.people["giulia"],
            requester_name="Giulia Bianchi",
            address=GIULIA,
            text="Allora?",
        )
        received = tickets.receive(
            session, incoming, conversation_id=ticket.conversation_id, now=mailroom.world.now
        )
    assert received.opened


def test_a_note_and_another_writer_do_not_wait_for_each_other(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    mailroom.world.later()
    with ThreadPoolExecutor(1) as pool:
        with mailroom.store.begin() as session:
            held = session.get_one(Ticket, ticket.id, with_for_update={"of": Ticket})
            noted = pool.submit(mailroom.act, "note", ticket.id)
            # Time enough to take what it takes first; the Conversation is ours next.
            threading.Event().wait(0.3)
            session.get_one(Conversation, held.conversation_id, with_for_update=True)
        assert noted.result(timeout=30) is not None


def test_the_first_answer_takes_the_ticket(mailroom: Mailroom, ticket: Ticket) -> None:
    mailroom.act("answer", ticket.id)
    [now] = mailroom.tickets()
    assert (now.status, now.assignee_id) == (Status.TAKEN, mailroom.world.people["anna"])
    with mailroom.store.read() as session:
        conversation = session.get_one(Conversation, ticket.conversation_id)
        mark = session.get_one(ReadMark, (ticket.conversation_id, f"operator:{now.assignee_id}"))
    assert (conversation.holder, conversation.last_seq, mark.last_seq) == (Holder.OPERATOR, 2, 2)


def test_an_answer_that_is_handed_in_twice_goes_out_once(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    assert mailroom.act("answer", ticket.id, external_id="browser-1") is not None
    assert mailroom.act("answer", ticket.id, external_id="browser-1") is None
    assert len([one for one in mailroom.outgoing() if not one.automatic]) == 1
    assert [one.seq for one in mailroom.messages(ticket.conversation_id)] == [1, 2]


def test_a_requester_s_message_handed_in_twice_is_one(mailroom: Mailroom, ticket: Ticket) -> None:
    first = say(mailroom, ticket, external_id="mail-7", mail_id="<7@x.example>")
    again = say(mailroom, ticket, external_id="mail-7", mail_id="<7@x.example>")
    assert (first.message_id is None, again.message_id) == (False, None)
    assert len(mailroom.messages(ticket.conversation_id)) == 2


@pytest.mark.parametrize(
    ("done", "verb"),
    [
        ([], "solve"),
        ([], "close"),
        (["take"], "close"),
        ([], "reopen"),
        (["take", "solve", "close"], "take"),
        (["take", "solve", "close"], "answer"),
        (["take", "solve", "close"], "solve"),
        (["take", "solve", "close"], "reopen"),
        (["take", "solve"], "take"),
    ],
)
def test_what_is_not_possible_is_refused(
    mailroom: Mailroom, ticket: Ticket, done: list[str], verb: str
) -> None:
    for one in done:
        mailroom.act(one, ticket.id)
    facts = len(mailroom.facts(ticket.conversation_id))
    with pytest.raises((NotPossible, Conflict)):
        mailroom.act(verb, ticket.id)
    assert len(mailroom.facts(ticket.conversation_id)) == facts


@pytest.mark.parametrize("verb", ["take", "answer", "note", "solve", "close", "reopen"])
def test_an_operator_of_another_desk_may_do_nothing(
    mailroom: Mailroom, ticket: Ticket, verb: str
) -> None:
    with pytest.raises(NotAllowed):
        mailroom.act(verb, ticket.id, BRUNO)


def test_administrative_staff_notes_and_does_no_more(mailroom: Mailroom, ticket: Ticket) -> None:
    desk = mailroom.operator("Carla", "rtpec", OperatorRole.AMMINISTRATIVO)
    mailroom.act("note", ticket.id, desk)
    for verb in ("take", "answer", "solve", "close", "reopen"):
        with pytest.raises(NotAllowed):
            mailroom.act(verb, ticket.id, desk)
    assert status(mailroom) is Status.OPEN


@pytest.mark.parametrize(
    ("verb", "words"),
    [("answer", {"text": " \n"}), ("note", {"text": ""}), ("solve", {"solution": " "})],
)
def test_saying_nothing_is_refused(
    mailroom: Mailroom, ticket: Ticket, verb: str, words: dict[str, str]
) -> None:
    mailroom.act("take", ticket.id)
    with pytest.raises(CallerError):
        mailroom.act(verb, ticket.id, **words)


@pytest.mark.parametrize("waits", [Status.PENDING_REQUESTER, Status.SOLVED])
def test_a_message_ends_the_wait_for_it(mailroom: Mailroom, ticket: Ticket, waits: Status) -> None:
    mailroom.act("take", ticket.id)
    with mailroom.store.begin() as session:
        session.get_one(Ticket, ticket.id).status = waits
    say(mailroom, ticket)
    assert status(mailroom) is Status.TAKEN


def test_a_message_does_not_end_the_wait_for_somebody_else(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    mailroom.act("take", ticket.id)
    with mailroom.store.begin() as session:
        session.get_one(Ticket, ticket.id).status = Status.PENDING_THIRD
    say(mailroom, ticket)
    assert status(mailroom) is Status.PENDING_THIRD


def test_a_closed_ticket_is_over_in_chat_and_goes_on_by_mail(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    for verb in ("take", "solve", "close"):
        mailroom.act(verb, ticket.id)
    with pytest.raises(NotPossible):
        say(mailroom, ticket, channel=Channel.WEB)
    following = say(mailroom, ticket, channel=Channel.PEC)
    assert following.opened
    assert mailroom.tickets()[-1].follow_up_of_id == ticket.id
    facts = mailroom.facts(following.conversation_id)
    assert facts[0].data == {"follow_up_of": 9631}


def test_only_a_desk_that_closes_directly_closes_what_is_not_solved(mailroom: Mailroom) -> None:
    carla = mailroom.operator("Carla", "kybernes", OperatorRole.TECNICO)
    mailroom.arrive(mailroom.mail(to=KYBERNES), KYBERNES)
    mailroom.act("close", mailroom.tickets()[0].id, carla)
    assert status(mailroom) is Status.CLOSED


def test_numbers_follow_each_other_at_each_desk(mailroom: Mailroom) -> None:
    def open_one(number: int) -> None:
        desk = ("rtpec", "kybernes")[number % 2]
        with mailroom.store.begin() as session:
            incoming = Incoming(
                desk_id=mailroom.world.desk_ids[desk],
                desk=desks()[desk],
                channel=Channel.PHONE,
                requester_id=mailroom.world.people["giulia"],
                requester_name="Giulia Bianchi",
                address=None,
                text=f"Numero {number}.",
            )
            tickets.receive(session, incoming, now=mailroom.world.now)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_one, range(40)))
    numbers = sorted((one.desk_id, one.number) for one in mailroom.tickets())
    ids = mailroom.world.desk_ids
    assert numbers == sorted(
        [(ids["kybernes"], 1001 + one) for one in range(20)]
        + [(ids["rtpec"], 9631 + one) for one in range(20)]
    )


# --- what goes out -----------------------------------------------------------------------------


def whole_life(mailroom: Mailroom, address: str, operator: str) -> None:
    """Let everything happen to a Ticket that can."""
    mailroom.arrive(mailroom.mail(to=address), address)
    [ticket] = mailroom.tickets()
    mailroom.act("take", ticket.id, operator)
    mailroom.act("note", ticket.id, operator)
    mailroom.act("answer", ticket.id, operator)
    answer = next(one for one in mailroom.outgoing() if not one.automatic)
    mailroom.arrive(mailroom.reply(answer), answer.reply_to)
    mailroom.act("solve", ticket.id, operator)
    mailroom.arrive(mailroom.reply(answer, text="Ancora no."), answer.reply_to)
    mailroom.act("solve", ticket.id, operator)
    mailroom.act("reopen", ticket.id, operator)
    mailroom.act("solve", ticket.id, operator)
    mailroom.act("close", ticket.id, operator)


@pytest.mark.parametrize(
    ("address", "desk", "automatic"),
    [
        (KYBERNES, "kybernes", ["ticket_opened", "ticket_closed"]),
        (CONDAFNE, "condafne", ["ticket_opened", "ticket_taken", "ticket_closed"]),
        (RTPEC, "rtpec", ["ticket_opened"]),
        (RMA, "infocamere-rma", ["ticket_opened"]),
    ],
)
def test_the_automatic_mails_of_a_whole_life(
    mailroom: Mailroom, address: str, desk: str, automatic: list[str]
) -> None:
    operator = mailroom.operator("Carla", desk, OperatorRole.TECNICO)
    whole_life(mailroom, address, operator)
    to_giulia = [one for one in mailroom.outgoing() if one.recipient == GIULIA]
    assert [one.event for one in to_giulia if one.automatic] == automatic
    assert [one.event for one in to_giulia if not one.automatic] == [None]
    assert mailroom.outgoing(suppressed=True) == []


def test_the_staff_of_kybernes_hears_of_everything(mailroom: Mailroom) -> None:
    carla = mailroom.operator("Carla", "kybernes", OperatorRole.TECNICO)
    dario = mailroom.operator("Dario", "kybernes", OperatorRole.AMMINISTRATIVO)
    whole_life(mailroom, KYBERNES, carla)
    told = [(one.event, one.recipient) for one in mailroom.outgoing() if one.recipient != GIULIA]
    assert told == [
        ("ticket_opened", carla),
        ("ticket_opened", dario),
        ("ticket_taken", carla),
        ("internal_message", carla),
        ("internal_message", dario),
        ("requester_message", carla),
        ("requester_message", carla),
        ("ticket_closed", carla),
        ("ticket_closed", dario),
    ]


def test_a_disabled_operator_is_told_nothing(mailroom: Mailroom) -> None:
    carla = mailroom.operator("Carla", "kybernes", OperatorRole.TECNICO)
    with mailroom.store.begin() as session:
        operator = session.scalars(select(Operator).where(Operator.email == carla)).one()
        operator.disabled_at = mailroom.world.now
    mailroom.arrive(mailroom.mail(to=KYBERNES), KYBERNES)
    assert recipients(mailroom.outgoing()) == [GIULIA]


def test_an_answer_carries_the_signature_and_goes_to_who_asked(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    mailroom.act("answer", ticket.id, text="Riprova ora.\n")
    answer = mailroom.outgoing()[-1]
    assert answer.body_text.startswith("Riprova ora.\n\n-- \nAnna Rossi")
    assert (answer.recipient, answer.automatic, answer.event) == (GIULIA, False, None)
    assert answer.reply_to.startswith("assistenza.rt+")


@pytest.mark.parametrize("channel", [Channel.WEB, Channel.TELEGRAM])
def test_an_answer_where_people_read_on_the_web_is_no_mail(
    mailroom: Mailroom, channel: Channel
) -> None:
    received = say_new(mailroom, channel)
    mailroom.act("answer", received.ticket_id)
    assert [one for one in mailroom.outgoing() if not one.automatic] == []


def say_new(mailroom: Mailroom, channel: Channel, **changes: Any) -> Received:
    """Let Giulia open a Ticket by any Channel."""
    with mailroom.store.begin() as session:
        incoming = Incoming(
            desk_id=mailroom.world.desk_ids["rtpec"],
            desk=desks()["rtpec"],
            channel=channel,
            requester_id=mailroom.world.people["giulia"],
            requester_name="Giulia Bianchi",
            address=GIULIA,
            text="Pronto?",
            **changes,
        )
        return tickets.receive(session, incoming, now=mailroom.world.now)


def test_one_address_gets_ten_automatic_mails_an_hour(mailroom: Mailroom) -> None:
    for _ in range(12):
        say_new(mailroom, Channel.PHONE)
    assert len(mailroom.outgoing()) == notifications.PER_ADDRESS_HOUR
    reasons = {one.reason for one in mailroom.outgoing(suppressed=True)}
    assert reasons == {"the address got 10 automatic mails within the hour"}
    assert len(mailroom.outbox(notifications.DELIVER)) == notifications.PER_ADDRESS_HOUR
    mailroom.world.later(minutes=61)
    say_new(mailroom, Channel.PHONE)
    assert len(mailroom.outgoing()) == notifications.PER_ADDRESS_HOUR + 1


def test_one_conversation_causes_five_automatic_mails_a_day(mailroom: Mailroom) -> None:
    received = say_new(mailroom, Channel.PHONE)
    with mailroom.store.begin() as session:
        case = tickets.case_of(session, session.get_one(Ticket, received.ticket_id))
        for _ in range(6):
            notifications.notify(session, "ticket_opened", case, now=mailroom.world.now)
    assert len(mailroom.outgoing()) == notifications.PER_CONVERSATION_DAY
    assert len(mailroom.outgoing(suppressed=True)) == 2
    mailroom.world.later(hours=25)
    with mailroom.store.begin() as session:
        notifications.notify(session, "ticket_opened", case, now=mailroom.world.now)
    assert len(mailroom.outgoing()) == notifications.PER_CONVERSATION_DAY + 1


def test_a_notice_to_an_address_of_ours_is_held_back(mailroom: Mailroom, ticket: Ticket) -> None:
    with mailroom.store.begin() as session:
        session.get_one(Ticket, ticket.id).contact_email = KYBERNES
    with mailroom.store.begin() as session:
        case = tickets.case_of(session, session.get_one(Ticket, ticket.id))
        notifications.notify(session, "ticket_opened", case, now=mailroom.world.now)
    [held_back] = mailroom.outgoing(suppressed=True)
    assert (held_back.recipient, held_back.reason) == (KYBERNES, "the address is one of ours")


def test_without_an_address_nobody_is_told(mailroom: Mailroom) -> None:
    with mailroom.store.begin() as session:
        incoming = Incoming(
            desk_id=mailroom.world.desk_ids["rtpec"],
            desk=desks()["rtpec"],
            channel=Channel.WEB,
            requester_id=mailroom.world.people["giulia"],
            requester_name="Giulia Bianchi",
            address=None,
            text="Pronto?",
        )
        tickets.receive(session, incoming, now=mailroom.world.now)
    assert mailroom.count(Delivery) == 0


def test_nobody_stands_above_the_only_level(mailroom: Mailroom, ticket: Ticket) -> None:
    sent = mailroom.count(Delivery)
    with mailroom.store.begin() as session:
        case = tickets.case_of(session, session.get_one(Ticket, ticket.id))
        notifications.notify(session, "ticket_escalated", case, now=mailroom.world.now)
    assert mailroom.count(Delivery) == sent


@pytest.mark.parametrize(
    ("subject", "answered"),
    [
        ("Aiuto", "Re: Aiuto [rtpec #9631]"),
        ("Re: Aiuto", "Re: Aiuto [rtpec #9631]"),
        ("R: Aiuto [rtpec #9631]", "R: Aiuto [rtpec #9631]"),
        ("  ", "Re: (senza oggetto) [rtpec #9631]"),
    ],
)
def test_subjects_of_answers(
    mailroom: Mailroom, ticket: Ticket, subject: str, answered: str
) -> None:
    with mailroom.store.begin() as session:
        session.get_one(Conversation, ticket.conversation_id).subject = subject
    mailroom.act("answer", ticket.id)
    assert mailroom.outgoing()[-1].subject == answered


# --- internal Messages never leave -------------------------------------------------------------


def test_an_internal_message_is_refused_at_the_last_fence(
    mailroom: Mailroom, ticket: Ticket
) -> None:
    with mailroom.store.begin() as session:
        row = session.get_one(Ticket, ticket.id)
        operator = session.scalars(select(Operator).where(Operator.email == ANNA)).one()
        said = reactions.Said(id=1, visibility=Visibility.INTERNAL, text="x", operator=operator)
        change = tickets._change(row, Fact.OPERATOR_WROTE, "operator:1", None)  # noqa: SLF001 - no verb does this
        happening = reactions.Happening(
            change=change, case=tickets.case_of(session, row), said=said
        )
        with pytest.raises(Permanent):
            reactions.happened(session, happening, now=mailroom.world.now)


VERBS: dict[str, Callable[[Mailroom, Ticket, str], object]] = {
    "note": lambda mailroom, ticket, text: mailroom.act("note", ticket.id, text=text),
    "answer": lambda mailroom, ticket, _: mailroom.act("answer", ticket.id),
    "take": lambda mailroom, ticket, _: mailroom.act("take", ticket.id),
    "solve": lambda mailroom, ticket, _: mailroom.act("solve", ticket.id),
    "reopen": lambda mailroom, ticket, _: mailroom.act("reopen", ticket.id),
    "close": lambda mailroom, ticket, _: mailroom.act("close", ticket.id),
    "say": lambda mailroom, ticket, _: say(mailroom, ticket),
}


@given(steps=st.lists(st.sampled_from([*VERBS, "note", "note"]), max_size=8))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_no_internal_word_leaves(mailroom: Mailroom, steps: list[str]) -> None:
    secret = "parola riservata"
    mailroom.world.later(days=2)
    mailroom.arrive(mailroom.mail(text=f"Richiesta {mailroom.count(Ticket)}."))
    ticket = mailroom.tickets()[-1]
    for step in steps:
        try:
            VERBS[step](mailroom, ticket, secret)
        except (NotPossible, Conflict):
            continue
    with mailroom.store.read() as session:
        internal = set(
            session.scalars(select(Message.id).where(Message.visibility == Visibility.INTERNAL))
        )
        deliveries = session.scalars(select(Delivery)).all()
    assert not internal & {one.message_id for one in deliveries}
    for one in deliveries:
        assert secret not in f"{one.subject}{one.body_text}{one.body_html}"


def test_messages_have_no_default_visibility(mailroom: Mailroom, ticket: Ticket) -> None:
    with pytest.raises(Exception, match=r"(?i)null"), mailroom.store.begin() as session:
        session.add(
            Message(
                conversation_id=ticket.conversation_id,
                seq=99,
                author_kind=AuthorKind.OPERATOR,
                author_name="Anna",
                channel=Channel.WEB,
                body_text="x",
                at=mailroom.world.now,
            )
        )


def test_reading_never_goes_backwards(mailroom: Mailroom, ticket: Ticket) -> None:
    def read(seq: int) -> int:
        with mailroom.store.begin() as session:
            person = session.get_one(Requester, mailroom.world.people["giulia"])
            conversations.mark_seen(
                session,
                ticket.conversation_id,
                person,
                seq=seq,
                now=mailroom.world.now + timedelta(seconds=seq),
            )
        with mailroom.store.read() as session:
            mark = session.get_one(ReadMark, (ticket.conversation_id, f"requester:{person.id}"))
            return mark.last_seq

    assert [read(seq) for seq in (1, 5, 3, 6)] == [1, 5, 5, 6]
