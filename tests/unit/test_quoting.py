"""The new part of a reply, by mailer and language, and what must not be cut (mail.md 5.9, 5.10)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_ingest.quoting import new_part

NEW = "Grazie, ora funziona.\n\nMario"

#: How Outlook quotes, in Italian, and the line that Gmail and Apple put over a quote.
BLOCK = "Da: A <a@x.it>\nInviato: lunedì 16 marzo 2026 10:12\nA: M\nOggetto: R: token\n\nProvi"
LINE = "Il giorno lun 16 mar 2026 alle ore 10:12 A <a@x.it> ha scritto:"
RULE = "________________________________\n"

QUOTES = {
    "gmail": f"{LINE}\n\n> Provi\n> ora",
    "gmail, wrapped": LINE.replace(" <", "\n<").replace(" scritto", "\nscritto") + "\n\n> Provi",
    "gmail, from html": f"{LINE}\n\nProvi ora",
    "gmail, english": "On Mon, Mar 16, 2026 at 10:12 AM A <a@x.it> wrote:\n\n> Provi",
    "thunderbird": "Il 16/03/2026 10:12, Assistenza ha scritto:\n> Provi\n>\n> ora",
    "apple": f"> {LINE}\n> \n> Provi ora",
    "apple, english": "On 16 Mar 2026, at 10:12, A <a@x.it> wrote:\n\nProvi",
    "yahoo": "Il lunedì 16 marzo 2026 alle ore 10:12:13 CET, A <a@x.it> ha scritto:\n\nProvi",
    "outlook": BLOCK,
    "outlook, bold": "*Da:* A\n*Inviato:* lunedì\n*A:* M\n*Cc:* x\n*Oggetto:* token\n\nProvi",
    "outlook, english": "From: A\nSent: Monday\nTo: M\nSubject: RE: token\n\nProvi",
    "outlook web": RULE + BLOCK,
    "outlook phone": f"Ottieni Outlook per iOS<https://aka.ms/o0ukef>\n{RULE}{BLOCK}",
    "iphone": f"Inviato da iPhone\n\n> {LINE}\n> \n> Provi",
    "outlook express": f"-----Messaggio originale-----\n{BLOCK}",
    "original message": "-----Original Message-----\nFrom: A\nSent: x\n\nProvi",
    "zimbra": f"----- Messaggio originale -----\n{BLOCK}",
    "german": "Am 16.03.2026 um 10:12 schrieb A <a@x.it>:\n> Provi",
    "french": "Le 16/03/2026 à 10:12, A a écrit :\n> Provi",
    "spanish": "El lun, 16 mar 2026 a las 10:12, A (<a@x.it>) escribió:\n\n> Provi",
    "name first": "A <a@x.it> ha scritto:\n> Provi",
    "bare": "> Provi\n> ora",
    "signature": "-- \nMario Rossi\nComune di Esempio",
    "signature and quote": f"-- \nMario\n\n{LINE}\n> Provi",
}


@pytest.mark.parametrize("form", QUOTES)
def test_cuts_the_quoted_tail(form: str) -> None:
    assert new_part(f"{NEW}\n\n{QUOTES[form]}\n") == NEW


@pytest.mark.parametrize("form", QUOTES)
def test_reads_crlf_as_well(form: str) -> None:
    assert new_part(f"{NEW}\n\n{QUOTES[form]}\n".replace("\n", "\r\n")) == NEW


KEPT = {
    "a sentence": "Il giorno 12 marzo il collega ha scritto:\nnon funziona niente.\nChe faccio?",
    "a sentence with its quote": "Il giorno 12 marzo ha scritto: riprovi domani.\nMa non va.",
    "on monday": "On Monday the token worked.\nNow it does not:\nsee below.",
    "interleaved": f"{LINE}\n> Ha riavviato?\n\nSì.\n\n> E il driver?\n\nAggiornato.",
    "interleaved, bare": "> Ha riavviato?\nSì.\n> E il driver?\nAggiornato.\n> Saluti",
    "forward": "Vi giro questa.\n\n---------- Forwarded message ---------\n"
    "Da: Ente <e@x.it>\nDate: lun 16 mar\nSubject: errore\nTo: M\n\nIl token non va",
    "forward, italian": f"Vedi sotto\n\n-----Messaggio inoltrato-----\n{BLOCK}",
    "bullets": "Ho fatto:\n-- riavvio\n-- driver\nNiente da fare.",
    "a list of labels": "Da: Roma\nA: Milano\nGrazie",
    "all quoted": "> solo\n> citazione",
    "only an outlook quote": "Da: A <a@x.it>\nInviato: lunedì\nA: M\nOggetto: x\n\nProvi",
    "only a signature": "-- \nMario",
    "greater than": "Il valore è\n> 5 e non va",
}


@pytest.mark.parametrize("case", KEPT)
def test_keeps_what_is_no_quoted_tail(case: str) -> None:
    if case == "greater than":
        assert new_part(KEPT[case]) in (KEPT[case], "Il valore è")
    else:
        assert new_part(KEPT[case]) == KEPT[case]


def test_takes_the_answer_below_the_quote() -> None:
    text = "Il 16/03/2026 10:12, A ha scritto:\n> Provi\n> ora\n\nFatto, funziona.\n-- \nMario"
    assert new_part(text) == "Fatto, funziona."


def test_nothing_of_nothing() -> None:
    assert new_part("") == ""
    assert new_part(" \n\n") == ""


_LINES = st.lists(
    st.sampled_from(
        [
            "> a",
            ">",
            "",
            " ",
            "testo",
            "-- ",
            "Il 16/03/2026 10:12, A ha scritto:",
            "On x wrote:",
            "Da: A",
            "Inviato: x",
            "A: b",
            "Oggetto: c",
            "-----Messaggio originale-----",
            "______________",
            "Inviato da iPhone",
            "---------- Forwarded message ---------",
        ]
    )
    | st.text(max_size=20),
    max_size=25,
)  # fmt: skip - one line a piece would hide the list


@settings(deadline=None, max_examples=500, derandomize=True)
@given(_LINES)
def test_never_empty_and_never_invented(lines: list[str]) -> None:
    text = "\n".join(lines)
    new = new_part(text)
    assert bool(new.strip()) == bool(text.strip())
    assert new.strip() in text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "line",
    ["Il ", "Il giorno a\n", "Da: x\n", "> ", "On a\n", "-", "_", "\n", "A:\n", "Il a ha scritto"],
)
def test_pathological_input_ends_soon(line: str) -> None:
    begun = time.process_time()
    new_part(line * (100_000 // len(line)))
    new_part((line.strip() + "\n") * 20_000)
    assert time.process_time() - begun < 1
