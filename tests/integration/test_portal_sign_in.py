"""Signing in: forms that only our pages send, waits without lock-out, logins that end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from core import logins, passwords
from core.model import Identity, IdentityKind, LoginSession
from tests.integration.conftest import People
from tests.portal_kit import LOGINS, Browser, TestSettings, serving
from tests.world import PASSWORD, World

Wait = Callable[[timedelta], None]
NEW = "un'altra frase lunga"


@pytest.mark.parametrize("who", ["giulia", "anna"])
def test_a_form_without_the_pages_token_is_refused(people: People, who: str) -> None:
    person = people("")
    url, login = LOGINS[who]
    data = {"login": login, "password": PASSWORD}
    assert person.client.post(url, data=data).status_code == 400
    assert person.client.post(url, data=data | {"csrf": "x" * 64}).status_code == 400
    # The token of another browser is no better than none.
    other = people("").csrf(url)
    assert person.client.post(url, data=data | {"csrf": other}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Origin": "https://rtpec.example.evil.example"},
    ],
)
def test_a_form_from_another_site_is_refused(
    people: People, world: World, headers: dict[str, str]
) -> None:
    received = world.mail()
    giulia = people("giulia")
    url = f"/richieste/{received.conversation_id}"
    data = {"text": "x", "client_id": str(uuid4()), "csrf": giulia.csrf(url)}
    assert giulia.client.post(url, data=data, headers=headers).status_code == 400
    assert len(world.texts(received.conversation_id)) == 1


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://["])
def test_the_socket_is_refused_to_another_site(people: People, origin: str) -> None:
    from websockets.exceptions import InvalidStatus  # noqa: PLC0415 - only here
    from websockets.sync.client import connect  # noqa: PLC0415

    address = people("giulia").address
    with pytest.raises(InvalidStatus):
        connect(f"ws://{address}/live", additional_headers={"Origin": origin})


def test_our_own_origin_is_that_of_the_public_address_or_the_host(
    world: World, tmp_path: Path
) -> None:
    received = world.mail()
    url = f"/richieste/{received.conversation_id}"
    settings = TestSettings(tmp_path, public_url="http://aiuto.example/")
    with serving(world.store, settings) as server:
        giulia = Browser(server.address)
        giulia.sign_in("giulia")
        for origin, status in (
            (f"http://{server.address}", 303),
            ("http://aiuto.example", 303),
            ("https://aiuto.example", 400),
            ("http://aiuto.example:81", 400),
        ):
            data = {"text": "x", "client_id": str(uuid4()), "csrf": giulia.csrf(url)}
            answer = giulia.client.post(url, data=data, headers={"Origin": origin})
            assert answer.status_code == status, origin
        giulia.close()


def test_a_wrong_name_and_a_wrong_password_are_told_alike(people: People) -> None:
    texts = set()
    for login in ("giulia.bianchi@comune.prato.example", "nessuno@nessuno.example"):
        response = people("").post("/accedi", {"login": login, "password": "sbagliata"})
        assert response.status_code == 401
        texts.add(response.text.partition("Accesso non riuscito")[2].partition("</p>")[0])
    assert len(texts) == 1


def test_a_guesser_waits_longer_and_longer_but_nobody_is_locked_out(
    people: People, wait: Wait
) -> None:
    guesser = people("")
    login = LOGINS["giulia"][1]
    for _ in range(logins.FREE_PAIR):
        assert guesser.post("/accedi", {"login": login, "password": "no"}).status_code == 401
    refused = guesser.post("/accedi", {"login": login, "password": PASSWORD})
    assert refused.status_code == 429
    assert "fra 5 secondi" in refused.text
    wait(timedelta(seconds=6))
    assert guesser.post("/accedi", {"login": login, "password": "no"}).status_code == 401
    assert "fra 10 secondi" in guesser.post("/accedi", {"login": login, "password": "no"}).text
    wait(timedelta(seconds=11))
    assert guesser.post("/accedi", {"login": login, "password": PASSWORD}).status_code == 303


def test_the_right_password_ends_the_counting(people: People) -> None:
    person = people("")
    login = LOGINS["giulia"][1]
    for _ in range(3):
        for _ in range(logins.FREE_PAIR - 1):
            assert person.post("/accedi", {"login": login, "password": "no"}).status_code == 401
        assert person.sign_in("giulia").status_code == 303
        person.post("/esci", page="/account")


def test_each_sign_in_gets_a_new_token_and_ends_the_old_one(people: People, world: World) -> None:
    anna = people("anna")
    first = anna.client.cookies["sportello-operator"]
    anna.client.post("/console/esci", data={"csrf": anna.csrf("/console/account")})
    anna.sign_in("anna")
    second = anna.client.cookies["sportello-operator"]
    assert first != second
    with world.store.read() as session:
        kept = [row.token_hash for row in session.query(LoginSession)]
    assert len(kept) == 1
    assert second not in kept[0]
    anna.client.cookies.set("sportello-operator", first)
    old = people("")
    old.client.cookies.set("sportello-operator", first)
    assert old.get("/console").status_code == 303


@pytest.mark.parametrize(
    ("who", "page", "idle"),
    [("anna", "/console", timedelta(minutes=31)), ("giulia", "/richieste", timedelta(hours=13))],
)
def test_an_idle_login_ends(
    people: People, wait: Wait, who: str, page: str, idle: timedelta
) -> None:
    person = people(who)
    wait(idle / 2)
    assert person.get(page).status_code == 200
    wait(idle * 0.9)
    assert person.get(page).status_code == 200, "a page that was read is a sign of life"
    wait(idle)
    assert person.get(page).status_code == 303


def test_a_login_ends_at_last_however_busy(people: People, wait: Wait) -> None:
    anna = people("anna")
    for _ in range(27):
        wait(timedelta(minutes=28))
        if anna.get("/console").status_code == 303:
            break
    else:
        pytest.fail("12 hours have passed")


def test_requesters_and_operators_have_doors_of_their_own(people: People) -> None:
    wrong = people("")
    for url, login in ((LOGINS["anna"][0], LOGINS["giulia"][1]), ("/accedi", LOGINS["anna"][1])):
        assert wrong.post(url, {"login": login, "password": PASSWORD}).status_code == 401
    assert people("giulia").get("/console").status_code == 303
    assert people("anna").get("/richieste").status_code == 303


def test_a_requester_signs_in_by_any_identity(people: People, world: World) -> None:
    with world.store.begin() as session:
        for kind, address in ((IdentityKind.LOGIN, "hd1234"), (IdentityKind.PEC, "g@pec.example")):
            session.add(Identity(requester_id=world.people["giulia"], kind=kind, address=address))
    for name in ("HD1234", "g@pec.example", LOGINS["giulia"][1].upper()):
        response = people("").post("/accedi", {"login": name, "password": PASSWORD})
        assert response.status_code == 303, name


@pytest.mark.parametrize(("who", "page"), [("giulia", "/account"), ("anna", "/console/account")])
def test_another_password_ends_the_other_logins(people: People, who: str, page: str) -> None:
    here, elsewhere = people(who), people(who)
    fields = {"current": PASSWORD, "password": NEW, "repeat": NEW}
    assert here.post(page, fields).status_code == 303
    assert here.get(page).status_code == 200
    assert elsewhere.get(page).status_code == 303
    assert people("").sign_in(who, NEW).status_code == 303
    assert people("").sign_in(who).status_code == 401


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"current": "no", "password": NEW, "repeat": NEW}, "La password attuale non è giusta"),
        ({"current": PASSWORD, "password": "corta", "repeat": "corta"}, "almeno 12 caratteri"),
        ({"current": PASSWORD, "password": NEW, "repeat": "x" * 20}, "non sono uguali"),
    ],
)
def test_a_wrong_change_of_password_says_why(
    people: People, fields: dict[str, str], told: str
) -> None:
    anna = people("anna")
    response = anna.post("/console/account", fields)
    assert response.status_code == 400
    assert told in response.text
    assert people("").sign_in("anna").status_code == 303


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ("/richieste?q=1", "/richieste?q=1"),
        ("https://evil.example/", "/richieste"),
        ("//evil.example/", "/richieste"),
        ("/\\evil.example", "/richieste"),
        ("//[", "/richieste"),
        ("/x\r\nSet-Cookie: a=b", "/richieste"),
    ],
)
def test_signing_in_leads_to_our_own_pages_only(people: People, asked: str, gone: str) -> None:
    fields = {"login": LOGINS["giulia"][1], "password": PASSWORD, "next": asked}
    assert people("").post("/accedi", fields).headers["location"] == gone


def test_an_unknown_name_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    real = passwords._HASHER.verify  # noqa: SLF001 - to count what costs

    def counting(password: str, stored: str) -> bool:
        checked.append(stored)
        return real(password, stored)

    monkeypatch.setattr(passwords._HASHER, "verify", counting)  # noqa: SLF001
    assert not passwords.matches("the password of nobody", None)
    assert len(checked) == 1
    assert "m=19456,t=2,p=1" in checked[0]
