"""Mail as a customer's program sends it: composed by the standard library, sent by smtplib."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid

DESK = "assistenza.rt@namirial.com"


def letter(
    sender: str,
    subject: str,
    text: str,
    *,
    to: str = DESK,
    headers: dict[str, str] | None = None,
    files: Sequence[tuple[str, str, bytes]] = (),
) -> EmailMessage:
    """Return a mail; `files` are (name, media type, bytes)."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">"))
    for name, value in (headers or {}).items():
        mail[name] = value
    mail.set_content(text)
    for name, media_type, data in files:
        kind, _, subtype = media_type.partition("/")
        mail.add_attachment(data, maintype=kind, subtype=subtype, filename=name)
    return mail


def post(address: tuple[str, int], mail: EmailMessage) -> None:
    """Hand a mail over; raises what smtplib raises where it is not taken."""
    with smtplib.SMTP(*address, timeout=60) as client:
        client.send_message(mail)


def post_raw(
    address: tuple[str, int], raw: bytes, *, sender: str, to: Sequence[str] = (DESK,)
) -> tuple[int, bytes]:
    """Hand bytes over as they are and return the answer to the mail."""
    with smtplib.SMTP(*address, timeout=120) as client:
        client.ehlo("customer.example")
        client.mail(sender)
        for recipient in to:
            client.rcpt(recipient)
        return client.data(raw)


def answer_to(mail: EmailMessage, sender: str, text: str) -> EmailMessage:
    """Return the answer that a mail program would write to `mail`: to its Reply-To, threaded."""
    subject = str(mail["Subject"])
    return letter(
        sender,
        subject if subject.lower().startswith("re:") else f"Re: {subject}",
        text + "\n\nIl giorno 22 novembre lo sportello ha scritto:\n> " + "vecchio testo\n",
        to=str(mail["Reply-To"] or mail["From"]),
        headers={
            "In-Reply-To": str(mail["Message-ID"]),
            "References": f"{mail['References'] or ''} {mail['Message-ID']}".strip(),
        },
    )
