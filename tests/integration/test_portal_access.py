"""Nobody sees what is another's: not by page, form, file, frame or socket; and it is a 404."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from core.conversations import File
from core.model import (
    Attachment,
    Conversation,
    Membership,
    MembershipRole,
    Message,
    Operator,
    Organisation,
    Participant,
    ParticipantKind,
)
from tests.integration.conftest import People
from tests.world import World

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
SECRET = "solo per noi: il fornitore ha torto"


@dataclass(frozen=True)
class Case:
    """Giulia's Ticket at Anna's desk, with a public file, an internal note and its file."""

    conversation: int
    ticket: int
    file: int
    internal_file: int
    message: int
    note: int


@pytest.fixture
def case(world: World) -> Case:
    """Make the Ticket."""
    file = File(name="schermata.png", content_type="image/png", data=PNG)
    received = world.mail(files=[file], html='<p>Ecco</p><img src="cid:1">')
    secret = File(name="interno.txt", content_type="text/plain", data=SECRET.encode())
    note = world.answers("anna", received.ticket_id, SECRET, internal=True, files=[secret])
    world.answers("anna", received.ticket_id, "Guardo subito.")
    with world.store.read() as session:
        files = {
            row.message_id: row.id for row in session.query(Attachment).order_by(Attachment.id)
        }
        first = session.query(Message).filter_by(seq=1).one().id
    return Case(
        received.conversation_id, received.ticket_id, files[first], files[note], first, note
    )


def addresses(case: Case) -> dict[str, str]:
    """Return every address under which something of the Ticket is read, by its name."""
    return {
        "request": f"/richieste/{case.conversation}",
        "request messages": f"/richieste/{case.conversation}/messaggi?after=0",
        "ticket": f"/console/ticket/{case.ticket}",
        "ticket messages": f"/console/ticket/{case.ticket}/messaggi?after=0",
        "file": f"/allegati/{case.file}",
        "internal file": f"/allegati/{case.internal_file}",
        "html": f"/messaggi/{case.message}/html",
    }


#: Who -> what of Giulia's Ticket they may open; all else is a 404, or a sign-in page.
MATRIX = {
    "giulia": {"request", "request messages", "file", "html"},
    "marco": set(),
    "anna": {"ticket", "ticket messages", "file", "internal file", "html"},
    "bruno": set(),
    "": set(),
}


@pytest.mark.parametrize("who", MATRIX)
def test_everybody_opens_only_what_is_theirs(people: People, case: Case, who: str) -> None:
    person = people(who)
    answers = {name: person.get(url).status_code for name, url in addresses(case).items()}
    assert {name for name, status in answers.items() if status == 200} == MATRIX[who]
    assert set(answers.values()) <= {200, 303, 404}
    if who in ("marco", "bruno"):
        own = "request" if who == "marco" else "ticket"
        assert answers[own] == 404


@pytest.mark.parametrize("who", ["marco", "bruno"])
def test_nobody_writes_where_they_may_not_read(
    people: People, world: World, case: Case, who: str
) -> None:
    person = people(who)
    page = "/account" if who == "marco" else "/console/account"
    before = world.texts(case.conversation)
    ticket = f"/console/ticket/{case.ticket}"
    posts = (
        [f"/richieste/{case.conversation}"]
        if who == "marco"
        else [f"{ticket}/{verb}" for verb in ("messaggi", "prendi", "risolvi", "chiudi", "riapri")]
    )
    for url in posts:
        assert person.write(url, "mio!", page=page, visibility="public").status_code == 404
        assert person.write(url, "mio!", page=page, script=False).status_code == 404
    assert world.texts(case.conversation) == before


def test_an_internal_note_reaches_no_requester(people: People, world: World, case: Case) -> None:
    giulia = people("giulia")
    for name, url in addresses(case).items():
        assert SECRET not in giulia.get(url).text, name
    with giulia.live() as live:
        live.hello([(case.conversation, 0)])
        world.answers("anna", case.ticket, SECRET + " ancora", internal=True)
        world.answers("anna", case.ticket, "Risolto?")
        frames = live.all(seconds=1)
    assert [frame["seq"] for frame in frames if frame["type"] == "message"] == [1, 3, 5]
    assert [frame["prev"] for frame in frames if frame["type"] == "message"] == [0, 1, 3]
    assert SECRET not in str(frames)


def test_an_internal_note_reaches_no_visitor(people: People, world: World) -> None:
    visitor = people("")
    first = visitor.write("/rtpec/chat", "Buongiorno").json()
    with visitor.live() as live:
        live.hello([(first["conversation"], 0)])
        live.next("message")
        world.answers("anna", 1, SECRET, internal=True)
        world.answers("anna", 1, "Eccomi")
        frames = live.all(seconds=1)
    assert [frame["seq"] for frame in frames if frame["type"] == "message"] == [3]
    seen = visitor.get("/rtpec/chat").text + visitor.get("/rtpec/chat/messaggi?after=0").text
    assert "Eccomi" in seen
    assert SECRET not in seen + str(frames)


@pytest.mark.parametrize("who", ["marco", "bruno", ""])
def test_the_socket_tells_nobody_what_is_anothers(people: People, case: Case, who: str) -> None:
    with people(who).live(console=who == "bruno") as live:
        live.hello([(case.conversation, 0)])
        frames = live.all(seconds=1)
    assert [frame["type"] for frame in frames if frame["type"] != "counts"] == ["bye"]


def test_a_console_socket_is_for_operators(people: People) -> None:
    with people("giulia").live(console=True) as live:
        assert live.next("bye")["reason"] == "signed-out"


def test_another_desks_operator_gets_no_rows(people: People, world: World) -> None:
    with people("bruno").live(console=True) as live:
        live.hello(view="")
        assert "row-link" not in live.next("queue")["html"]
        world.mail(desk="rtpec", subject="Non per Bruno")
        world.mail("marco", desk="condafne", subject="Per Bruno")
        frames = live.all(seconds=1)
    rows = [frame["html"] for frame in frames if frame["type"] == "row"]
    assert len(rows) == 1
    assert "Per Bruno" in rows[0]


def test_a_disabled_operator_is_out_at_the_next_event(people: People, world: World) -> None:
    received = world.mail()
    anna = people("anna")
    with anna.live(console=True) as live:
        live.hello([(received.conversation_id, 0)], view="")
        live.next("message")
        with world.store.begin() as session:
            session.get_one(Operator, world.people["anna"]).disabled_at = world.now
        world.writes("giulia", received.conversation_id, "dopo")
        assert live.next("bye")
    assert anna.get("/console").status_code == 303


def test_a_file_of_another_ticket_cannot_be_reused(
    people: People, world: World, case: Case
) -> None:
    other = world.mail("marco", "condafne")
    bruno = people("bruno")
    answer = bruno.write(
        f"/console/ticket/{other.ticket_id}/messaggi",
        "ecco",
        page=f"/console/ticket/{other.ticket_id}",
        reuse=str(case.file),
    )
    assert answer.status_code == 404
    assert world.texts(other.conversation_id) == ["Da stamattina non arriva niente."]


def test_a_file_of_an_internal_note_goes_into_no_answer(
    people: People, world: World, case: Case
) -> None:
    anna, here = people("anna"), f"/console/ticket/{case.ticket}"
    offered = re.findall(r'name="reuse" value="(\d+)"', anna.get(here).text)
    assert offered == [str(case.file)]
    before = world.texts(case.conversation)
    again: dict[str, Any] = {"page": here, "reuse": str(case.internal_file)}
    refused = anna.write(f"{here}/messaggi", "ecco", visibility="public", **again)
    assert refused.status_code == 404
    assert world.texts(case.conversation) == before
    noted = anna.write(f"{here}/messaggi", "ecco", visibility="internal", **again)
    assert noted.status_code == 201


def test_a_picture_is_shown_and_all_else_is_saved(people: People, case: Case) -> None:
    anna = people("anna")
    picture, text = anna.get(f"/allegati/{case.file}"), anna.get(f"/allegati/{case.internal_file}")
    assert picture.content == PNG
    assert picture.headers["content-disposition"].startswith("inline")
    assert text.headers["content-disposition"].startswith("attachment")
    for response in (picture, text):
        assert "sandbox" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


def test_a_false_picture_is_saved_too(people: People, world: World) -> None:
    html = File(name="foto.png", content_type="image/png", data=b"<script>alert(1)</script>")
    world.mail(files=[html])
    response = people("giulia").get("/allegati/1")
    assert response.headers["content-disposition"].startswith("attachment")


def test_the_html_of_a_mail_stands_in_a_sandbox(people: People, case: Case) -> None:
    policy = people("anna").get(f"/messaggi/{case.message}/html").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy


def test_who_follows_reads_and_may_write(people: People, world: World, case: Case) -> None:
    with world.store.begin() as session:
        session.add(
            Participant(
                conversation_id=case.conversation,
                kind=ParticipantKind.FOLLOWER,
                requester_id=world.people["marco"],
                address="",
            )
        )
    marco, here = people("marco"), f"/richieste/{case.conversation}"
    page = marco.get(here).text
    assert "Guardo subito." in page
    assert SECRET not in page
    assert "La casella PEC non riceve" in marco.get("/richieste").text
    assert marco.write(here, "lo vedo anch'io").status_code == 201


@pytest.mark.parametrize(("desk", "sees"), [("rtpec", True), ("condafne", False)])
def test_an_organisations_administrator_sees_its_tickets_where_the_desk_says_so(
    people: People, world: World, desk: str, *, sees: bool
) -> None:
    received = world.mail("giulia", desk, subject="Del Comune di Prato")
    with world.store.begin() as session:
        prato = session.query(Organisation).filter_by(name="Comune di Prato").one().id
        session.get_one(Conversation, received.conversation_id).organisation_id = prato
        session.add(
            Membership(
                requester_id=world.people["marco"],
                organisation_id=prato,
                role=MembershipRole.ORGANISATION_ADMIN,
            )
        )
    marco = people("marco")
    assert ("Del Comune di Prato" in marco.get("/richieste").text) is sees
    assert (marco.get(f"/richieste/{received.conversation_id}").status_code == 200) is sees


def test_who_is_only_in_copy_sees_nothing(people: People, world: World, case: Case) -> None:
    with world.store.begin() as session:
        session.add(
            Participant(
                conversation_id=case.conversation,
                kind=ParticipantKind.CC,
                requester_id=world.people["marco"],
                address="marco.neri@comune.siena.example",
            )
        )
    assert people("marco").get(f"/richieste/{case.conversation}").status_code == 404
