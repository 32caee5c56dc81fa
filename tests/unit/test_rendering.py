"""Notices: every template in both languages at every desk, and nothing of a sender's in theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from app.rendering import FOLDER, Notices, as_html
from config.desk_files import load_desks
from config.settings import EXAMPLE_DESKS
from core.desk_profile import DeskProfile
from core.errors import SetupError
from core.ports import Rendered

LANGUAGES = ("it", "en")
#: What the product may put in the outbox: those that desk files name and the one that core does.
TEMPLATES = (
    "internal_message_operators", "operator_message_requester", "parcel_sent_operators",
    "registration", "requester_message_operators", "sla_due_operators",
    "ticket_closed_operators", "ticket_closed_requester", "ticket_escalated_operators",
    "ticket_opened_operators", "ticket_opened_requester", "ticket_progress_operators",
    "ticket_solved_requester", "ticket_taken_operators", "ticket_taken_requester",
)  # fmt: skip
TO_REQUESTER = tuple(name for name in TEMPLATES if name.endswith("_requester"))
TO_OPERATORS = tuple(name for name in TEMPLATES if name.endswith("_operators"))
DESKS = load_desks(EXAMPLE_DESKS)
URL = "https://assistenza.example"
#: Characters of text under which a notice cannot have said anything.
SHORTEST = 60
#: One for all: it keeps what it compiled.
NOTICES = Notices()
#: Words of the sender: none of them may come back to them, or to whom they pretended to be.
SENDERS = ("Vinci un premio", "<b>clicca</b>", "premi.example", "Zelindo")


@dataclass(frozen=True)
class Letter:
    """A notice to render: which, in which language, at which desk."""

    template: str
    language: str
    desk: DeskProfile

    def render(self, **extra: Any) -> Rendered:
        return NOTICES(self.template, self.context() | extra, language=self.language)

    def context(self) -> dict[str, Any]:
        """The context that core.notifications gives."""
        if self.template == "registration":
            return {"desk": self.desk, "public_url": URL}
        return {
            "desk": self.desk,
            "number": self.desk.format_number(9630),
            "reference": self.desk.subject_reference(9630),
            "subject": "Vinci un premio <b>clicca</b> https://premi.example/x",
            "requester_name": "Zelindo",
            "public_url": URL,
            "conversation_id": 77,
            "ticket_id": 12,
            "headline": "",
            "reason": "",
        }


def _letters(templates: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(Letter(name, language, desk), id=f"{name}-{language}-{code}")
        for name in templates
        for language in LANGUAGES
        for code, desk in DESKS.items()
    ]


def test_both_languages_have_exactly_the_known_templates() -> None:
    for language in LANGUAGES:
        files = {path.stem for path in (FOLDER / language).glob("*.txt")}
        assert {name for name in files if not name.startswith("_")} == set(TEMPLATES)


def test_every_template_that_a_desk_names_is_there() -> None:
    NOTICES.check(DESKS.values())
    named = {rule.template for desk in DESKS.values() for rule in desk.notices if rule.enabled}
    assert named <= set(TEMPLATES)


@pytest.mark.parametrize("letter", _letters(TEMPLATES))
def test_a_notice_is_whole(letter: Letter) -> None:
    rendered = letter.render()
    assert rendered.subject
    assert "\n" not in rendered.subject
    assert len(rendered.text) > SHORTEST
    for piece in (rendered.subject, rendered.text):
        assert not re.search(r"\{[{%#]|[%#}]\}", piece)
        assert "None" not in piece
    assert "\n\n\n" not in rendered.text
    assert letter.desk.name in rendered.text
    assert "\n-- \n" in rendered.text


@pytest.mark.parametrize("letter", _letters(TO_REQUESTER + TO_OPERATORS))
def test_a_notice_carries_the_reference_and_the_number(letter: Letter) -> None:
    rendered = letter.render()
    assert rendered.subject.count(letter.desk.subject_reference(9630)) == 1
    assert letter.desk.format_number(9630) in rendered.text


@pytest.mark.parametrize("letter", _letters(TO_REQUESTER + TO_OPERATORS))
def test_a_rules_own_words_begin_the_subject(letter: Letter) -> None:
    rendered = letter.render(headline="conferma Apertura Ticket")
    reference = letter.desk.subject_reference(9630)
    assert rendered.subject.startswith(f"conferma Apertura Ticket {reference}")


@pytest.mark.parametrize("letter", _letters((*TO_REQUESTER, "registration")))
def test_a_requester_never_reads_what_the_sender_wrote(letter: Letter) -> None:
    rendered = letter.render()
    whole = f"{rendered.subject}\n{rendered.text}\n{rendered.html}"
    assert not [words for words in SENDERS if words in whole]


@pytest.mark.parametrize("letter", _letters(TO_REQUESTER))
def test_a_requester_learns_where_when_and_how(letter: Letter) -> None:
    text = letter.render().text
    assert f"{URL}/richieste/77" in text
    assert all(line in text for line in letter.desk.hours_text)
    assert all(contact.text in text for contact in letter.desk.contacts)
    assert {"it": "questa mail", "en": "reply to this mail"}[letter.language] in text


@pytest.mark.parametrize("letter", _letters(TO_OPERATORS))
def test_operators_read_whose_ticket_it_is(letter: Letter) -> None:
    rendered = letter.render(ticket_id=42)
    assert "Zelindo" in rendered.text
    assert "Vinci un premio" in rendered.text
    assert f"{URL}/console/ticket/42\n" in rendered.text


@pytest.mark.parametrize(
    "template",
    [
        "ticket_solved_requester",
        "ticket_progress_operators",
        "ticket_closed_operators",
        "ticket_escalated_operators",
        "sla_due_operators",
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reason_is_told(template: str, language: str) -> None:
    letter = Letter(template, language, DESKS["rtpec"])
    assert "Cache svuotata" in letter.render(reason="Cache svuotata").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_sender_reads_the_desks_instructions(language: str) -> None:
    desk = DESKS["condafne"]
    text = Letter("registration", language, desk).render().text
    assert all(paragraph in text for paragraph in desk.registration_instructions)


@pytest.mark.parametrize("letter", _letters(("ticket_opened_requester", "ticket_closed_requester")))
def test_what_a_formal_desk_sends_addresses_nobody_as_tu(letter: Letter) -> None:
    if letter.language == "it":
        assert not re.search(r"\b(tu|tua|tuo|tuoi|tue|puoi|hai|riceverai)\b", letter.render().text)


def test_the_html_form_escapes_what_people_wrote() -> None:
    html = Letter("ticket_opened_operators", "it", DESKS["rtpec"]).render().html
    assert html is not None
    assert "<b>" not in html
    assert "&lt;b&gt;clicca&lt;/b&gt;" in html


def test_the_html_form_knows_paragraphs_lines_and_links() -> None:
    html = as_html('Uno & "due"\nsu https://a.example/x.\n\nTre <script>\n')
    assert "<p>Uno &amp; &quot;due&quot;<br>\n" in html
    assert '<a href="https://a.example/x">https://a.example/x</a>.</p>' in html
    assert "<p>Tre &lt;script&gt;</p>" in html


def test_a_value_that_is_not_given_is_a_mistake_not_an_empty_place() -> None:
    with pytest.raises(UndefinedError):
        NOTICES("ticket_opened_requester", {"desk": DESKS["rtpec"]}, language="it")


def test_a_language_without_the_notice_falls_back_to_italian(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "saluto.txt").write_text("Oggetto {{ a }}\n\nTesto\n", encoding="utf-8")
    context: Mapping[str, Any] = {"a": "di  prova"}
    rendered = Notices(tmp_path)("saluto", context, language="en")
    assert (rendered.subject, rendered.text) == ("Oggetto di prova", "Testo\n")


def test_a_desk_that_names_a_missing_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="which is not in config/notices/it"):
        Notices(tmp_path).check(DESKS.values())
