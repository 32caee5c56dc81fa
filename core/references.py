"""The names that lead a mail home: signed reply addresses, Message-IDs and subject references."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from email.utils import make_msgid

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Conversation, form of the token (so far one), signature.
_TOKEN = re.compile(r"([0-9a-z]{1,10})\.0\.([0-9a-v]{20})")
_SUBJECT = re.compile(r"\[([a-z0-9][a-z0-9-]{0,63}) #(\d{1,12})\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """A token that verified: it grants appending to the Conversation, never reading."""

    conversation_id: int
    for_recipient: bool
    """Whether the sender is the very recipient whom it was made for."""


def reply_address(
    keys: tuple[bytes, ...], *, intake: str, conversation_id: int, recipient: str
) -> str:
    """Return `local+token@domain`, bound to the Conversation and to the recipient.

    The plus tag keeps answers in the desk's own mailbox. Lower case throughout, because mail
    programs change case; the local part stays within RFC 5321's 64 characters for a desk
    address of up to 30.
    """
    local, _, domain = intake.partition("@")
    number = _base36(conversation_id)
    return f"{local}+{number}.0.{_mac(keys[0], number, recipient)}@{domain}"


def read_reply_token(
    keys: tuple[bytes, ...], *, tag: str, senders: tuple[str, ...], recipients: tuple[str, ...]
) -> ReplyToken | None:
    """Verify the tag of an address against every address that it may have been made for.

    `senders` are the addresses that the mail claims to come from, `recipients` those to whom the
    Conversation has written. None where the tag is no token or was made for nobody among them.
    """
    match = _TOKEN.fullmatch(tag.lower())
    if match is None:
        return None
    number, mac = match.groups()
    for person in (*senders, *recipients):
        if any(hmac.compare_digest(_mac(key, number, person), mac) for key in keys):
            return ReplyToken(int(number, 36), person in senders)
    return None


def token_conversation(tag: str) -> int | None:
    """Return the Conversation that a tag names, unverified: only to look up its recipients."""
    match = _TOKEN.fullmatch(tag.lower())
    return int(match.group(1), 36) if match else None


def new_message_id(domain: str) -> str:
    """Return a fresh Message-ID with its angle brackets (RFC 5322 section 3.6.4)."""
    return make_msgid(idstring=secrets.token_hex(8), domain=domain)


def subject_references(subject: str) -> list[tuple[str, int]]:
    """Return the (desk code, number) pairs that a subject cites as `[code #number]`."""
    return [(code.lower(), int(number)) for code, number in _SUBJECT.findall(subject)]


def _mac(key: bytes, number: str, recipient: str) -> str:
    text = f"reply\0{number}\0{recipient.lower()}".encode()
    # 96 bits in base32hex, whose letters survive a change of case.
    return base64.b32hexencode(hmac.digest(key, text, hashlib.sha256)[:12]).decode().lower()[:20]


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
