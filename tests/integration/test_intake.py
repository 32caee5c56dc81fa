"""What becomes of a mail: each disposition, and what its sender hears."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from core import mailbox, operators, outbox, replay
from core.errors import NotAllowed, NotPossible
from core.model import (
    Attachment,
    Channel,
    Content,
    Disposition,
    EntryState,
    Fact,
    Identity,
    Operator,
    OutboxEntry,
    RawMail,
    Status,
)
from mail_ingest import intake
from tests.mailroom import (
    ANNA,
    BRUNO,
    CONDAFNE,
    GIULIA,
    KYBERNES,
    RTPEC,
    SARA,
    Mailroom,
    letter,
    recipients,
)


def test_a_mail_opens_a_ticket_and_is_acknowledged(mailroom: Mailroom) -> None:
    line = mailroom.arrive(mailroom.mail(text="Buongiorno.\n\nNon riceve.\n\n-- \nGiulia"))
    assert (line.disposition, line.reason) == (Disposition.ACCEPTED, "")
    assert (line.from_address, line.subject) == (GIULIA, "Accesso alla casella")
    [ticket] = mailroom.tickets()
    assert (ticket.number, ticket.status, ticket.contact_email) == (9631, Status.OPEN, GIULIA)
    assert ticket.conversation_id == line.conversation_id
    [message] = mailroom.messages(ticket.conversation_id)
    assert (message.seq, message.channel) == (1, Channel.EMAIL)
    assert message.body_text == "Buongiorno.\n\nNon riceve."
    assert message.full_text == "Buongiorno.\n\nNon riceve.\n\n-- \nGiulia"
    [confirmation] = mailroom.outgoing()
    assert (confirmation.recipient, confirmation.automatic) == (GIULIA, True)
    assert "[rtpec #9631]" in confirmation.subject
    assert confirmation.in_reply_to == line.message_id
    assert confirmation.references[-1] == line.message_id


def test_the_confirmation_repeats_nothing_that_the_sender_wrote(mailroom: Mailroom) -> None:
    # Else anybody could send their words to anybody through us (mail.md 2.6).
    spam = mailroom.mail(
        "Comprate oro <sara.verdi@altrove.example>", subject="ORO in offerta", text="ORO ORO"
    )
    mailroom.arrive(spam)
    [confirmation] = mailroom.outgoing()
    everything = f"{confirmation.subject} {confirmation.body_text} {confirmation.body_html}"
    assert confirmation.recipient == SARA
    assert "oro " not in everything.lower()


def test_the_name_of_the_requester_stays_what_it_was_first(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail("Somebody Else <giulia.bianchi@comune.prato.example>"))
    [ticket] = mailroom.tickets()
    [message] = mailroom.messages(ticket.conversation_id)
    assert message.author_name == "Giulia Bianchi"


def test_the_same_mail_again_only_counts_up(mailroom: Mailroom) -> None:
    raw = mailroom.mail()
    mailroom.arrive(raw)
    mailroom.arrive(b"Received: from mx2 by us; now\r\n" + raw)
    [line] = mailroom.ledger()
    assert line.repeats == 1
    assert len(mailroom.tickets()) == 1


def test_the_same_mail_by_another_way_is_a_double(mailroom: Mailroom) -> None:
    raw = mailroom.mail()
    mailroom.arrive(raw)
    line = mailroom.arrive(b"X-Other-Way: yes\r\n" + raw)
    assert line.disposition is Disposition.DUPLICATE
    assert mailroom.ledger()[0].disposition is Disposition.ACCEPTED
    assert len(mailroom.tickets()) == 1


def test_the_same_id_with_other_words_is_another_mail(mailroom: Mailroom) -> None:
    # A sender chooses the id, so it never is a reason to drop anything.
    mailroom.arrive(mailroom.mail(Message_ID="<1@x.example>"))
    line = mailroom.arrive(mailroom.mail(Message_ID="<1@x.example>", text="Altra cosa."))
    assert line.disposition is Disposition.ACCEPTED
    texts = [
        message.body_text
        for ticket in mailroom.tickets()
        for message in mailroom.messages(ticket.conversation_id)
    ]
    assert texts == ["Non riesco ad accedere alla casella.", "Altra cosa."]


def test_the_same_mail_to_two_desks_opens_a_ticket_at_each(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(to=f"{RTPEC}, {KYBERNES}"), RTPEC, KYBERNES)
    assert [line.disposition for line in mailroom.ledger()] == [Disposition.ACCEPTED] * 2
    assert sorted(ticket.number for ticket in mailroom.tickets()) == [1001, 9631]


def test_two_addresses_of_one_desk_are_one_mail(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(), RTPEC, "assistenza.rt+x@namirial.com")
    [line] = mailroom.ledger()
    assert line.recipient == "assistenza.rt+x@namirial.com"


def test_a_look_alike_without_an_id_is_held_and_can_be_admitted(mailroom: Mailroom) -> None:
    mailroom.arrive(letter(text="Grazie."))
    line = mailroom.arrive(letter(text="Grazie."))
    assert line.disposition is Disposition.HELD
    assert "uguale" in line.reason
    assert len(mailroom.tickets()) == 1
    mailroom.decide("admit", line.id)
    assert [one.disposition for one in mailroom.ledger()] == [Disposition.ACCEPTED] * 2
    assert len(mailroom.tickets()) == 2


def test_the_same_words_of_another_sender_are_no_look_alike(mailroom: Mailroom) -> None:
    mailroom.arrive(letter(text="Grazie."))
    assert mailroom.arrive(letter(SARA, text="Grazie.")).disposition is Disposition.ACCEPTED


def test_an_unregistered_sender_is_held_and_told_how_once_an_hour(mailroom: Mailroom) -> None:
    first = mailroom.arrive(mailroom.mail(SARA), CONDAFNE)
    assert first.disposition is Disposition.HELD
    assert SARA in first.reason
    mailroom.world.later(minutes=59)
    mailroom.arrive(mailroom.mail(SARA, text="Ancora io."), CONDAFNE)
    [told] = mailroom.outgoing()
    assert (told.recipient, told.event, told.automatic) == (SARA, "registration", True)
    assert told.in_reply_to == first.message_id
    mailroom.world.later(minutes=2)
    mailroom.arrive(mailroom.mail(SARA, text="E ancora."), CONDAFNE)
    assert recipients(mailroom.outgoing()) == [SARA, SARA]
    assert mailroom.tickets() == []
    mailroom.decide("admit", first.id, BRUNO)
    [ticket] = mailroom.tickets()
    assert (ticket.number, ticket.contact_email) == (1001, SARA)
    # Admitted once is not registered: the next one waits again.
    assert mailroom.arrive(mailroom.mail(SARA, text="Di nuovo."), CONDAFNE).disposition is (
        Disposition.HELD
    )


def test_a_registered_sender_is_admitted(mailroom: Mailroom) -> None:
    assert mailroom.arrive(mailroom.mail(), CONDAFNE).disposition is Disposition.ACCEPTED


def test_registered_means_this_very_address(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(SARA), RTPEC)
    with mailroom.store.read() as session:
        known = session.scalars(select(Identity.address).where(Identity.address == SARA)).all()
    assert known == [SARA]
    assert mailroom.arrive(mailroom.mail(SARA), CONDAFNE).disposition is Disposition.HELD


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"List_Id": "<news.altrove.example>"},
        {"X_Auto_Response_Suppress": "All"},
    ],
)
def test_an_unregistered_machine_is_told_nothing(
    mailroom: Mailroom, headers: dict[str, str]
) -> None:
    line = mailroom.arrive(mailroom.mail(SARA, **headers), CONDAFNE)
    assert line.disposition in (Disposition.HELD, Disposition.IGNORED)
    assert mailroom.outgoing() == []


@pytest.mark.parametrize("headers", [{"Precedence": "list"}, {"List_Id": "<tecnici.example>"}])
def test_a_list_may_carry_a_person_but_gets_no_automatic_mail(
    mailroom: Mailroom, headers: dict[str, str]
) -> None:
    assert mailroom.arrive(mailroom.mail(**headers)).disposition is Disposition.ACCEPTED
    assert mailroom.outgoing() == []
    [held_back] = mailroom.outgoing(suppressed=True)
    assert "automatic mail" in held_back.reason
    [ticket] = mailroom.tickets()
    assert Fact.NOTICE_SUPPRESSED in {one.kind for one in mailroom.facts(ticket.conversation_id)}


@pytest.mark.parametrize(
    ("headers", "envelope_from"),
    [
        ({"Auto_Submitted": "auto-replied"}, GIULIA),
        ({"subject": "Risposta automatica: Accesso", "X_Autoreply": "yes"}, GIULIA),
        ({}, ""),
    ],
)
def test_automatic_mail_opens_nothing_and_gets_no_answer(
    mailroom: Mailroom, headers: dict[str, str], envelope_from: str
) -> None:
    line = mailroom.arrive(mailroom.mail(**headers), envelope_from=envelope_from)
    assert line.disposition is Disposition.IGNORED
    assert line.auto_reason
    assert mailroom.tickets() == []
    assert mailroom.outgoing() == mailroom.outgoing(suppressed=True) == []


@pytest.mark.parametrize(
    ("sender", "subject"),
    [
        (GIULIA, "Risposta automatica non funziona"),
        (GIULIA, "Fuori ufficio: come si imposta?"),
        ("postmaster@comune.prato.example", "Accesso"),
    ],
)
def test_what_only_sounds_automatic_is_a_ticket_that_nothing_answers(
    mailroom: Mailroom, sender: str, subject: str
) -> None:
    line = mailroom.arrive(mailroom.mail(sender, subject=subject))
    assert line.disposition is Disposition.ACCEPTED
    assert len(mailroom.tickets()) == 1
    assert mailroom.outgoing() == []


@pytest.mark.parametrize(
    "parts",
    [
        {"Auto_Submitted": "auto-replied"},
        {"sender": "Assistenza <assistenza@kybernes.example>"},
    ],
)
def test_an_ignored_mail_that_an_operator_admits_is_a_ticket(
    mailroom: Mailroom, parts: dict[str, str]
) -> None:
    line = mailroom.arrive(mailroom.mail(**parts))
    assert line.disposition is Disposition.IGNORED
    with mailroom.store.begin() as session:
        raw = session.get_one(RawMail, line.id)
        raw.disposition = Disposition.WAITING
        outbox.put(
            session, mailbox.PROCESS, {"raw": raw.id, "admitted": True}, now=mailroom.world.now
        )
    mailroom.process()
    assert mailroom.ledger()[-1].disposition is Disposition.ACCEPTED
    [ticket] = mailroom.tickets()
    assert ticket.contact_email in (GIULIA, None)
    assert mailroom.outgoing() == []


def test_out_of_office_on_a_ticket_is_a_line_of_its_timeline(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail())
    [ticket] = mailroom.tickets()
    [confirmation] = mailroom.outgoing()
    away = mailroom.reply(confirmation, Auto_Submitted="auto-replied")
    assert mailroom.arrive(away, confirmation.reply_to).disposition is Disposition.IGNORED
    assert len(mailroom.messages(ticket.conversation_id)) == 1
    last = mailroom.facts(ticket.conversation_id)[-1]
    assert (last.kind, last.to_value) == (Fact.MAIL_SETTLED, Disposition.IGNORED)


def test_a_mail_of_ours_that_comes_back_is_a_loop(mailroom: Mailroom) -> None:
    own = mailroom.mail("Assistenza <assistenza@kybernes.example>")
    assert mailroom.arrive(own).disposition is Disposition.IGNORED
    stamped = mailroom.mail(X_Sportello_Loop="0123456789abcdef")
    assert mailroom.arrive(stamped).disposition is Disposition.IGNORED
    assert mailroom.tickets() == []
    assert mailroom.outgoing() == []
    foreign = mailroom.mail(X_Sportello_Loop="x", text="Inoltro una vostra mail.")
    assert mailroom.arrive(foreign).disposition is Disposition.ACCEPTED


def test_a_mail_beyond_the_limits_is_set_aside_at_once(mailroom: Mailroom) -> None:
    nested = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2_000
    line = mailroom.arrive(b"From: giulia@x.example\r\nMIME-Version: 1.0\r\n" + nested + b"x")
    assert line.disposition is Disposition.GIVEN_UP
    assert "limiti" in line.reason
    assert [entry.state for entry in mailroom.outbox(mailbox.PROCESS)] == [EntryState.DONE]
    mailroom.decide("refuse", line.id)
    assert mailroom.ledger()[-1].disposition is Disposition.IGNORED


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n", b"\n\n", b"\0\xff\xfe", b"just words", b":\r\n:\r\n"]
)
def test_nothing_of_a_mail_is_still_a_ticket(mailroom: Mailroom, raw: bytes) -> None:
    line = mailroom.arrive(raw, envelope_from=GIULIA)
    assert line.disposition is Disposition.ACCEPTED
    [ticket] = mailroom.tickets()
    assert [message.seq for message in mailroom.messages(ticket.conversation_id)] == [1]


def test_a_mail_from_nobody_is_a_ticket_whose_answers_say_that_they_reach_nobody(
    mailroom: Mailroom,
) -> None:
    line = mailroom.arrive(letter(""), envelope_from="no address")
    assert line.disposition is Disposition.ACCEPTED
    [ticket] = mailroom.tickets()
    assert ticket.contact_email is None
    mailroom.act("answer", ticket.id)
    assert mailroom.outgoing() == []
    reasons = [one.reason for one in mailroom.facts(ticket.conversation_id)]
    assert "no mail address is known" in reasons


@pytest.mark.parametrize(
    "raw",
    [
        b"From: A\0nna <a\0b@x.example>\r\nSubject: zero\0zero\r\n\r\nte\0sto",
        (b'From: "\xe0\xe8\xff" <a@x.example>\r\nSubject: \xff\xfe\xe0\r\n'
        b"Message-ID: <\xff\xe0@x>\r\n\r\n\xff"),
        b"From: a@x.example\r\nMessage-ID: <" + "è".encode() * 600 + b"@x>\r\n\r\nx",
        b"From: a@x.example\r\nMessage-ID: <" + b"i" * 990 + b"@x.it>\r\n\r\nx",
        b"From: a@x.example\r\nReferences: " + b"<r@x.example> " * 4_000 + b"\r\n\r\nx",
        b"From: " + b"n" * 5_000 + b" <" + b"a" * 400 + b"@x.example>\r\n\r\nx",
        b"From: a@x.example\r\nReply-To: " + b"b" * 400 + b"@x.example\r\n\r\nx",
        b"From: a@x.example\r\nCc: " + b"c" * 400 + b"@x.example, c@x.example\r\n\r\nx",
        b"From: a@x.example\r\nSubject: " + b"s" * 50_000 + b"\r\n\r\nx",
        b"From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: image/"
        + b"p" * 900
        + b'; name="'
        + b"n" * 900
        + b'"\r\nContent-ID: <'
        + b"i" * 900
        + b">\r\n\r\nx",
    ],
    ids=["nul", "8-bit", "wide-id", "long-id", "references", "from", "reply-to", "cc", "subject",
         "attachment"],
)  # fmt: skip
def test_what_senders_write_too_long_or_too_strange_is_accepted(
    mailroom: Mailroom, raw: bytes
) -> None:
    line = mailroom.arrive(raw, envelope_from="e" * 500 + "@x.example")
    assert line.disposition is Disposition.ACCEPTED, line.reason
    [ticket] = mailroom.tickets()
    mailroom.act("answer", ticket.id)


def test_answers_go_where_the_sender_asks_unless_that_is_us(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(Reply_To="ufficio@comune.prato.example"))
    mailroom.arrive(mailroom.mail(Reply_To=RTPEC, text="Altra richiesta."))
    assert [ticket.contact_email for ticket in mailroom.tickets()] == [
        "ufficio@comune.prato.example",
        GIULIA,
    ]


@pytest.mark.parametrize(
    "asked", ["ufficio@", "@comune.prato.example", "\u00e8@x.example", "a@b@c"]
)
def test_answers_go_to_the_sender_where_none_can_go_where_they_ask(
    mailroom: Mailroom, asked: str
) -> None:
    mailroom.arrive(mailroom.mail(X_Ask="1").replace(b"X-Ask: 1", f"Reply-To: {asked}".encode()))
    [ticket] = mailroom.tickets()
    assert ticket.contact_email == GIULIA


def test_where_senders_are_registered_only_they_get_answers(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(Reply_To="evil@x.example"), CONDAFNE)
    assert [ticket.contact_email for ticket in mailroom.tickets()] == [GIULIA]
    assert "evil@x.example" not in recipients(mailroom.outgoing())


def test_people_in_copy_get_the_answers_but_no_automatic_mail(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail(to=f"{RTPEC}, capo@comune.prato.example", Cc=f"{GIULIA}, {SARA}"))
    assert recipients(mailroom.outgoing()) == [GIULIA]
    [ticket] = mailroom.tickets()
    mailroom.act("answer", ticket.id)
    answers = [one for one in mailroom.outgoing() if not one.automatic]
    assert sorted(recipients(answers)) == sorted([GIULIA, "capo@comune.prato.example", SARA])
    assert len({one.reply_to for one in answers}) == 3
    assert len({one.mail_id for one in answers}) == 3


def test_only_a_reply_token_brings_more_people_into_a_ticket(mailroom: Mailroom) -> None:
    # A From and a subject are easily forged; in copy is who gets every answer (adr/0009).
    mailroom.arrive(mailroom.mail())
    [confirmation] = mailroom.outgoing()
    [ticket] = mailroom.tickets()
    forged = mailroom.mail(subject=f"Re: {confirmation.subject}", Cc="evil@x.example", text="Ciao.")
    line = mailroom.arrive(forged)
    assert (line.disposition, line.conversation_id) == (
        Disposition.ACCEPTED,
        ticket.conversation_id,
    )
    cited = mailroom.reply(confirmation, to=RTPEC, Cc="evil@x.example", text="E io.")
    assert mailroom.arrive(cited).conversation_id == ticket.conversation_id
    mailroom.arrive(mailroom.reply(confirmation, Cc=SARA), confirmation.reply_to)
    mailroom.act("answer", ticket.id)
    answers = [one for one in mailroom.outgoing() if not one.automatic]
    assert sorted(recipients(answers)) == sorted([GIULIA, SARA])


def test_attachments_are_kept_once_each(mailroom: Mailroom) -> None:
    big = b"\x89PNG" + b"0123456789abcdef" * 8_192
    boundary = (
        b"\r\n--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    raw = b"From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    raw += b"\r\n--b\r\n\r\nEcco." + (boundary + big) * 2 + b"\r\n--b--\r\n"
    mailroom.arrive(raw)
    with mailroom.store.read() as session:
        hashes = session.scalars(select(Attachment.sha256)).all()
        [content] = session.scalars(select(Content).where(Content.sha256 == hashes[0])).all()
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
    assert (content.size, content.data) == (len(big), None)
    assert mailroom.store.ports.files.read(content.sha256) == big


def test_a_mail_that_fails_five_times_is_set_aside_and_can_be_tried_again(
    mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours, with \0 and \ud800 in its words")

    mailroom.spool(mailroom.mail())
    with monkeypatch.context() as patched:
        patched.setattr(intake, "new_part", broken)
        for _ in range(5):
            mailroom.process()
            assert mailroom.tickets() == []
            mailroom.world.later(hours=9)
    [line] = mailroom.ledger()
    assert line.disposition is Disposition.GIVEN_UP
    assert "a fault of ours" in line.reason
    [entry] = mailroom.outbox(mailbox.PROCESS)
    assert (entry.state, entry.attempts) == (EntryState.GIVEN_UP, 5)
    mailroom.decide("retry", line.id)
    assert mailroom.ledger()[0].disposition is Disposition.ACCEPTED
    assert len(mailroom.tickets()) == 1


def test_deciding_twice_is_harmless_and_a_settled_mail_stays_settled(mailroom: Mailroom) -> None:
    line = mailroom.arrive(mailroom.mail(SARA), CONDAFNE)
    with mailroom.store.begin() as session:
        raw = session.get_one(RawMail, line.id)
        operator = session.merge(_operator(mailroom, BRUNO))
        mailbox.admit(session, raw, operator, now=mailroom.world.now)
        mailbox.admit(session, raw, operator, now=mailroom.world.now)
    mailroom.process()
    assert len(mailroom.tickets()) == 1
    for verb in ("admit", "refuse", "retry"):
        with pytest.raises(NotPossible):
            mailroom.decide(verb, line.id, BRUNO)
    with pytest.raises(NotAllowed):
        mailroom.decide("admit", line.id, ANNA)


def test_a_double_that_is_admitted_stays_a_double(mailroom: Mailroom) -> None:
    raw = mailroom.mail(SARA)
    first = mailroom.arrive(raw, CONDAFNE)
    second = mailroom.arrive(b"X-Other-Way: yes\r\n" + raw, CONDAFNE)
    mailroom.decide("admit", first.id, BRUNO)
    mailroom.decide("admit", second.id, BRUNO)
    dispositions = [line.disposition for line in mailroom.ledger()]
    assert dispositions == [Disposition.ACCEPTED, Disposition.DUPLICATE]
    assert len(mailroom.tickets()) == 1


def test_two_workers_that_know_nothing_of_each_other_accept_a_double_once(
    mailroom: Mailroom,
) -> None:
    raw = mailroom.mail()
    mailroom.spool(raw)
    mailroom.spool(b"X-Other-Way: yes\r\n" + raw)
    thoughts = [intake.think(mailroom.store, {"raw": line.id}) for line in mailroom.ledger()]
    with mailroom.store.begin() as session:
        intake.record(session, thoughts[0], now=mailroom.world.now)
    # What the second one looked up before the first committed: nothing accepted so far.
    with pytest.raises(Exception, match=r"(?i)unique"), mailroom.store.begin() as session:
        session.execute(
            update(RawMail)
            .where(RawMail.id == mailroom.ledger()[1].id)
            .values(
                disposition=Disposition.ACCEPTED,
                message_id=mailroom.ledger()[0].message_id,
                body_hash=mailroom.ledger()[0].body_hash,
            )
        )


def test_a_mail_that_was_settled_meanwhile_is_left_alone(mailroom: Mailroom) -> None:
    mailroom.spool(mailroom.mail())
    [line] = mailroom.ledger()
    thought = intake.think(mailroom.store, {"raw": line.id})
    mailroom.process()
    with pytest.raises(Exception, match="meanwhile"), mailroom.store.begin() as session:
        intake.record(session, thought, now=mailroom.world.now)
    assert len(mailroom.tickets()) == 1
    again = intake.think(mailroom.store, {"raw": line.id})
    with mailroom.store.begin() as session:
        intake.record(session, again, now=mailroom.world.now)
    assert len(mailroom.tickets()) == 1


def test_a_line_that_is_gone_is_nothing_to_do(mailroom: Mailroom) -> None:
    assert intake.think(mailroom.store, {"raw": 4_711}) is None
    with mailroom.store.begin() as session:
        intake.record(session, None, now=mailroom.world.now)
    assert mailroom.ledger() == []


def test_replay_processes_again_what_became_no_message(mailroom: Mailroom) -> None:
    mailroom.arrive(mailroom.mail())
    held = mailroom.arrive(mailroom.mail(SARA), CONDAFNE)
    away = mailroom.arrive(mailroom.mail(Auto_Submitted="auto-replied", text="Assente."))
    with mailroom.store.begin() as session:
        session.execute(update(Identity).values(verified_at=mailroom.world.now))
        assert replay.mails(session, None, now=mailroom.world.now) == []
        everything = replay.Range(since=mailroom.world.now - timedelta(hours=1))
        assert replay.mails(session, everything, now=mailroom.world.now) == [held.id, away.id]
    mailroom.process()
    assert [line.disposition for line in mailroom.ledger()] == [
        Disposition.ACCEPTED,
        Disposition.HELD,
        Disposition.IGNORED,
    ]


def test_replay_gives_a_mail_that_was_given_up_its_own_entry_back(
    mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailroom.spool(mailroom.mail())
    with mailroom.store.begin() as session:
        session.execute(update(OutboxEntry).values(state=EntryState.GIVEN_UP, attempts=5))
        session.execute(update(RawMail).values(disposition=Disposition.GIVEN_UP))
    with mailroom.store.begin() as session:
        [line] = mailroom.ledger()
        assert replay.mails(
            session, replay.Range(first=line.id, last=line.id), now=mailroom.world.now
        )
    mailroom.process()
    assert [entry.state for entry in mailroom.outbox(mailbox.PROCESS)] == [EntryState.DONE]
    assert mailroom.ledger()[0].disposition is Disposition.ACCEPTED


def test_work_given_up_can_be_tried_again_as_a_whole_or_singly(mailroom: Mailroom) -> None:
    mailroom.spool(mailroom.mail())
    mailroom.spool(mailroom.mail(text="Altro."))
    with mailroom.store.begin() as session:
        session.execute(update(OutboxEntry).values(state=EntryState.GIVEN_UP, attempts=5))
        session.execute(update(RawMail).values(disposition=Disposition.GIVEN_UP))
    first, second = (entry.id for entry in mailroom.outbox())
    with mailroom.store.begin() as session:
        assert replay.given_up(session, [first], now=mailroom.world.now) == [first]
    mailroom.process()
    assert len(mailroom.tickets()) == 1
    with mailroom.store.begin() as session:
        assert replay.given_up(session, None, now=mailroom.world.now) == [second]
    mailroom.process()
    assert len(mailroom.tickets()) == 2


def _operator(mailroom: Mailroom, email: str) -> Operator:
    with mailroom.store.read() as session:
        found = operators.find(session, email)
        assert found is not None
        assert found.desks
        return found
