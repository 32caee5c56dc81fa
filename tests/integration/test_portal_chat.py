"""The chat: first words open one Ticket, a reload loses nothing, a closed one can be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from starlette.requests import Request

from core.model import Conversation, Requester, Ticket
from portal import uploads
from portal.uploads import Form
from tests.integration.conftest import People
from tests.portal_kit import Browser, Server
from tests.world import World

CHAT = "/rtpec/chat"


def chats(world: World) -> list[int]:
    """Return the Conversations that visitors began."""
    with world.store.read() as session:
        rows = session.query(Conversation).filter(Conversation.visitor_key.is_not(None))
        return [row.id for row in rows.order_by(Conversation.id)]


def test_the_first_words_open_a_ticket(people: People, world: World) -> None:
    visitor = people("")
    body = visitor.write(
        CHAT,
        "La mia casella è piena.\nCome la amplio?",
        requester_name="Carla Verdi",
        requester_email="Carla@Comune.Example",
    ).json()
    assert body["seq"] == 1
    assert body["own"]
    with world.store.read() as session:
        ticket = session.query(Ticket).one()
        conversation = session.get_one(Conversation, ticket.conversation_id)
        assert conversation.subject == "La mia casella è piena. Come la amplio?"
        assert ticket.contact_email == "carla@comune.example"
        assert session.get_one(Requester, conversation.requester_id).name == "Carla Verdi"
    assert "La mia casella" in visitor.get(CHAT).text
    assert "La mia casella" not in people("").get(CHAT).text


def test_an_address_that_is_only_claimed_opens_nothing(people: People, world: World) -> None:
    people("").write(CHAT, "ciao", requester_email="giulia.bianchi@comune.prato.example")
    assert "ciao" not in people("giulia").get("/richieste").text
    with world.store.read() as session:
        assert session.query(Conversation).one().requester_id != world.people["giulia"]


def test_the_same_first_words_twice_are_one_ticket(people: People, world: World) -> None:
    visitor, same = people(""), str(uuid4())
    token = visitor.csrf(CHAT)
    data = {"csrf": token, "text": "una volta", "client_id": same}
    json = {"Accept": "application/json"}
    before = dict(visitor.client.cookies)
    first = visitor.client.post(CHAT, data=data, headers=json).json()
    # The answer was lost: the browser has no cookie of the chat, and sends the same again.
    again = Browser(visitor.address)
    again.client.cookies.update(before)
    second = again.client.post(CHAT, data=data, headers=json).json()
    assert first["conversation"] == second["conversation"]
    assert (first["seq"], second["seq"]) == (1, 1)
    assert world.texts(first["conversation"]) == ["una volta"]
    assert again.get(CHAT).text.count("una volta") == visitor.get(CHAT).text.count("una volta")
    again.close()


def test_the_same_first_words_at_once_are_one_ticket(people: People, world: World) -> None:
    visitor = people("")
    data = {"csrf": visitor.csrf(CHAT), "text": "insieme", "client_id": str(uuid4())}
    cookies = dict(visitor.client.cookies)

    def send(_: int) -> int:
        one = Browser(visitor.address)
        one.client.cookies.update(cookies)
        status = one.client.post(CHAT, data=data, headers={"Accept": "application/json"})
        one.close()
        return status.status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(send, range(6))) == {201}
    (conversation,) = chats(world)
    assert world.texts(conversation) == ["insieme"]


def test_later_words_are_taken_once_too(people: People, world: World) -> None:
    visitor = people("")
    first = visitor.write(CHAT, "uno").json()
    same = str(uuid4())
    answers = [visitor.write(CHAT, "due", client_id=same).json() for _ in range(3)]
    assert {answer["seq"] for answer in answers} == {2}
    assert world.texts(first["conversation"]) == ["uno", "due"]


def test_without_a_script_the_form_does_the_same(people: People, world: World) -> None:
    visitor = people("")
    response = visitor.write(CHAT, "senza script", script=False)
    assert (response.status_code, response.headers["location"]) == (303, CHAT)
    assert "senza script" in visitor.get(CHAT).text
    empty = visitor.write(CHAT, "  ", script=False)
    assert empty.status_code == 400
    assert "Il messaggio è vuoto" in empty.text


def test_a_closed_chat_is_read_and_a_new_one_begun(people: People, world: World) -> None:
    visitor = people("")
    first = visitor.write(CHAT, "vecchia").json()
    token = visitor.csrf(CHAT)
    world.closes("anna", 1)
    page = visitor.get(CHAT).text
    assert "vecchia" in page
    assert "data-composer" not in page
    assert "?nuova=1" in page
    data = {"csrf": token, "text": "ancora", "client_id": str(uuid4())}
    refused = visitor.client.post(CHAT, data=data, headers={"Accept": "application/json"})
    assert refused.status_code == 409
    assert "chiusa" in refused.json()["error"]
    second = visitor.write(f"{CHAT}?nuova=1", "nuova").json()
    assert second["conversation"] != first["conversation"]
    assert "vecchia" not in visitor.get(CHAT).text
    # The address of a new chat leads to the one that has begun, and its form goes on with it.
    assert visitor.get(f"{CHAT}?nuova=1").headers["location"] == CHAT
    third = visitor.write(f"{CHAT}?nuova=1", "e ancora", page=CHAT).json()
    assert third["conversation"] == second["conversation"]


def test_chats_of_two_desks_are_two(people: People) -> None:
    visitor = people("")
    one = visitor.write(CHAT, "qui").json()["conversation"]
    other = visitor.write("/condafne/chat", "là").json()["conversation"]
    assert one != other
    assert "là" not in visitor.get(CHAT).text


def test_one_address_cannot_begin_chats_without_end(people: People, world: World) -> None:
    statuses = []
    for _ in range(32):
        visitor = people("")
        statuses.append(visitor.write(CHAT, "spam").status_code)
    assert statuses.count(201) == 30
    assert statuses[-1] == 429
    assert len(chats(world)) == 30


def large() -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return a form's file of a megabyte."""
    return [("files", ("grande.bin", b"x" * 1_000_000, "application/octet-stream"))]


def test_a_large_form_of_a_stranger_is_not_read(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = uploads.read_form

    async def counted(request: Request, *, files: bool) -> Form:
        read.append(request.url.path)
        return await whole(request, files=files)

    monkeypatch.setattr("portal.edge.read_form", counted)
    stranger = people("")
    data = {"text": "ciao", "client_id": str(uuid4())}
    assert stranger.client.post(CHAT, data=data, files=large()).status_code == 400
    console = "/console/ticket/1/messaggi"
    assert stranger.client.post(console, data=data, files=large()).status_code == 401
    assert read == []
    assert stranger.write(CHAT, "ecco", files=large()).status_code == 201


def test_one_address_cannot_send_bytes_without_end(
    people: People, monkeypatch: pytest.MonkeyPatch, portal: Server
) -> None:
    monkeypatch.setattr(portal.hub.site.bytes_sent, "_limit", 2_500_000)
    visitor = people("")
    statuses = [visitor.write(CHAT, "ecco", files=large()).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]
    assert visitor.write(CHAT, "a parole sì").status_code == 201
    giulia = people("giulia")
    assert giulia.write(CHAT, "so chi sei", files=large()).status_code == 201


def test_one_chat_cannot_take_words_without_end(
    people: People, monkeypatch: pytest.MonkeyPatch, portal: Server
) -> None:
    monkeypatch.setattr(portal.hub.site.words_written, "_limit", 2)
    visitor = people("")
    statuses = [visitor.write(CHAT, f"{n}").status_code for n in range(4)]
    assert statuses == [201, 201, 201, 429]


def test_a_signed_in_requester_chats_as_themselves(people: People, world: World) -> None:
    giulia = people("giulia")
    body = giulia.write(CHAT, "sono io").json()
    with world.store.read() as session:
        found = session.get_one(Conversation, body["conversation"])
        assert found.requester_id == world.people["giulia"]
    assert "sono io" in giulia.get("/richieste").text
    giulia.post("/esci", page="/account")
    assert "sono io" not in giulia.get(CHAT).text


def test_a_chat_ends_with_the_login_in_which_it_began(people: People, world: World) -> None:
    giulia = people("giulia")
    file = [("files", ("contratto.txt", b"riservato", "text/plain"))]
    body = giulia.write(CHAT, "sono io", files=file).json()
    assert "sono io" in giulia.get(CHAT).text
    # The login ends by itself, and the browser, on a shared computer, keeps its other cookies.
    giulia.client.cookies.delete("sportello-requester")
    assert "sono io" not in giulia.get(CHAT).text
    assert giulia.get(f"{CHAT}/messaggi?after=0").status_code == 404
    assert giulia.get("/allegati/1").status_code == 404
    with giulia.live() as live:
        live.hello([(body["conversation"], 0)], token=body["token"])
        assert [frame["type"] for frame in live.all()] == ["bye"]
    other = giulia.write(CHAT, "e io sono un'altra").json()
    assert other["conversation"] != body["conversation"]
    assert world.texts(body["conversation"]) == ["sono io"]
    assert "un'altra" in giulia.get(CHAT).text.replace("&#39;", "'")
    giulia.sign_in("marco")
    assert giulia.get("/allegati/1").status_code == 404


def test_files_are_taken_within_the_desks_limits(people: People, world: World) -> None:
    visitor = people("")
    fine = visitor.write(
        CHAT, "ecco", files=[("files", ("../../etc/nota\u202etxt.exe", b"dati", "text/plain"))]
    )
    assert fine.status_code == 201
    assert "notatxt.exe" in fine.json()["html"]
    many = [("files", (f"{n}.txt", b"x", "text/plain")) for n in range(21)]
    refused = visitor.write(CHAT, "troppi", files=many)
    assert refused.status_code == 400
    assert "fino a 20 file" in refused.json()["error"]
    large = [("files", ("grande.bin", b"x" * 25_000_001, "application/octet-stream"))]
    refused = visitor.write(CHAT, "grande", files=large)
    assert refused.status_code == 413
    assert "25 MB" in refused.json()["error"]
    assert world.texts(fine.json()["conversation"]) == ["ecco"]


@pytest.mark.parametrize("url", ["/nessuno/chat", "/nessuno/chat/messaggi", "/rtpec/chat/messaggi"])
def test_a_chat_that_is_not_there_is_not_found(people: People, url: str) -> None:
    assert people("").get(url).status_code == 404
