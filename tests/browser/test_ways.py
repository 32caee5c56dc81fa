"""Ways to use the pages that are easily forgotten: by keyboard alone, and without scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.post import letter, post
from tests.acceptance.product import Product
from tests.browser.driving import Watch
from tests.browser.tour import OPERATOR, PASSWORD, REQUESTER, Tour

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: More steps than any of our pages has places to stop at.
MANY = 80
RECORDED = """
    window.notified = [];
    window.Notification = class {
        static permission = "default";
        static requestPermission = async () => (Notification.permission = "granted");
        constructor(title, options) { window.notified.push(`${title}: ${options.body}`); }
    };
    if (localStorage.getItem("sportello.notify")) Notification.permission = "granted";
"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus, which must then be seen."""
    for _ in range(MANY):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            seen = target.evaluate(
                "element => { const style = getComputedStyle(element);"
                " return style.outlineStyle !== 'none' || style.boxShadow !== 'none'; }"
            )
            assert seen, "the focus cannot be seen"
            return
    raise AssertionError(f"{MANY} times Tab, and never on {target}")


def test_an_operator_works_by_keyboard_alone(tour: Tour, watch: Watch) -> None:
    subject = "Tastiera senza mouse"
    post(tour.product.smtp, letter("tasti@ente.example", subject, "Si può?"))
    with tour.context("anybody") as context:
        page = watch.over(context.new_page())
        page.goto(f"{tour.product.portal}/console")
        tab_to(page, page.get_by_label("E-mail"))
        page.keyboard.type(OPERATOR)
        tab_to(page, page.get_by_label("Password", exact=True))
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        row = page.locator(".row", has_text=subject).get_by_role("link")
        expect(row).to_be_visible()
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Vai al contenuto principale")
        expect(skip).to_be_focused()
        page.keyboard.press("Enter")
        tab_to(page, row)
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("button", name="Prendi in carico"))
        page.keyboard.press("Enter")
        expect(page.locator(".props")).to_contain_text("Anna Rossi")
        tab_to(page, page.get_by_role("radio", name="Risposta"))
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("radio", name="Nota interna")).to_be_checked()
        page.keyboard.press("ArrowLeft")
        tab_to(page, page.get_by_label("Testo", exact=True))
        page.keyboard.type("Sì, del tutto.")
        page.keyboard.press("Control+Enter")
        expect(page.locator(".msg-operator").last).to_contain_text("Sì, del tutto.")
        summary = page.locator("summary", has_text="Anna Rossi")
        tab_to(page, summary)
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Il mio account")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Il mio account")).to_be_hidden()
        expect(summary).to_be_focused()


def test_a_visitor_chats_by_keyboard_alone(tour: Tour, watch: Watch) -> None:
    with tour.context("anybody") as context:
        page = watch.over(context.new_page())
        page.goto(f"{tour.product.portal}/rtpec")
        tab_to(page, page.get_by_role("link", name="Apri la chat"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("log")).to_be_visible()
        tab_to(page, page.get_by_label("Messaggio", exact=True))
        page.keyboard.type("Prima riga,")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("seconda riga.")
        page.keyboard.press("Enter")
        message = page.locator(".msg-mine:not(.msg-pending) .msg-text")
        expect(message).to_have_text("Prima riga,\nseconda riga.", use_inner_text=True)
        expect(page.get_by_label("Messaggio", exact=True)).to_be_focused()


def test_a_requester_needs_no_script(tour: Tour, watch: Watch, tmp_path: Path) -> None:
    with tour.context("anybody", java_script_enabled=False) as context:
        page = watch.over(context.new_page())
        page.goto(f"{tour.product.portal}/richieste")
        page.get_by_label("E-mail").fill(REQUESTER)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.locator("main").get_by_role("button", name="Accedi").click()
        page.goto(f"{tour.product.portal}/richieste/{tour.known['conversation']}")
        _write(page, "La tua risposta", "Senza script.", "Invia", tmp_path)


def test_a_visitor_needs_no_script(tour: Tour, watch: Watch, tmp_path: Path) -> None:
    with tour.context("anybody", java_script_enabled=False) as context:
        page = watch.over(context.new_page())
        page.goto(f"{tour.product.portal}/rtpec/chat")
        _write(page, "Messaggio", "Chat senza script.", "Invia", tmp_path)
        page.get_by_label("Messaggio", exact=True).fill("E ancora.")
        page.get_by_role("button", name="Invia").click()
        expect(page.locator(".msg-mine")).to_have_count(2)
        page.reload()
        expect(page.locator(".msg-mine")).to_have_count(2)


def test_an_operator_needs_no_script(
    tour: Tour, demo: Product, watch: Watch, tmp_path: Path
) -> None:
    post(demo.smtp, letter("nudo@ente.example", "Operatore senza script", "Va?"))
    demo.wait_processed()
    with tour.context("anybody", java_script_enabled=False) as context:
        page = watch.over(context.new_page())
        page.goto(f"{demo.portal}/console")
        page.get_by_label("E-mail").fill(OPERATOR)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Accedi").click()
        page.locator(".row", has_text="Operatore senza script").get_by_role("link").click()
        page.get_by_role("button", name="Prendi in carico").click()
        expect(page.locator(".props")).to_contain_text("Anna Rossi")
        _write(page, "Testo", "Risposta per modulo.", re.compile("Invia risposta"), tmp_path)
        page.get_by_role("radio", name="Nota interna").check()
        page.get_by_label("Testo", exact=True).fill("Nota per modulo.")
        page.get_by_role("button", name="Salva nota interna").click()
        expect(page.locator(".msg-internal")).to_contain_text("Nota per modulo.")


def test_nobody_is_moved_who_asks_for_quiet(tour: Tour, watch: Watch) -> None:
    with tour.context("operator", reduced_motion="reduce") as context:
        page = watch.over(context.new_page())
        page.goto(f"{tour.product.portal}/console")
        expect(page.locator(".row").first).to_be_visible()
        post(tour.product.smtp, letter("quiete@ente.example", "Senza movimento", "Piano."))
        row = page.locator(".row", has_text="Senza movimento")
        expect(row).to_be_visible()
        expect(row.get_by_role("link")).to_have_css("animation-name", "none")


def _write(page: Page, field: str, text: str, button: str | re.Pattern[str], folder: Path) -> None:
    """Send a text with a file by an ordinary form."""
    file = folder / "prova.txt"
    file.write_text("Contenuto.", encoding="utf-8")
    page.get_by_label(field, exact=True).fill(text)
    page.get_by_label("Allega file").set_input_files(file)
    page.get_by_role("button", name=button).click()
    expect(page.locator(".msg-card", has_text=text)).to_have_count(1)
    expect(page.locator(".msg-card", has_text=text).get_by_role("link")).to_contain_text(
        "prova.txt"
    )


def test_a_new_message_is_notified_where_it_was_asked_for(tour: Tour, watch: Watch) -> None:
    with tour.context("operator", permissions=["notifications"]) as context:
        # Headless Chromium shows none; what the page asks for is kept instead.
        context.add_init_script(RECORDED)
        page = watch.over(context.new_page())
        page.goto(f"{tour.product.portal}/console/account")
        button = page.get_by_role("main").get_by_role("button", name="Attiva gli avvisi")
        button.click()
        expect(page.get_by_role("main").get_by_text("Avvisi del browser attivi")).to_be_visible()
        page.goto(f"{tour.product.portal}/console")
        expect(page.locator(".row").first).to_be_visible()
        page.evaluate("Object.defineProperty(document, 'hasFocus', {value: () => false})")
        post(tour.product.smtp, letter("avviso@ente.example", "Da avvisare", "Ehi."))
        expect(page).to_have_title(re.compile(r"^\(\d+\) "))
        page.wait_for_function("window.notified.some(one => one.includes('Da avvisare'))")
