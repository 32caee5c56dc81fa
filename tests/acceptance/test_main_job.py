"""The main job, end to end, on both bindings: mail, console, chat and portal as people use them."""

from __future__ import annotations

import re
import smtplib
from email.policy import SMTP
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.post import DESK, answer_to, letter, post
from tests.acceptance.product import OPERATOR, PASSWORD, Product
from tests.acceptance.sink import Sink
from tests.browser.driving import (
    CONTEXT,
    Watch,
    not_reloaded,
    sign_in_operator,
    sign_in_requester,
    without_reload,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PDF = b"%PDF-1.4\n% not much of a document\n%%EOF\n"
REPLY_TO = re.compile(r"^assistenza\.rt\+[0-9a-z.]+@namirial\.com$")


@pytest.fixture
def console(page: Page, product: Product, watch: Watch) -> Page:
    """A signed-in Operator's page, on the queue."""
    sign_in_operator(watch.over(page), product, OPERATOR)
    return page


def test_a_mail_is_durable_before_250_numbered_and_acknowledged(
    product: Product, sink: Sink
) -> None:
    mail = letter("Ugo <ugo@ente.example>", "PEC piena", "La casella è piena.")
    with smtplib.SMTP(*product.smtp, timeout=60) as client:
        client.ehlo()
        client.mail("ugo@ente.example")
        client.rcpt(DESK)
        code, _ = client.data(mail.as_bytes(policy=SMTP))
        # At this very moment, before anything else is said:
        subject = "SELECT count(*) FROM raw_mail WHERE envelope_from = 'ugo@ente.example'"
        assert product.rows(subject) == [(1,)]
    assert code == 250
    acknowledgement = sink.wait("ugo@ente.example")[0]
    assert acknowledgement.sender == "", "an automatic mail has the null sender"
    head = acknowledgement.mail
    assert head["Auto-Submitted"] == "auto-replied"
    assert head["In-Reply-To"] == mail["Message-ID"]
    assert mail["Message-ID"] in head["References"]
    ticket = next(one for one in product.tickets("rtpec") if one["subject"] == "PEC piena")
    assert int(ticket["number"]) >= 9631, "the desk numbers on from its own last number"
    assert f"[rtpec #{ticket['number']}]" in head["Subject"]
    assert ticket["requester"] == "ugo@ente.example"
    assert (ticket["status"], ticket["channel"], ticket["messages"]) == ("open", "email", 1)
    assert ticket["severity"] is None
    sink.stays("ugo@ente.example", 1)


def test_an_operator_answers_a_mail_and_the_reply_comes_home(
    console: Page, product: Product, sink: Sink, tmp_path: Path
) -> None:
    customer = "bea@ente.example"
    without_reload(console)
    mail = letter(
        f"Bea Conti <{customer}>",
        "Firma non valida",
        "Il documento allegato non si apre.",
        files=[("contratto.pdf", "application/pdf", PDF)],
    )
    post(product.smtp, mail)
    row = console.locator(".row", has_text="Firma non valida")
    expect(row).to_be_visible()
    expect(row).to_have_class(re.compile("row-unread"))
    not_reloaded(console)

    row.get_by_role("link").click()
    console.get_by_role("button", name=re.compile("prendi|carico", re.IGNORECASE)).first.click()
    expect(console.locator(".props")).to_contain_text("Anna Rossi")
    _attachment_opens(console, "contratto.pdf", PDF)

    console.get_by_role("radio", name="Nota interna").check()
    console.get_by_label("Testo", exact=True).fill("Il cliente ha un contratto vecchio.")
    console.get_by_role("button", name="Salva nota interna").click()
    expect(console.locator(".msg-internal")).to_contain_text("contratto vecchio")

    own = tmp_path / "istruzioni.txt"
    own.write_bytes(b"Passo uno.")
    console.get_by_role("radio", name="Risposta").check()
    console.get_by_label("Testo", exact=True).fill("Ecco le istruzioni, e il tuo file.")
    console.get_by_label("Allega file").set_input_files(own)
    console.get_by_text("Dalla conversazione").click()
    console.get_by_label(re.compile("contratto.pdf")).check()
    console.get_by_role("button", name="Invia risposta").click()
    expect(console.locator(".msg-operator").last).to_contain_text("Ecco le istruzioni")

    answers = [one for one in sink.wait(customer, 2) if not one.mail["Auto-Submitted"]]
    assert len(answers) == 1
    answer = answers[0]
    assert answer.sender == DESK
    assert answer.mail["In-Reply-To"] == mail["Message-ID"]
    assert mail["Message-ID"] in answer.mail["References"]
    assert re.fullmatch(r"Re: Firma non valida \[rtpec #\d+\]", answer.mail["Subject"])
    assert REPLY_TO.match(answer.mail["Reply-To"].addresses[0].addr_spec)
    assert "Ecco le istruzioni" in answer.text
    assert "Anna Rossi\nAssistenza PEC Regione Toscana\nNUMERO VERDE: 800400701" in answer.text
    files = {part.get_filename(): part.get_content() for part in answer.mail.iter_attachments()}
    assert set(files) == {"istruzioni.txt", "contratto.pdf"}
    assert files["contratto.pdf"] == PDF
    assert all("contratto vecchio" not in one.text for one in sink.mails), "a note went out"

    # The Operator looks elsewhere when the customer's answer comes.
    without_reload(console)
    console.evaluate("Object.defineProperty(document, 'hasFocus', {value: () => false})")
    title = console.title()
    post(product.smtp, answer_to(answer.mail, f"Bea Conti <{customer}>", "Perfetto, funziona."))
    expect(console.locator(".msg-requester").last).to_contain_text("Perfetto, funziona.")
    expect(console).to_have_title(f"(1) {title}")
    new_part = console.locator(".msg-requester").last.locator(".msg-text").first
    expect(new_part).to_have_text("Perfetto, funziona.")
    not_reloaded(console)
    tickets = [one for one in product.tickets("rtpec") if one["requester"] == customer]
    assert [one["messages"] for one in tickets] == [4]


def test_two_operators_see_each_other_and_change_their_passwords(
    console: Page, product: Product, browser: Browser, watch: Watch
) -> None:
    product.add_operator("Luca Verdi", "luca@sportello.example")
    post(product.smtp, letter("eva@ente.example", "Certificato", "È scaduto?"))
    row = console.locator(".row", has_text="Certificato")
    with browser.new_context(**CONTEXT) as elsewhere:
        luca = watch.over(elsewhere.new_page())
        sign_in_operator(luca, product, "luca@sportello.example")
        luca.locator(".row", has_text="Certificato").get_by_role("link").click()
        take = re.compile("prendi|carico", re.IGNORECASE)
        luca.get_by_role("button", name=take).first.click()
        expect(row).to_contain_text("Luca Verdi")
        luca.goto(f"{product.portal}/console/account")
        luca.get_by_label("Password attuale").fill(PASSWORD)
        luca.get_by_label("Nuova password", exact=True).fill("un’altra frase segreta")
        luca.get_by_label("Ripeti la nuova password").fill("un’altra frase segreta")
        luca.get_by_role("button", name="Cambia password").click()
        expect(luca.get_by_text("La password è cambiata")).to_be_visible()
    with browser.new_context(**CONTEXT) as elsewhere:
        again = watch.over(elsewhere.new_page())
        sign_in_operator(again, product, "luca@sportello.example", "un’altra frase segreta")


def test_a_chat_survives_the_death_of_the_server(
    console: Page, product: Product, browser: Browser, watch: Watch
) -> None:
    with browser.new_context(**CONTEXT) as elsewhere:
        visitor = watch.over(elsewhere.new_page())
        visitor.goto(f"{product.portal}/rtpec/chat")
        _say(visitor, "Buongiorno, la PEC non parte.")
        without_reload(console)
        row = console.locator(".row", has_text="la PEC non parte")
        row.get_by_role("link").click()
        without_reload(console)
        without_reload(visitor)
        _answer(console, "Buongiorno, vedo subito.")
        expect(visitor.locator(".msg-operator").last).to_contain_text("vedo subito")
        _say(visitor, "Grazie!")
        expect(console.locator(".msg-requester").last).to_contain_text("Grazie!")

        watch.away = True
        product.kill()
        _say(visitor, "Ci sei ancora?", arrives=False)
        _answer(console, "Un momento.", arrives=False)
        product.start()
        said = ["la PEC non parte", "vedo subito", "Grazie!"]
        for page in (visitor, console):
            for text in (*said, "Ci sei ancora?", "Un momento."):
                expect(page.locator(".msg:not(.msg-pending)", has_text=text)).to_have_count(
                    1, timeout=45_000
                )
        not_reloaded(visitor)
        not_reloaded(console)
        watch.away = False
        _say(visitor, "Ora funziona.")
        expect(console.locator(".msg-requester").last).to_contain_text("Ora funziona.")
        for page in (visitor, console):
            before = _texts(page)
            page.reload()
            assert _texts(page) == before
            assert len(before) == len(set(before)) == 6 + _greetings(page)


def test_a_customer_reads_and_answers_in_the_portal(
    page: Page, product: Product, sink: Sink, browser: Browser, watch: Watch
) -> None:
    product.add_requester("Gino Neri", "gino@ente.example")
    pdf = ("modulo.pdf", "application/pdf", PDF)
    post(
        product.smtp,
        letter("gino@ente.example", "Non riesco a entrare", "La password è giusta.", files=[pdf]),
    )
    other = letter("altro@ente.example", "Riservato", "Segreto.", files=[pdf])
    post(product.smtp, other)
    sink.wait("altro@ente.example")
    sink.wait("gino@ente.example")

    sign_in_requester(watch.over(page), product, "gino@ente.example")
    expect(page.locator("main")).not_to_contain_text("Riservato")
    page.get_by_role("link", name="Non riesco a entrare").click()
    expect(page.locator(".msg").first).to_contain_text("La password è giusta.")
    _attachment_opens(page, "modulo.pdf", PDF)
    page.get_by_label("La tua risposta").fill("Ho provato anche da un altro computer.")
    page.get_by_role("button", name="Invia").click()
    expect(page.locator(".msg").last).to_contain_text("altro computer")
    own = page.url

    with browser.new_context(**CONTEXT) as elsewhere:
        console = watch.over(elsewhere.new_page())
        sign_in_operator(console, product, OPERATOR)
        console.locator(".row", has_text="Non riesco a entrare").get_by_role("link").click()
        expect(console.locator(".msg-requester").last).to_contain_text("altro computer")
        without_reload(page)
        _answer(console, "Abbiamo sbloccato la casella.")
        expect(page.locator(".msg").last).to_contain_text("Abbiamo sbloccato")
        not_reloaded(page)
        _answer(console, "Solo per noi.", note=True)
        console.goto(f"{product.portal}/console")
        console.locator(".row", has_text="Riservato").get_by_role("link").click()
        foreign_file = console.get_by_role("link", name="modulo.pdf").get_attribute("href")
    page.reload()
    expect(page.locator("main")).not_to_contain_text("Solo per noi.")
    foreign = product.rows("SELECT conversation.id FROM conversation WHERE subject = 'Riservato'")[
        0
    ][0]
    assert page.request.get(own).status == 200
    for path in (f"/richieste/{foreign}", f"/richieste/{foreign}/messaggi", foreign_file):
        assert page.request.get(f"{product.portal}{path}").status == 404, path
    assert page.request.get(f"{product.portal}/console").url.startswith(
        f"{product.portal}/console/accedi"
    )


def _attachment_opens(page: Page, name: str, data: bytes) -> None:
    link = page.get_by_role("link", name=name).first
    answer = page.request.get(
        page.url.split("/console")[0].split("/richieste")[0] + str(link.get_attribute("href"))
    )
    assert (answer.status, answer.body()) == (200, data)
    assert "sandbox" in answer.headers["content-security-policy"]


def _say(visitor: Page, text: str, *, arrives: bool = True) -> None:
    visitor.get_by_label("Messaggio", exact=True).fill(text)
    visitor.get_by_label("Messaggio", exact=True).press("Enter")
    state = ":not(.msg-pending)" if arrives else ".msg-pending"
    expect(visitor.locator(f".msg{state}", has_text=text)).to_be_visible()


def _answer(console: Page, text: str, *, note: bool = False, arrives: bool = True) -> None:
    console.get_by_role("radio", name="Nota interna" if note else "Risposta").check()
    console.get_by_label("Testo", exact=True).fill(text)
    console.get_by_label("Testo", exact=True).press("Control+Enter")
    state = ":not(.msg-pending)" if arrives else ".msg-pending"
    expect(console.locator(f".msg{state}", has_text=text)).to_be_visible()


def _texts(page: Page) -> list[str]:
    expect(page.locator(".msg").last).to_be_visible()
    return [text.strip() for text in page.locator(".msg .msg-text").all_inner_texts()]


def _greetings(page: Page) -> int:
    return page.locator(".msg-assistant").count()
