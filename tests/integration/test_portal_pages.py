"""The pages as such: headers, files, errors, what they cost the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from core.db import Store
from core.model import DeskMembership, OperatorRole, ReadMark, Ticket
from portal.headers import POLICY
from tests import world as the_world
from tests.integration.conftest import People
from tests.portal_kit import Browser, TestSettings, serving
from tests.world import World

PUBLIC = ["/", "/rtpec", "/condafne", "/rtpec/chat", "/accedi", "/console/accedi"]


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """Collect the statements that the store runs, transactions apart."""
    found: list[str] = []

    def note(*arguments: object) -> None:
        text = str(arguments[2])
        if not text.startswith(("BEGIN", "PRAGMA")):
            found.append(text)

    event.listen(store.engine, "before_cursor_execute", note)
    yield found
    event.remove(store.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("url", [*PUBLIC, "/healthz", "/nessuno", "/richieste"])
def test_every_answer_is_protected(people: People, url: str) -> None:
    headers = people("").get(url).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


def test_by_https_cookies_and_headers_say_so(world: World, tmp_path: Path) -> None:
    settings = TestSettings(tmp_path, secure=True, public_url="https://sportello.example")
    with serving(world.store, settings) as server:
        browser = Browser(server.address)
        response = browser.get("/accedi")
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        cookie = response.headers["set-cookie"]
        browser.close()
    assert cookie.startswith("__Host-sportello-stranger=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie


def test_health_needs_no_store(tmp_path: Path) -> None:
    store = the_world.open_store("postgresql+psycopg://nobody@127.0.0.1:1/none", tmp_path)
    with serving(store, TestSettings(tmp_path)) as server:
        browser = Browser(server.address)
        assert browser.get("/healthz").text == "ok"
        assert browser.get("/").status_code == 200
        browser.client.cookies.set("sportello-requester", "x")
        page = browser.get("/richieste")
        browser.close()
    assert page.status_code == 503
    assert page.headers["retry-after"] == "5"
    assert "momentaneamente non disponibile" in page.text
    store.close()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/nessuno", 404),
        ("/richieste/x", 303),
        ("/console/ticket/1/prendi", 405),
        ("/static/nessuno.js", 404),
        ("/demo/posta/..%2f..%2fpasswd", 404),
        ("/demo/posta/nessuna", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
    ],
)
def test_what_is_not_there_is_said_in_italian(people: People, url: str, status: int) -> None:
    response = people("").get(url)
    assert response.status_code == status
    if status in (404, 405):
        assert '<html lang="it">' in response.text


def test_numbers_that_no_row_has_are_not_found(people: People) -> None:
    anna = people("anna")
    for number in ("0", "-1", "x", "1.5", "9" * 18, "9" * 30, "%20", "\N{FULLWIDTH DIGIT ONE}"):
        assert anna.get(f"/console/ticket/{number}").status_code == 404, number
        assert anna.get(f"/allegati/{number}").status_code == 404, number


@pytest.mark.parametrize("digits", ["9" * 5_000, "9" * 30, "²"])
def test_numbers_beyond_all_bounds_are_no_fault_of_ours(
    people: People, world: World, digits: str
) -> None:
    received = world.mail()
    giulia, anna = people("giulia"), people("anna")
    polled = f"/richieste/{received.conversation_id}/messaggi?after=0&wait={digits}"
    assert giulia.get(polled).status_code == 200
    here = f"/console/ticket/{received.ticket_id}"
    assert anna.write(f"{here}/messaggi", "x", page=here, reuse=digits).status_code == 201
    assert people("").get("/accedi?next=//[").status_code == 200


def test_a_form_that_is_too_large_is_refused(people: People) -> None:
    visitor = people("")
    token = visitor.csrf("/accedi")
    large = {"csrf": token, "login": "x" * 600_000, "password": "x"}
    assert visitor.client.post("/accedi", data=large).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(60):
            yield b"x" * 100_000

    headers = {"content-type": "application/x-www-form-urlencoded"}
    chunked = visitor.client.post("/accedi", content=endless(), headers=headers)
    assert chunked.status_code == 413


def test_a_broken_form_is_a_bad_request(people: People) -> None:
    visitor = people("")
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = visitor.client.post("/rtpec/chat", content=b"nonsense", headers=headers)
    assert response.status_code == 400
    assert visitor.client.post("/accedi", files={"login": ("a", b"b")}).status_code == 400


def test_a_fault_of_ours_has_a_code_and_no_traceback(
    people: People, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal import queries  # noqa: PLC0415 - only here

    anna = people("anna")
    monkeypatch.setattr(queries, "counts", lambda *_: 1 // 0)
    response = anna.get("/console")
    assert response.status_code == 500
    assert "indica questo codice" in response.text
    assert "ZeroDivisionError" not in response.text
    script = anna.get("/console", headers={"Accept": "application/json"})
    assert script.json()["error"].startswith("Errore interno")


def test_the_queue_costs_few_statements_however_long(people: People, world: World) -> None:
    anna, costs = people("anna"), []
    for _ in range(2):
        for _ in range(30):
            world.mail()
        anna.get("/console")
        with statements(world.store) as found:
            anna.get("/console")
        costs.append(len(found))
    assert costs[0] == costs[1]
    assert costs[0] <= 7


def test_built_files_are_kept_for_ever(world: World, tmp_path: Path) -> None:
    built = tmp_path / "dist"
    built.mkdir()
    (built / "site.ABCD1234.css").write_text("body{}" * 100)
    (built / "site.ABCD1234.css.br").write_bytes(b"brotli")
    (built / "manifest.json").write_text('{"site.css": "site.ABCD1234.css"}')
    with serving(world.store, TestSettings(tmp_path), built=built) as server:
        browser, url = Browser(server.address), "/static/site.ABCD1234.css"
        assert f'href="{url}"' in browser.get("/").text
        file = browser.get(url, headers={"accept-encoding": "identity"})
        packed = browser.client.head(url, headers={"accept-encoding": "br"})
        browser.close()
    assert "immutable" in file.headers["cache-control"]
    assert file.headers["x-content-type-options"] == "nosniff"
    assert packed.headers["content-encoding"] == "br"


def test_the_catcher_shows_what_would_have_gone_out(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "catcher"
    folder.mkdir()
    mail = (
        "From: Assistenza <a@b.example>\nTo: giulia@c.example\nSubject: =?utf-8?q?Cos=C3=AC?=\n"
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
        "Content-Type: text/plain; charset=utf-8\n\nTesto della risposta\n--x\n"
        'Content-Type: text/html\nContent-Disposition: attachment; filename="p.html"\n\n<b>x</b>\n'
        "--x--\n"
    )
    (folder / "20261123T110000-1.eml").write_text(mail)
    (folder / "20261123T110001-2.eml").write_bytes(b"\xff\xfe broken")
    with serving(world.store, TestSettings(tmp_path)) as server:
        browser = Browser(server.address)
        page = browser.get("/demo/posta").text
        assert "Così" in page
        here = "/demo/posta/20261123T110000-1"
        assert "Testo della risposta" in browser.get(here).text
        assert browser.get("/demo/posta/20261123T110001-2").status_code == 200
        file = browser.get(f"{here}/file/0")
        assert file.headers["content-type"] == "application/octet-stream"
        assert file.headers["content-disposition"].startswith("attachment")
        assert browser.get(f"{here}/originale").text.startswith("From: Assistenza")
        assert browser.get(f"{here}/file/7").status_code == 404
        browser.close()
    with serving(world.store, TestSettings(tmp_path, demo=False)) as server:
        browser = Browser(server.address)
        assert browser.get("/demo/posta").status_code == 404
        browser.close()


def test_an_unread_answer_shows_in_the_list_and_is_read_by_opening(
    people: People, world: World
) -> None:
    received = world.mail(desk="infocamere-rma")
    with world.store.begin() as session:
        ticket = session.get_one(Ticket, received.ticket_id)
        session.add(
            DeskMembership(
                operator_id=world.people["anna"],
                desk_id=ticket.desk_id,
                role=OperatorRole.TECNICO,
            )
        )
    world.answers("anna", received.ticket_id, "una risposta")
    giulia = people("giulia")
    page = giulia.get("/richieste").text
    assert "un messaggio da leggere" in page
    assert "DA LEGGERE" in page
    giulia.get(f"/richieste/{received.conversation_id}")
    assert "DA LEGGERE" not in giulia.get("/richieste").text
    with world.store.read() as session:
        assert session.query(ReadMark).filter_by(reader="requester:1").one().last_seq == 2


def test_a_requester_answers_on_the_portal(people: People, world: World) -> None:
    received = world.mail()
    world.answers("anna", received.ticket_id, "Prova ora")
    giulia, here = people("giulia"), f"/richieste/{received.conversation_id}"
    assert giulia.write(here, "Va!", script=False).headers["location"] == here
    assert "Messaggio inviato" in giulia.get(here).text
    assert world.texts(received.conversation_id)[-1] == "Va!"
    world.closes("anna", received.ticket_id)
    page = giulia.get(here).text
    assert "data-composer" not in page
    late = giulia.write(here, "ancora", page="/account")
    assert late.status_code == 409


def test_the_list_is_filtered_and_searched(people: People, world: World) -> None:
    world.mail(subject="Prima richiesta")
    world.mail(subject="Seconda richiesta")
    world.closes("anna", 1)
    giulia = people("giulia")
    for query, found in (
        ("", {"Prima", "Seconda"}),
        ("stato=aperte", {"Seconda"}),
        ("stato=chiuse", {"Prima"}),
        ("q=seconda", {"Seconda"}),
        ("q=9631", {"Prima"}),
        ("q=nessuna", set()),
    ):
        page = giulia.get(f"/richieste?{query}").text
        assert {one for one in ("Prima", "Seconda") if f"{one} richiesta<" in page} == found, query
    assert "Non è stata trovata nessuna richiesta." in giulia.get("/richieste?q=nessuna").text


def test_markup_in_what_people_write_is_text(people: People, world: World) -> None:
    evil = "<script>alert(1)</script>"
    received = world.mail(subject=evil, text=evil)
    anna = people("anna")
    for url in ("/console", f"/console/ticket/{received.ticket_id}", "/console?q=<script>"):
        page = anna.get(url).text
        assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in anna.get("/console").text
