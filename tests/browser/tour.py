"""Every page of the demonstration with something on it: where it is, who sees it, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, StorageState, ViewportSize, expect

from tests.acceptance.post import letter, post
from tests.acceptance.product import Product, until
from tests.browser.driving import CONTEXT, Watch, sign_in_operator, sign_in_requester

Who = Literal["anybody", "visitor", "requester", "operator"]

OPERATOR = "anna.rossi@sportello.example"
REQUESTER = "giulia.bianchi@comune.prato.example"
PASSWORD = "sportello-demo"

PHONE_SIZE: ViewportSize = {"width": 390, "height": 844}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": PHONE_SIZE, "has_touch": True, "is_mobile": True}
DARK = {**DESKTOP, "color_scheme": "dark"}
LOOKS: Mapping[str, Mapping[str, Any]] = {"desktop": DESKTOP, "phone": PHONE, "dark": DARK}

HTML = """<html><body><p>Buongiorno,</p><p>allego la <b>schermata</b> dell'errore e l'elenco:</p>
<ul><li>casella <i>protocollo@pec.comune.example</i></li><li>errore dalle 9:40</li></ul>
<table border="1"><tr><th>Ora</th><th>Errore</th></tr><tr><td>9:41</td><td>550</td></tr></table>
<p>Grazie</p></body></html>"""
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763"
    "f8ffff3f0005fe02fea735815e0000000049454e44ae426082"
)

_TICKET = (
    "SELECT t.id FROM ticket t JOIN conversation c ON c.id = t.conversation_id"
    " WHERE t.status IN ('open', 'taken') "
)
_OF_REQUESTER = (
    "SELECT c.id FROM conversation c JOIN ticket t ON t.conversation_id = c.id"
    " JOIN identity i ON i.requester_id = c.requester_id"
    " WHERE i.address = '{address}' AND t.status"
)


def _nothing(_: Page) -> None:
    return


@dataclass(frozen=True, slots=True)
class Place:
    """One page: its address (`{name}` is filled from what the tour knows), and what to do there."""

    name: str
    who: Who
    path: str
    act: Callable[[Page], None] = _nothing
    #: The page is a refusal, so the browser reports a failed request.
    refused: bool = False

    @property
    def looks(self) -> list[str]:
        """How it can be looked at: only the console has a dark side."""
        return ["desktop", "phone", "dark"] if self.who == "operator" else ["desktop", "phone"]


def _wrong_password(page: Page) -> None:
    page.get_by_label("E-mail").fill("nessuno@ente.example")
    page.get_by_label("Password", exact=True).fill("sbagliata")
    page.locator("main").get_by_role("button", name="Accedi").click()
    expect(page.get_by_role("alert")).to_contain_text("Accesso non riuscito")


def _wrong_new_password(page: Page) -> None:
    page.get_by_label("Password attuale").fill("sbagliata")
    page.get_by_label("Nuova password", exact=True).fill("una frase abbastanza lunga")
    page.get_by_label("Ripeti la nuova password").fill("un’altra frase, pure lunga")
    page.get_by_role("button", name="Cambia password").click()
    expect(page.get_by_role("alert")).to_contain_text("corregg")


def _open_menu(page: Page) -> None:
    page.locator("details.menu summary").first.click()


def _note(page: Page) -> None:
    page.get_by_role("radio", name="Nota interna").check()
    page.get_by_label("Testo", exact=True).fill("Ha già telefonato ieri.")


PLACES = (
    Place("home", "anybody", "/"),
    Place("desk", "anybody", "/rtpec"),
    Place("desk-with-table", "anybody", "/condafne"),
    Place("desk-orders", "anybody", "/aruba-firma"),
    Place("desk-returns", "anybody", "/infocamere-rma"),
    Place("sign-in", "anybody", "/accedi?sportello=kybernes"),
    Place("sign-in-wrong", "anybody", "/accedi", _wrong_password, refused=True),
    Place("chat-empty", "anybody", "/rtpec/chat"),
    Place("chat", "visitor", "/rtpec/chat"),
    Place("not-found", "anybody", "/nessuno", refused=True),
    Place("requests", "requester", "/richieste"),
    Place("requests-none", "requester", "/richieste?q=zzz"),
    Place("request", "requester", "/richieste/{conversation}"),
    Place("request-closed", "requester", "/richieste/{closed}"),
    Place("requester-menu", "requester", "/richieste", _open_menu),
    Place("requester-password", "requester", "/account"),
    Place("requester-password-wrong", "requester", "/account", _wrong_new_password, refused=True),
    Place("operator-sign-in", "anybody", "/console/accedi"),
    Place("queue", "operator", "/console"),
    Place("queue-none", "operator", "/console?q=zzz"),
    Place("ticket", "operator", "/console/ticket/{ticket}"),
    Place("ticket-note", "operator", "/console/ticket/{ticket}", _note),
    Place("ticket-html-mail", "operator", "/console/ticket/{html}"),
    Place("ledger", "operator", "/console/posta"),
    Place("ledger-all", "operator", "/console/posta?esito=tutte"),
    Place("mail-source", "operator", "/console/posta/{mail}"),
    Place("operator-account", "operator", "/console/account"),
    Place("operator-menu", "operator", "/console", _open_menu),
    Place("catcher", "operator", "/demo/posta"),
    Place("caught", "operator", "/demo/posta/{caught}"),
)


class Tour:
    """Knows the demonstration's addresses and keeps a signed-in state for each kind of reader."""

    def __init__(self, product: Product, browser: Browser) -> None:
        """Put something on each page and sign everybody in."""
        self.product = product
        self._browser = browser
        self._states: dict[Who, StorageState] = {}
        self._furnish()
        self.known = self._ids()

    def open(self, place: Place, look: str, watch: Watch, **more: Any) -> Page:
        """Open a page in a context of its own; closing the context is the caller's."""
        context = self.context(place.who, **LOOKS[look], **more)
        page = watch.over(context.new_page())
        watch.away = place.refused
        page.goto(self.product.portal + place.path.format(**self.known))
        place.act(page)
        page.wait_for_load_state("load")
        return page

    def context(self, who: Who, **more: Any) -> BrowserContext:
        """Return a context in which `who` is signed in."""
        return self._browser.new_context(
            **{**CONTEXT, "storage_state": self._states.get(who), **more}
        )

    def _furnish(self) -> None:
        self._states["operator"] = self._signed_in(sign_in_operator, OPERATOR)
        self._states["requester"] = self._signed_in(sign_in_requester, REQUESTER)
        self._states["visitor"] = self._chatted()
        mail = letter(
            "Ufficio Protocollo <protocollo@comune.siena.example>",
            "La PEC rifiuta ogni invio dalle 9:40, anche dopo il cambio della password di ieri",
            "Buongiorno,\nallego la schermata.",
            files=[("schermata errore invio.png", "image/png", PIXEL)],
        )
        mail.get_payload()[0].add_alternative(HTML, subtype="html")  # type: ignore[index, union-attr] # a multipart's parts
        post(self.product.smtp, mail)
        unknown = letter("ignoto@altrove.example", "Fattura", "Saldo?", to="hdintesa@advalia.com")
        post(self.product.smtp, unknown)
        until(lambda: self.product.dispositions().get("held"), "the stranger's mail held")
        self.product.wait_processed()

    def _signed_in(self, sign_in: Callable[..., None], email: str) -> StorageState:
        with self.context("anybody") as context:
            sign_in(context.new_page(), self.product, email, PASSWORD)
            return context.storage_state()

    def _chatted(self) -> StorageState:
        with self.context("anybody") as context:
            page = context.new_page()
            page.goto(f"{self.product.portal}/rtpec/chat")
            for text in (
                "Buongiorno, non riesco ad aprire la webmail.",
                "Compare la scritta «credenziali non valide», ma dal telefono entro.",
            ):
                page.get_by_label("Messaggio", exact=True).fill(text)
                page.get_by_label("Messaggio", exact=True).press("Enter")
                expect(page.locator(".msg:not(.msg-pending)", has_text=text)).to_be_visible()
            return context.storage_state()

    def _ids(self) -> dict[str, Any]:
        """Find Tickets worth looking at: a long one, an ended one, one with HTML."""
        mine = _OF_REQUESTER.format(address=REQUESTER)
        return {
            "conversation": self._one(f"{mine} IN ('open', 'taken') ORDER BY c.last_seq DESC"),
            "closed": self._one(f"{mine} IN ('closed', 'solved') ORDER BY c.last_seq DESC"),
            "ticket": self._one(_TICKET + "ORDER BY c.last_seq DESC"),
            "html": self._one(_TICKET + "AND c.subject LIKE 'La PEC rifiuta%'"),
            "mail": self._one("SELECT max(id) FROM raw_mail"),
            "caught": max((self.product.data / "catcher").glob("*.eml")).stem,
        }

    def _one(self, query: str) -> Any:
        return self.product.rows(query)[0][0]
