"""A mail as octets: headers, text, HTML and files, 7-bit clean and with CRLF.

Hand-built: about ten times faster than EmailMessage. It refuses what could smuggle a header in, and
knows nothing of Conversations. Source: RFC 5322, 2045, 2047, 2231, 3834; mail.md 2.5 and 2.7.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from urllib.parse import quote

from mail_ingest.automatic import LOOP_HEADER
from mail_ingest.sendable import ascii_address, sendable_id

#: Ids kept in References: the first, which names the thread, and the latest.
MAX_REFERENCES = 20
MAX_LINE = 76
#: Longest line of a mail without its CRLF (RFC 5322 section 2.1.1).
HARD_LINE = 998
#: Octets of text in one encoded word: 75 characters with `=?utf-8?B?` and `?=`.
_WORD_OCTETS = 45
#: Characters of one piece of an RFC 2231 parameter.
_PIECE = 60

_BROKEN = re.compile(r"[\r\n\x00]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
#: A 7-bit line as it is: printable, tabs, and not over the length that all servers take.
_PLAIN_TEXT = re.compile(r"(?:[\t -~]{0,76}\n)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutFile:
    """One file to send along."""

    name: str
    content_type: str
    data: bytes
    #: Without angle brackets; given, the file belongs to the HTML, which names it as `cid:…`.
    content_id: str | None = None


def compose(  # noqa: PLR0913 - a mail has that many parts; all are keyword-only
    *,
    sender: str,
    recipient: str,
    subject: str,
    text: str,
    message_id: str,
    date: datetime,
    automatic: bool,
    loop_stamp: str,
    sender_name: str = "",
    html: str | None = None,
    in_reply_to: str | None = None,
    references: Sequence[str] = (),
    reply_to: str | None = None,
    attachments: Sequence[OutFile] = (),
) -> bytes:
    """The mail as it goes over the wire, without the dots of DATA.

    `automatic` marks it as written by the product and adds `loop_stamp`. Message ids carry their
    angle brackets. `references` is the whole chain, oldest first, `in_reply_to` last or not in it.

    Others' ids that no mail can carry are left out: an answer is worth more than its thread.

    Raises ValueError, naming the header, when another value holds CR, LF or NUL, or is no address
    or id.
    """
    head = [
        ("From", _mailbox(sender_name, sender, "From")),
        ("To", _address(recipient, "To")),
        ("Subject", _fold_text(subject, "Subject", len("Subject: "))),
        ("Date", format_datetime(date)),
        ("Message-ID", _id(message_id, "Message-ID")),
    ]
    is_reply = bool(in_reply_to)
    if in_reply_to and not sendable_id(in_reply_to):
        in_reply_to = None
    if in_reply_to:
        head.append(("In-Reply-To", in_reply_to))
    chain = _chain(references, in_reply_to)
    if chain:
        head.append(("References", "\r\n ".join(chain)))
    if reply_to:
        head.append(("Reply-To", _address(reply_to, "Reply-To")))
    if automatic:
        head += _automatic(loop_stamp, is_reply=is_reply)
    head.append(("MIME-Version", "1.0"))
    lines = [f"{name}: {value}" for name, value in head]
    return (
        "\r\n".join(lines).encode("ascii") + b"\r\n" + _content(message_id, text, html, attachments)
    )


def _automatic(loop_stamp: str, *, is_reply: bool) -> list[tuple[str, str]]:
    return [
        ("Auto-Submitted", "auto-replied" if is_reply else "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        (LOOP_HEADER, _plain(loop_stamp, LOOP_HEADER)),
    ]


def _chain(references: Sequence[str], in_reply_to: str | None) -> list[str]:
    """The ids of References, each once, capped: the oldest stays, then the newest."""
    ids = dict.fromkeys(reference for reference in references if sendable_id(reference))
    if in_reply_to:
        ids.pop(in_reply_to, None)
        ids[in_reply_to] = None
    chain = list(ids)
    return chain if len(chain) <= MAX_REFERENCES else chain[:1] + chain[1 - MAX_REFERENCES :]


# --- header values ---


def _checked(value: str, header: str) -> str:
    if _BROKEN.search(value):
        raise ValueError(f"{header} must not hold a line break or NUL")
    return value


def _plain(value: str, header: str) -> str:
    _checked(value, header)
    if not value.isascii() or _CONTROL.search(value) or not 0 < len(value) <= HARD_LINE - 50:
        raise ValueError(f"{header} must be short plain ASCII text")
    return value


def _id(value: str, header: str) -> str:
    if not sendable_id(value):
        raise ValueError(f"{header} must be a message id in angle brackets")
    return value


def _address(value: str, header: str) -> str:
    try:
        return ascii_address(value)
    except ValueError as error:
        raise ValueError(f"{header} {error}") from error


def _mailbox(name: str, address: str, header: str) -> str:
    spec = _address(address, header)
    name = _checked(name, header).strip()
    if not name:
        return spec
    if name.isascii() and not _CONTROL.search(name) and len(name) <= MAX_LINE - len(header):
        quoted = name if _ATOMS.fullmatch(name) and "=?" not in name else _quoted(name)
        return (
            f"{quoted}\r\n <{spec}>"
            if len(quoted) + len(spec) > MAX_LINE - 10
            else f"{quoted} <{spec}>"
        )
    return f"{_encoded(name)}\r\n <{spec}>"


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fold_text(value: str, header: str, used: int) -> str:
    """Free text: as it is where it is short plain ASCII, else in encoded words."""
    _checked(value, header)
    plain = value.isascii() and not _CONTROL.search(value) and "=?" not in value
    if plain and used + len(value) <= MAX_LINE and value == value.strip():
        return value
    return _encoded(value)


def _encoded(value: str) -> str:
    """Encoded words of UTF-8 in base64, none of which cuts a character, one a line."""
    words: list[str] = []
    run = b""
    for character in value:
        octets = character.encode("utf-8", "replace")
        if len(run) + len(octets) > _WORD_OCTETS:
            words.append(_word(run))
            run = b""
        run += octets
    words.append(_word(run))
    return "\r\n ".join(words)


def _word(octets: bytes) -> str:
    return f"=?utf-8?B?{base64.b64encode(octets).decode('ascii')}?="


def _parameter(name: str, value: str) -> str:
    """A parameter of a header on a line of its own, RFC 2231 where the value needs it."""
    if value.isascii() and not _CONTROL.search(value) and len(value) <= _PIECE:
        return f";\r\n {name}={_quoted(value)}"
    encoded = quote(value.encode("utf-8", "replace"), safe="")
    if len(encoded) <= _PIECE:
        return f";\r\n {name}*=utf-8''{encoded}"
    pieces = ["utf-8''"]
    for character in value:  # some programs decode piece by piece: none may cut a character
        octets = quote(character.encode("utf-8", "replace"), safe="")
        if len(pieces[-1]) + len(octets) > _PIECE:
            pieces.append("")
        pieces[-1] += octets
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


# --- bodies: each returns its own headers, a blank line and the octets ---


def _content(message_id: str, text: str, html: str | None, files: Sequence[OutFile]) -> bytes:
    boundaries = _boundaries(message_id)
    body = _text_part(text, "plain")
    if html is not None:
        rich = _text_part(html, "html")
        images = [_file_part(file) for file in files if file.content_id]
        if images:
            rich = _multipart("related", [rich, *images], next(boundaries))
        body = _multipart("alternative", [body, rich], next(boundaries))
    beside = [_file_part(file) for file in files if html is None or not file.content_id]
    return _multipart("mixed", [body, *beside], next(boundaries)) if beside else body


def _boundaries(message_id: str) -> Iterator[str]:
    """Delimiters that no encoded body can hold: `=_` is neither base64 nor quoted-printable."""
    stem = sha256(message_id.encode()).hexdigest()[:32]
    for number in range(3):
        yield f"=_{number}_{stem}"


def _multipart(kind: str, parts: Sequence[bytes], boundary: str) -> bytes:
    delimiter = b"\r\n--" + boundary.encode("ascii")
    head = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n'.encode("ascii")
    inner = b"".join(delimiter + b"\r\n" + part for part in parts)
    return head + inner + delimiter + b"--\r\n"


def _text_part(text: str, kind: str) -> bytes:
    lines = _LINE_BREAK.sub("\n", text)
    if not lines.endswith("\n"):
        lines += "\n"
    if lines.isascii() and _PLAIN_TEXT.fullmatch(lines):
        charset, encoding, body = "us-ascii", "7bit", lines.encode("ascii")
    else:
        octets = lines.encode("utf-8", "replace")
        charset, encoding = "utf-8", "quoted-printable"
        body = binascii.b2a_qp(octets, istext=True)
        if len(body) > 2 * len(octets):
            encoding, body = "base64", base64.encodebytes(octets.replace(b"\n", b"\r\n"))
    head = (
        f"Content-Type: text/{kind}; charset={charset}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode("ascii") + body.replace(b"\n", b"\r\n")


def _file_part(file: OutFile) -> bytes:
    name = _checked(file.name, "a file name")
    kind = file.content_type.lower()
    if not _CONTENT_TYPE.fullmatch(kind) or kind.startswith(("message/", "multipart/")):
        kind = "application/octet-stream"  # RFC 2046 forbids base64 for composite types
    head = (
        f"Content-Type: {kind}{_parameter('name', name)}\r\nContent-Transfer-Encoding: base64\r\n"
    )
    if file.content_id:
        content_id = _id(f"<{file.content_id}>", "Content-ID")
        head += f"Content-ID: {content_id}\r\n"
    disposition = "inline" if file.content_id else "attachment"
    head += f"Content-Disposition: {disposition}{_parameter('filename', name)}\r\n\r\n"
    return head.encode("ascii") + base64.encodebytes(file.data).replace(b"\n", b"\r\n")
