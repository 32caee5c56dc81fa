"""The mails that are measured: 4 KB, text and HTML, Italian; no two alike."""

from __future__ import annotations

import base64
import quopri
import random
from dataclasses import dataclass
from textwrap import fill

DESK = "rtpec"
INTAKE = "assistenza.rt@namirial.com"

_TEXT = (
    "buongiorno da questa mattina non riesco più ad accedere alla casella di posta certificata "
    "il sistema risponde con un errore dopo aver inserito la password e il codice ricevuto sul "
    "telefono abbiamo già provato con un altro computer e con un browser diverso ma il risultato "
    "è sempre lo stesso l'ufficio protocollo ha una scadenza e deve inviare tre comunicazioni "
    "entro oggi potete verificare se la casella è attiva oppure se serve una nuova procedura "
    "perché il collega che la usava è in pensione grazie per l'attenzione cordiali saluti"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail and its envelope."""

    sender: str
    raw: bytes
    """With CRLF, undotted; without a line that begins with a dot."""


def customer(number: int) -> str:
    """Return the address of a made-up customer."""
    return f"cliente{number}@ente{number % 977}.example"


def mail_id(kind: str, number: int) -> str:
    """Return the Message-ID of a preloaded Ticket's mail (`q`uestion, `a`nswer, `n`otice)."""
    return f"<{kind}{number}@bench.example>"


def letter(
    serial: str, sender: str, *, subject: str = "", answers: int | None = None, code: str = ""
) -> Letter:
    """Return a mail of 4 KB (multipart/alternative, quoted-printable).

    `serial` makes it unlike any other; `answers` is a preloaded Ticket whose answer it quotes in
    its thread headers; `code` goes behind the subject, as `[sup-7]`.
    """
    dice = random.Random(serial)
    text = fill(" ".join(dice.choice(_WORDS) for _ in range(215)), 74)
    subject = subject or "Accesso alla casella: " + " ".join(dice.choices(_WORDS, k=3))
    thread = ""
    if answers is not None:
        question, answer = mail_id("q", answers), mail_id("a", answers)
        subject = f"Re: {subject}"
        thread = f"In-Reply-To: {answer}\nReferences: {question}\n {answer}\n"
    head = (
        f"Received: from mail.ente.example by mx.bench.example; Mon, 02 Feb 2026 10:00:00 +0100\n"
        f"From: Maria Bianchi <{sender}>\nTo: Assistenza <{INTAKE}>\n"
        f"Subject: {_word(f'{subject} {code}'.strip())}\n"
        f"Date: Mon, 02 Feb 2026 10:00:00 +0100\nMessage-ID: <{serial}@bench.example>\n{thread}"
        "MIME-Version: 1.0\nUser-Agent: Mozilla Thunderbird\nContent-Language: it\n"
        'Content-Type: multipart/alternative; boundary="----=_bench_0001"\n'
    )
    paragraphs = "".join(f"<div>{line}<br></div>\n" for line in text.split("\n"))
    html = f"<html><head><meta charset='utf-8'></head><body>\n{paragraphs}</body></html>\n"
    whole = f"{head}\n{_part('plain', text)}{_part('html', html)}------=_bench_0001--\n"
    return Letter(sender=sender, raw=whole.encode("ascii").replace(b"\n", b"\r\n"))


def _part(kind: str, text: str) -> str:
    body = quopri.encodestring(text.encode("utf-8")).decode("ascii").replace("\n.", "\n=2E")
    return (
        f"------=_bench_0001\nContent-Type: text/{kind}; charset=utf-8\n"
        f"Content-Transfer-Encoding: quoted-printable\n\n{body}\n"
    )


def _word(text: str) -> str:
    if text.isascii():
        return text
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="
