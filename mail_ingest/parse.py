"""A mail's octets to a ParsedMail: who, to whom, about what, text, HTML, files.

Raises nothing but MailTooComplex, whatever the octets are. It does not judge (whose mail it is,
what becomes of it) and reads no PEC envelope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from core.filenames import clean_name
from mail_ingest.addresses import Address, parse_addresses
from mail_ingest.automatic import Signs, automatic_reason, wants_no_reply
from mail_ingest.charsets import decode_text
from mail_ingest.filenames import name_for
from mail_ingest.headers import Headers, parameters
from mail_ingest.html_body import as_html, can_sanitise, sanitise, to_text
from mail_ingest.mime import Limits, MailTooComplex, Part, read_head, read_tree

__all__ = ["Address", "Limits", "MailTooComplex", "ParsedFile", "ParsedMail", "parse"]

MAX_REFERENCES = 100
MAX_MESSAGE_ID = 998
#: Years that a clock may show.
YEARS = range(1970, 9000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """One attachment, or an image inside the HTML."""

    #: Safe to show and to save under, never empty.
    name: str
    content_type: str
    data: bytes
    #: Shown within the text, not beside it.
    inline: bool
    #: Without angle brackets: what `cid:` in the HTML names.
    content_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMail:
    """What a mail says. Absent texts are empty, absent ids None."""

    from_address: str
    from_name: str
    #: Where the sender wants answers, if elsewhere.
    reply_to: str | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    #: With angle brackets, as all ids here.
    message_id: str | None
    in_reply_to: str | None
    #: Oldest first, at most MAX_REFERENCES.
    references: tuple[str, ...]
    #: Aware, as the sender's clock had it.
    date: datetime | None
    #: All text parts in order; laid out from the HTML where there is no plain text.
    text: str
    #: Sanitised; None when the mail has no HTML, or one so big that it is an attachment.
    html: str | None
    attachments: tuple[ParsedFile, ...]
    #: Short English code of automatic.RULES when a machine wrote it.
    auto_reason: str | None
    #: No automatic mail may answer it, even if a person wrote it.
    wants_no_reply: bool
    auto_submitted: str
    list_id: str
    precedence: str
    #: Stamp of our own automatic mail.
    x_loop: str
    return_path: str


def parse(
    raw: bytes, *, envelope_from: str | None = None, limits: Limits | None = None
) -> ParsedMail:
    """Read a mail. `envelope_from` is the reverse path of its envelope where that is known.

    Raises MailTooComplex when the mail is over a limit; then keep it raw and set it aside.
    """
    root = read_tree(raw, limits or Limits())
    headers = root.headers
    charset = _first_charset(root)
    senders = parse_addresses(headers.first("from"), charset)
    sender = senders[0] if senders else _other_sender(headers, charset)
    subject = headers.text("subject", charset)
    content = _Content(charset)
    content.read(root)
    text, html = content.bodies()
    signs = Signs(
        headers=headers,
        content_type=root.content_type,
        report_type=root.params.get("report-type", "").lower(),
        from_address=sender.address,
        subject=subject,
        envelope_from=envelope_from,
    )
    reply_to = parse_addresses(headers.first("reply-to"), charset)
    references = _ids(b" ".join(headers.all("references")))
    return ParsedMail(
        from_address=sender.address,
        from_name=sender.name,
        reply_to=reply_to[0].address if reply_to else None,
        to=_all_addresses(headers, "to", charset),
        cc=_all_addresses(headers, "cc", charset),
        subject=subject.replace("\x00", "\ufffd"),
        message_id=_first_id(headers.first("message-id")),
        in_reply_to=_first_id(headers.first("in-reply-to")),
        references=references[:1] + references[1:][1 - MAX_REFERENCES :],
        date=_date(headers.text("date")),
        text=text,
        html=html,
        attachments=content.attachments(),
        auto_reason=automatic_reason(signs),
        wants_no_reply=wants_no_reply(signs),
        auto_submitted=headers.token("auto-submitted"),
        list_id=headers.text("list-id", charset),
        precedence=headers.token("precedence"),
        x_loop=headers.text("x-sportello-loop"),
        return_path=headers.text("return-path").strip("<> "),
    )


def _first_charset(part: Part) -> str | None:
    """The charset that the mail names first: the guess for raw 8-bit headers."""
    stack = [part]
    while stack:
        current = stack.pop()
        if current.params.get("charset"):
            return current.params["charset"]
        stack.extend(reversed(current.children))
    return None


def _other_sender(headers: Headers, charset: str | None) -> Address:
    for name in ("sender", "return-path", "reply-to"):
        found = parse_addresses(headers.first(name), charset)
        if found:
            return found[0]
    return Address("")


def _all_addresses(headers: Headers, name: str, charset: str | None) -> tuple[Address, ...]:
    """A header that must not be repeated is, sometimes."""
    return parse_addresses(b",".join(headers.all(name)), charset)


_ID = re.compile(rb"<([^<>]{1,998})>")


def _ids(raw: bytes) -> tuple[str, ...]:
    """All message ids of a header, each once, in order."""
    ids = (b"".join(found.split()) for found in _ID.findall(raw))
    return tuple(
        dict.fromkeys(f"<{decode_text(octets)}>".replace("\x00", "") for octets in ids if octets)
    )


def _first_id(raw: bytes) -> str | None:
    """The first message id of a header; one without brackets gets them."""
    ids = _ids(raw)
    if ids:
        return ids[0]
    words = raw.replace(b"<", b" ").replace(b">", b" ").replace(b"\x00", b"").split()
    if len(words) == 1 and len(words[0]) <= MAX_MESSAGE_ID:
        return f"<{decode_text(words[0])}>"
    return None


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        # -0000 means UTC with an unknown zone; a year that no clock shows is no date.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date if date.astimezone(UTC).year in YEARS else None
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


@dataclass(slots=True)
class _Piece:
    """One stretch of the letter, in one form or in two."""

    plain: str | None = None
    html: str | None = None


@dataclass(slots=True)
class _Content:
    """Collects the stretches of text and the files of a tree, in order."""

    charset: str | None
    pieces: list[_Piece] = field(default_factory=list)
    files: list[ParsedFile] = field(default_factory=list)

    def read(self, part: Part, *, alternative: bool = False) -> None:
        if part.content_type == "multipart/alternative" and part.children:
            self._read_alternative(part)
        elif part.children:
            for child in part.children:
                self.read(child)
        elif part.content_type.startswith("multipart/"):  # no delimiter found: the whole is text
            self.pieces.append(_Piece(plain=_text(part.body, self.charset)))
        else:
            self._read_leaf(part, alternative=alternative)

    def _read_alternative(self, part: Part) -> None:
        """One letter in several forms: one piece with its plain text and its HTML."""
        plain: list[str] = []
        html = None
        for child in part.children:
            form = _Content(self.charset)
            form.read(child, alternative=True)
            self.files += form.files
            plain += [piece.plain for piece in form.pieces if piece.plain is not None]
            if any(piece.html is not None for piece in form.pieces):
                html = "".join(_piece_html(piece) for piece in form.pieces)
        if plain or html is not None:
            self.pieces.append(_Piece("\n".join(plain) if plain else None, html))

    def _read_leaf(self, part: Part, *, alternative: bool) -> None:
        disposition, params = parameters(part.headers.first("content-disposition"), self.charset)
        disposition = disposition.lower()
        name = params.get("filename") or part.params.get("name") or ""
        if self._is_body(part, disposition, name, alternative=alternative):
            self._add_body(part)
            return
        content_id = part.headers.text("content-id").strip("<> ") or None
        inline = disposition == "inline" or (content_id is not None and not disposition)
        self._add_file(part, _file_name(part, name), inline=inline, content_id=content_id)

    def _is_body(self, part: Part, disposition: str, name: str, *, alternative: bool) -> bool:
        if part.content_type not in ("text/plain", "text/html") or disposition == "attachment":
            return False
        # Some mailers give the letter itself a name.
        return not name or (not disposition and (alternative or not self.pieces))

    def _add_body(self, part: Part) -> None:
        data = part.content()
        charset = part.params.get("charset")
        if part.content_type == "text/plain":
            self.pieces.append(_Piece(plain=_text(data, charset or self.charset)))
            return
        markup = decode_text(data, charset or _meta_charset(data), self.charset)
        if not can_sanitise(markup):
            self._add_file(part, name_for("text/html", "messaggio"), inline=False, content_id=None)
            self.pieces.append(_Piece(plain=to_text(markup)))
        else:
            self.pieces.append(_Piece(html=markup))

    def _add_file(self, part: Part, name: str, *, inline: bool, content_id: str | None) -> None:
        file = ParsedFile(
            name=name,
            content_type=part.content_type,
            data=part.content(),
            inline=inline,
            content_id=content_id,
        )
        self.files.append(file)

    def bodies(self) -> tuple[str, str | None]:
        """Text, and sanitised HTML where there is any."""
        texts = (_piece_text(piece) for piece in self.pieces)
        text = "\n\n".join(text for text in texts if text.strip())
        if all(piece.html is None for piece in self.pieces):
            return text, None
        return text, sanitise("".join(_piece_html(piece) for piece in self.pieces))

    def attachments(self) -> tuple[ParsedFile, ...]:
        return tuple(self.files)


def _piece_text(piece: _Piece) -> str:
    if piece.plain is not None and (piece.plain.strip() or piece.html is None):
        return piece.plain
    return to_text(piece.html or "")


def _piece_html(piece: _Piece) -> str:
    return piece.html if piece.html is not None else as_html(piece.plain or "")


_META_CHARSET = re.compile(
    rb"<meta[^<>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE
)


def _meta_charset(data: bytes) -> str | None:
    found = _META_CHARSET.search(data, 0, 4096)
    return found[1].decode("ascii") if found else None


def _text(data: bytes, charset: str | None) -> str:
    text = decode_text(data, charset)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")


def _file_name(part: Part, name: str) -> str:
    clean = clean_name(name)
    if clean:
        return clean
    if part.content_type == "message/rfc822":
        subject = clean_name(read_head(part.content()).text("subject"))
        return name_for("message/rfc822", subject or "messaggio")
    return name_for(part.content_type)
