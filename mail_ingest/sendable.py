"""What may stand in a mail that we send: one check of ids and addresses for both directions."""

from __future__ import annotations

import re

#: Characters of a Message-ID: with its header's name it has to fit a line (RFC 5322 2.1.1).
MAX_ID = 978
#: Characters of an address (RFC 5321 section 4.5.3.1 allows 64 + 1 + 255).
MAX_ADDRESS = 320

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r'(?:[^\s<>()\[\]:;,@"\\]+|"(?:[^"\\\r\n]|\\[^\r\n])*")@[^\s<>(),;:@"\\]+')
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")


def sendable_id(value: str) -> bool:
    """Whether a Message-ID, with its angle brackets, can be cited: printable ASCII on one line."""
    return len(value) <= MAX_ID and _MESSAGE_ID.fullmatch(value) is not None


def sendable_address(value: str) -> bool:
    """Whether mail can be sent to this address."""
    try:
        ascii_address(value)
    except ValueError:
        return False
    return True


def ascii_address(value: str) -> str:
    """An addr-spec as it goes over the wire; a domain with other letters in its IDNA form.

    Raises ValueError, saying what is wrong, where no mail can go there.
    """
    if len(value) > MAX_ADDRESS or _CONTROL.search(value) or not _ADDRESS.fullmatch(value):
        raise ValueError("must be one e-mail address")
    local, _, domain = value.rpartition("@")
    if not local.isascii():
        raise ValueError("has letters before the @ that mail servers do not take")
    try:
        return value if domain.isascii() else f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError as error:
        raise ValueError("has a domain that does not exist") from error
