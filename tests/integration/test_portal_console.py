"""What Operators do by the console's forms: queue, verbs, answers, the mail ledger."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from core import mailbox
from core.conversations import File
from core.mailbox import Arrival, MailFacts
from core.model import (
    Attachment,
    Delivery,
    DeliveryState,
    DeskMembership,
    Disposition,
    EntryState,
    OperatorRole,
    OutboxEntry,
    RawMail,
    Status,
    Ticket,
    Visibility,
)
from core.model import Message as MessageRow
from tests.integration.conftest import People
from tests.world import World


def status(world: World, ticket_id: int) -> Status:
    """Return a Ticket's status."""
    with world.store.read() as session:
        return session.get_one(Ticket, ticket_id).status


def numbers(page: str) -> list[str]:
    """Return the numbers of the Tickets on a page of the queue, in order."""
    return re.findall(r'class="row-number">#(\d+)<', page)


def test_a_ticket_goes_its_way_by_buttons(people: People, world: World) -> None:
    received = world.mail()
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    for verb, fields, after in (
        ("prendi", {}, Status.TAKEN),
        ("risolvi", {"text": "  "}, Status.TAKEN),
        ("risolvi", {"text": "Riavviata la casella"}, Status.SOLVED),
        ("riapri", {}, Status.TAKEN),
        ("risolvi", {"text": "Ora sì"}, Status.SOLVED),
        ("chiudi", {}, Status.CLOSED),
        ("riapri", {}, Status.CLOSED),
    ):
        response = anna.post(f"{here}/{verb}", fields, page=here)
        assert response.headers["location"] == here
        assert status(world, received.ticket_id) is after
    assert "notice-warning" in anna.get(here).text
    assert "notice-warning" not in anna.get(here).text, "a line is said once"


def test_two_who_take_at_once_are_one_who_has_it(people: People, world: World) -> None:
    received = world.mail()
    with world.store.begin() as session:
        session.add(
            DeskMembership(
                operator_id=world.people["bruno"],
                desk_id=world.desk_ids["rtpec"],
                role=OperatorRole.OPERATORE,
            )
        )
    here = f"/console/ticket/{received.ticket_id}"
    both = [people("anna"), people("bruno")]
    tokens = [one.csrf(here) for one in both]

    def take(number: int) -> str:
        taken = both[number].client.post(f"{here}/prendi", data={"csrf": tokens[number]})
        assert taken.status_code == 303, taken.text
        return both[number].get(here).text

    with ThreadPoolExecutor(2) as pool:
        pages = list(pool.map(take, range(2)))
    assert sum("Il ticket è già in carico a" in page for page in pages) == 1


def test_an_answer_goes_out_and_a_note_stays(people: People, world: World) -> None:
    received = world.mail()
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    note = anna.write(f"{here}/messaggi", "tra noi", page=here, visibility="internal")
    assert "msg-internal" in note.json()["html"]
    answer = anna.write(f"{here}/messaggi", "Ecco fatto", page=here, visibility="public").json()
    assert (answer["seq"], answer["prev"], answer["own"]) == (3, 2, True)
    with world.store.read() as session:
        rows = session.query(Delivery).filter(Delivery.message_id.is_not(None)).all()
        assert [row.body_text.partition("\n")[0] for row in rows] == ["Ecco fatto"]
        assert session.get_one(MessageRow, rows[0].message_id).visibility is Visibility.PUBLIC
    assert status(world, received.ticket_id) is Status.TAKEN


def test_the_same_answer_twice_goes_out_once(people: People, world: World) -> None:
    received = world.mail()
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    same = str(uuid4())
    answers = [
        anna.write(f"{here}/messaggi", "una volta", page=here, client_id=same).json()
        for _ in range(3)
    ]
    assert {one["seq"] for one in answers} == {2}
    with world.store.read() as session:
        assert session.query(Delivery).filter(Delivery.message_id.is_not(None)).count() == 1


def test_an_answer_carries_new_files_and_those_of_the_conversation(
    people: People, world: World
) -> None:
    old = File(name="modulo.pdf", content_type="application/pdf", data=b"%PDF-1.4")
    received = world.mail(files=[old])
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    answer = anna.write(
        f"{here}/messaggi",
        "",
        page=here,
        reuse="1",
        files=[("files", ("nuovo.txt", b"nuovo", "text/plain"))],
    )
    assert answer.status_code == 201
    with world.store.read() as session:
        files = session.query(Attachment).filter(Attachment.message_id == 2).order_by("id")
        assert [(row.name, row.size) for row in files] == [("nuovo.txt", 5), ("modulo.pdf", 8)]
    assert anna.get("/allegati/3").content == b"%PDF-1.4"


def test_files_of_the_conversation_count_like_new_ones(people: People, world: World) -> None:
    def file(n: int, size: int) -> File:
        data = bytes([n]) * size
        return File(name=f"{n}.bin", content_type="application/octet-stream", data=data)

    small = world.mail(files=[file(n, 1) for n in range(21)])
    heavy = world.mail(files=[file(n, 20_000_000) for n in range(100, 103)])
    anna = people("anna")
    for received, ids, status in (
        (small, range(1, 22), 400),
        (small, range(1, 21), 201),
        (heavy, range(22, 25), 413),
        (heavy, range(22, 24), 201),
    ):
        here = f"/console/ticket/{received.ticket_id}"
        again = [str(one) for one in ids]
        answer = anna.write(f"{here}/messaggi", "ecco", page=here, reuse=again)
        assert answer.status_code == status, answer.text


def test_what_is_refused_is_not_lost(people: People, world: World) -> None:
    received = world.mail()
    world.closes("anna", received.ticket_id)
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    page = anna.write(f"{here}/messaggi", "troppo tardi", page=here, script=False)
    assert page.status_code == 409
    assert "troppo tardi</textarea>" in page.text
    assert "Il ticket è chiuso" in page.text
    noted = anna.write(f"{here}/messaggi", "resta agli atti", page=here, visibility="internal")
    assert noted.status_code == 201


def test_administrative_staff_reads_and_notes(people: People, world: World) -> None:
    received = world.mail()
    with world.store.begin() as session:
        key = (world.people["anna"], world.desk_ids["rtpec"])
        session.get_one(DeskMembership, key).role = OperatorRole.AMMINISTRATIVO
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    page = anna.get(here).text
    assert f"{here}/prendi" not in page
    refused = anna.write(f"{here}/messaggi", "no", page=here, visibility="public")
    assert refused.status_code == 403
    noted = anna.write(f"{here}/messaggi", "sì", page=here, visibility="internal")
    assert noted.status_code == 201


def test_the_queue_is_paged_both_ways_without_gaps(people: People, world: World) -> None:
    for n in range(120):
        world.mail(subject=f"Ticket {n}")
    anna = people("anna")
    for order, newest_first in (("", True), ("ordine=vecchie", False)):
        url, pages = f"/console?{order}", []
        while url:
            page = anna.get(url).text
            pages.append(numbers(page))
            found = re.search(r'href="([^"]+)" rel="next"', page)
            url = found[1].replace("&amp;", "&") if found else ""
        assert [len(one) for one in pages] == [50, 50, 20]
        seen = [int(one) for numbered in pages for one in numbered]
        assert seen == sorted(seen, reverse=newest_first)
        assert len(set(seen)) == 120
        back = re.search(r'href="([^"]+)" rel="prev"', page)
        assert back is not None
        assert numbers(anna.get(back[1].replace("&amp;", "&")).text) == pages[1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1]),
        ("vista=mie", [2]),
        ("vista=libere", [3, 1]),
        ("vista=da-leggere", [3, 1]),
        ("vista=chiuse", [4]),
        ("vista=tutte", [4, 3, 2, 1]),
        ("vista=sconosciuta", [3, 2, 1]),
        ("sportello=rtpec", [3, 2, 1]),
        ("sportello=condafne", []),
        ("q=casella", [3]),
        ("q=CASELLA", [3]),
        ("q=bianchi", [3, 2, 1]),
        ("q=comune.prato", [3, 2, 1]),
        ("q=9632", [2]),
        ("q=%239632", [2]),
        ("q=100%25", []),
        ("da=x", [3, 2, 1]),
        ("da=99999999999999999999999.1", [3, 2, 1]),
    ],
)
def test_a_list_shows_what_belongs_to_it(
    people: People, world: World, query: str, found: list[int]
) -> None:
    for subject in ("Primo", "Secondo", "La mia casella", "Chiuso"):
        world.mail(subject=subject)
    world.answers("anna", 2, "presa")
    world.closes("anna", 4)
    with world.store.begin() as session:
        for number in range(1, 5):
            at = world.now.replace(hour=12, minute=number)
            session.get_one(Ticket, number).updated_at = at
    page = people("anna").get(f"/console?{query}").text
    assert [int(number) - 9630 for number in numbers(page)] == found


RAW = b"From: x@y.example\r\nSubject: =?utf-8?q?Perch=C3=A9?=\r\n\r\n<b>ciao</b>\r\n"


def hold(world: World, desk: str, disposition: Disposition, raw: bytes = RAW) -> int:
    """Put a mail into the ledger as if it had come to that end."""
    arrival = Arrival(
        desk_id=world.desk_ids[desk],
        raw=raw,
        fingerprint=uuid4().hex * 2,
        recipient="hdintesa@advalia.com",
        envelope_from="x@y.example",
        source="smtp",
        received_at=world.later(),
    )
    with world.store.begin() as session:
        mailbox.spool(session, [arrival], now=world.now)
        line = session.query(RawMail).order_by(RawMail.id.desc()).first()
        assert line is not None
        facts = MailFacts(from_address="x@y.example", subject="Perché")
        mailbox.settle(
            session, line.id, disposition, reason="mittente ignoto", facts=facts, now=world.now
        )
        return line.id


@pytest.mark.parametrize("subject", [b"=?utf-8?B?a?=", b"=?x?q?a?=", b"=?utf-8?B?/w==?=", b"\xff"])
def test_a_broken_subject_is_shown_as_it_came(people: People, world: World, subject: bytes) -> None:
    raw = b"Subject: " + subject + b"\r\n\r\nciao\r\n"
    raw_id = hold(world, "condafne", Disposition.HELD, raw)
    shown = people("bruno").get(f"/console/posta/{raw_id}")
    assert shown.status_code == 200
    assert "ciao" in shown.text


def test_a_held_mail_is_read_and_admitted(people: People, world: World) -> None:
    raw_id = hold(world, "condafne", Disposition.HELD)
    bruno = people("bruno")
    page = bruno.get("/console/posta").text
    assert "mittente ignoto" in page
    assert f"/console/posta/{raw_id}/ammetti" in page
    assert 'data-count="posta">1<' in page
    shown = bruno.get(f"/console/posta/{raw_id}").text
    assert "Perché" in shown
    assert "&lt;b&gt;ciao" in shown
    source = bruno.get(f"/console/posta/{raw_id}/originale")
    assert source.headers["content-type"].startswith("text/plain")
    assert source.content.startswith(b"From: x@y.example\r\n")
    assert bruno.post(f"/console/posta/{raw_id}/ammetti", page="/console/posta").status_code == 303
    with world.store.read() as session:
        assert session.get_one(RawMail, raw_id).disposition is Disposition.WAITING
        payloads = [row.payload for row in session.query(OutboxEntry)]
    assert {"raw": raw_id, "admitted": True} in payloads
    bruno.post(f"/console/posta/{raw_id}/riprova", page="/console/posta")
    assert "mittente ignoto" not in bruno.get("/console/posta").text


def test_a_mail_set_aside_is_tried_again(people: People, world: World) -> None:
    raw_id = hold(world, "condafne", Disposition.GIVEN_UP)
    bruno = people("bruno")
    assert f"/console/posta/{raw_id}/riprova" in bruno.get("/console/posta").text
    bruno.post(f"/console/posta/{raw_id}/riprova", page="/console/posta")
    with world.store.read() as session:
        assert session.get_one(RawMail, raw_id).disposition is Disposition.WAITING


def test_a_mail_is_archived_and_found_among_the_ignored(people: People, world: World) -> None:
    raw_id = hold(world, "condafne", Disposition.HELD)
    bruno, here = people("bruno"), f"/console/posta/{raw_id}"
    assert f"{here}/archivia" in bruno.get("/console/posta").text
    bruno.post(f"{here}/archivia", page="/console/posta")
    with world.store.begin() as session:
        line = session.get_one(RawMail, raw_id)
        assert line.disposition is Disposition.IGNORED
        line.repeats = 2
    assert "Niente da decidere" in bruno.get("/console/posta").text
    empty = bruno.get("/console/posta?esito=respinte").text
    assert "Niente da decidere" not in empty
    assert "Nessuna mail" in empty
    ignored = bruno.get("/console/posta?esito=ignorate").text
    assert f"{here}/ammetti" in ignored
    assert f"{here}/archivia" not in ignored
    assert "arrivata altre 2 volte" in ignored
    assert people("anna").post(f"{here}/archivia", page="/console/posta").status_code == 404


def test_another_desks_mail_is_not_found(people: People, world: World) -> None:
    raw_id = hold(world, "condafne", Disposition.HELD)
    anna = people("anna")
    assert "mittente ignoto" not in anna.get("/console/posta?esito=tutte").text
    for url in (f"/console/posta/{raw_id}", f"/console/posta/{raw_id}/originale"):
        assert anna.get(url).status_code == 404
    for verb in ("riprova", "ammetti"):
        response = anna.post(f"/console/posta/{raw_id}/{verb}", page="/console/posta")
        assert response.status_code == 404


def test_an_answer_that_was_given_up_is_sent_again(people: People, world: World) -> None:
    received = world.mail()
    world.answers("anna", received.ticket_id, "ecco")
    with world.store.begin() as session:
        delivery = session.query(Delivery).filter(Delivery.message_id.is_not(None)).one()
        delivery.state, delivery.reason = DeliveryState.FAILED, "550 no"
        for entry in session.query(OutboxEntry):
            entry.state = EntryState.GIVEN_UP
        delivery_id = delivery.id
    anna, here = people("anna"), f"/console/ticket/{received.ticket_id}"
    again = f"{here}/invii/{delivery_id}/riprova"
    assert again in anna.get(here).text
    assert f"/console/posta/invii/{delivery_id}/riprova" in anna.get("/console/posta").text
    for _ in range(2):
        assert anna.post(again, page=here).status_code == 303
    with world.store.read() as session:
        assert session.get_one(Delivery, delivery_id).state is DeliveryState.WAITING
        states = [row.state for row in session.query(OutboxEntry) if row.topic == "mail.deliver"]
    assert states.count(EntryState.WAITING) == 1
    bruno = people("bruno")
    other = f"/console/posta/invii/{delivery_id}/riprova"
    assert bruno.post(other, page="/console/posta").status_code == 404
