"""A mail as a tree of parts over its own octets: finds structure, decodes no text.

Works by slicing, so an attachment costs what its copy costs (the feed parser of the standard
library reads it line by line: 30 ms for a megabyte). Limits are checked while the tree grows;
what is over one raises MailTooComplex, the only exception here. Source: mail.md 2.8 and 5.6.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from mail_ingest.headers import Headers, parameters

MIB = 1024 * 1024
#: Blanks that may follow a delimiter on its line.
MAX_BLANKS = 1000


class MailTooComplex(Exception):
    """The mail is over a limit of the parser: keep it raw, set it aside with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        #: Which limit, in a few English words.
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one mail may hold before it is set aside."""

    octets: int = 40 * MIB
    #: Octets of one header block, of one header, and lines of one header block.
    head: int = 256 * 1024
    header: int = 64 * 1024
    header_lines: int = 1000
    parts: int = 500
    depth: int = 20


@dataclass(slots=True)
class Part:
    """One MIME part: a leaf, or a multipart with children."""

    headers: Headers
    #: Lower case, always with a slash; `text/plain` when there is none.
    content_type: str
    params: dict[str, str]
    raw: bytes
    start: int
    end: int
    children: list[Part] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The octets of the body as they stand in the mail."""
        return self.raw[self.start : self.end]

    def content(self) -> bytes:
        """The octets of the body with the transfer encoding undone."""
        encoding = self.headers.token("content-transfer-encoding")
        if encoding == "base64":
            return decode_base64(self.body, text=self.content_type.startswith("text/"))
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        return self.body


_BLANK_LINE = re.compile(rb"\n\r*\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
#: Fields whose sight says that a broken line before them was a slip and not the body's begin.
_TELLING = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|received)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PADDING = re.compile(rb"=[=\s]*")
_BLANK = b" \t\r\n"


def read_tree(raw: bytes, limits: Limits) -> Part:
    """The tree of a mail. Raises MailTooComplex."""
    if len(raw) > limits.octets:
        raise MailTooComplex(f"more than {limits.octets} octets")
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
    return _Reader(raw, limits).part(0, len(raw), depth=0, default="text/plain")


def read_head(raw: bytes) -> Headers:
    """The header block at the begin of a mail, empty when it is over a limit."""
    try:
        return _Reader(raw, Limits()).head()
    except MailTooComplex:
        return Headers()


def decode_base64(data: bytes, *, text: bool = False) -> bytes:
    """Decode leniently: foreign octets are skipped, a cut end keeps what is whole.

    `text` says that a body which cannot be base64 at all is returned as it is: a wrong label must
    not turn a letter into noise.
    """
    if text and _is_no_base64(data):
        return data
    try:
        if data.rstrip(b"=" + _BLANK).find(b"=") < 0:
            return binascii.a2b_base64(data)
    except binascii.Error:
        pass
    # Several encoded runs one after the other, or a length that cannot be: run by run.
    return b"".join(_decode_run(run) for run in _PADDING.split(data))


def _is_no_base64(data: bytes) -> bool:
    foreign = data.translate(None, _BASE64 + b"=" + _BLANK)
    return len(foreign) * 10 > len(data)


def _decode_run(run: bytes) -> bytes:
    foreign = run.translate(None, _BASE64)
    clean = run.translate(None, foreign) if foreign else run
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


class _Telling:
    """Where the next telling field of one head stands; looks at each octet once."""

    def __init__(self, raw: bytes, end: int) -> None:
        self._raw = raw
        self._end = end
        self._next = -1

    def follows(self, position: int) -> bool:
        """Whether one stands at or after `position`, which must not go back."""
        if self._next < position:
            found = _TELLING.search(self._raw, position, self._end)
            self._next = found.start() if found else len(self._raw) + 1
        return self._next < self._end


def _is_slip(line: bytes, line_end: int, telling: _Telling) -> bool:
    """Whether a line that is no header is a slip in the head, not the body's begin."""
    return not line.startswith((b"From ", b">From ")) and telling.follows(line_end)


class _Reader:
    """Reads the parts of one mail and counts them."""

    def __init__(self, raw: bytes, limits: Limits) -> None:
        self._raw = raw
        self._limits = limits
        self._parts = 0

    def head(self) -> Headers:
        return self._head(0, len(self._raw))[0]

    def part(self, start: int, end: int, *, depth: int, default: str) -> Part:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise MailTooComplex(f"more than {self._limits.parts} parts")
        if depth > self._limits.depth:
            raise MailTooComplex(f"nested deeper than {self._limits.depth}")
        headers, body = self._head(start, end)
        kind, params = parameters(headers.first("content-type"))
        content_type = kind.lower()
        if not _CONTENT_TYPE.fullmatch(content_type):
            content_type = (
                default if not content_type.startswith("multipart") else "multipart/mixed"
            )
        part = Part(headers, content_type, params, self._raw, body, end)
        if content_type.startswith("multipart/"):
            self._add_children(part, depth)
        return part

    def _add_children(self, part: Part, depth: int) -> None:
        digest = part.content_type == "multipart/digest"
        for start, end in self._split(part):
            child = self.part(
                start, end, depth=depth + 1, default="message/rfc822" if digest else "text/plain"
            )
            part.children.append(child)

    def _head(self, start: int, end: int) -> tuple[Headers, int]:
        """The header block that begins at `start`, and where the body begins."""
        raw = self._raw
        first = raw[start : start + 2]
        if first.startswith(b"\n") or first == b"\r\n":
            return Headers(), start + (1 if first.startswith(b"\n") else 2)
        blank = _BLANK_LINE.search(raw, start, end)
        head_end, body = (blank.start() + 1, blank.end()) if blank else (end, end)
        return self._fields(start, head_end, body)

    def _fields(self, start: int, head_end: int, body: int) -> tuple[Headers, int]:
        headers = Headers()
        position = start
        lines = 0
        name = b""
        value: list[bytes] = []
        # Beyond the limit nothing is read, so nothing is looked for there either.
        telling = _Telling(self._raw, min(head_end, start + self._limits.head))
        while position < head_end:
            line_end = self._raw.find(b"\n", position, head_end)
            line_end = head_end if line_end < 0 else line_end + 1
            line = self._raw[position:line_end]
            lines += 1
            self._check_head(lines, line_end - start)
            found = None if line[:1] in b" \t" else _FIELD.match(line)
            if found:
                self._keep(headers, name, value)
                name, value = found[1], [line[found.end() :]]
            elif line[:1] in b" \t" or _is_slip(line, line_end, telling):
                value.append(line)
            elif not line.startswith((b"From ", b">From ")):
                body = position  # no header: the body began without a blank line
                break
            position = line_end
        self._keep(headers, name, value)
        return headers, body

    def _check_head(self, lines: int, octets: int) -> None:
        if octets > self._limits.head:
            raise MailTooComplex(f"a header block of more than {self._limits.head} octets")
        if lines > self._limits.header_lines:
            raise MailTooComplex(f"more than {self._limits.header_lines} header lines")

    def _keep(self, headers: Headers, name: bytes, value: list[bytes]) -> None:
        if not name:
            return
        whole = b"".join(value)
        if len(whole) > self._limits.header:
            raise MailTooComplex(f"a header of more than {self._limits.header} octets")
        headers.add(name, whole)

    def _split(self, part: Part) -> list[tuple[int, int]]:
        """Where the parts of a multipart begin and end; empty when no delimiter is found."""
        boundary = part.params.get("boundary") or self._guess_boundary(part)
        if not boundary:
            return []
        delimiter = b"--" + boundary.encode("utf-8", "replace").rstrip(b" \t")
        found: list[tuple[int, int]] = []
        begin = -1
        for line_start, next_line, closing in self._delimiters(part, delimiter):
            if begin >= 0:
                found.append((begin, self._before_line(begin, line_start)))
                if len(found) > self._limits.parts:
                    raise MailTooComplex(f"more than {self._limits.parts} parts")
            begin = -1 if closing else next_line
            if closing:
                break
        if begin >= 0:  # the closing delimiter is missing: the last part goes to the end
            found.append((begin, part.end))
        return found

    def _delimiters(self, part: Part, delimiter: bytes) -> list[tuple[int, int, bool]]:
        """Delimiter lines as (start, start of the next line, is it the closing one)."""
        raw, end = self._raw, part.end
        lines: list[tuple[int, int, bool]] = []
        # The blank line above the body ends in a line break, so the first line is found as well.
        position = raw.find(b"\n" + delimiter, max(part.start - 1, 0), end)
        while position >= 0 and len(lines) <= self._limits.parts + 1:
            after = position + 1 + len(delimiter)
            line_end = raw.find(b"\n", after, min(after + MAX_BLANKS, end))
            if line_end < 0:
                line_end = min(after + MAX_BLANKS, end)
            rest = raw[after:line_end].strip(b" \t\r")
            if rest in (b"", b"--"):
                lines.append((position + 1, min(line_end + 1, end), rest == b"--"))
            position = raw.find(b"\n" + delimiter, after - 1, end)
        return lines

    def _before_line(self, begin: int, line_start: int) -> int:
        """The line break before a delimiter belongs to the delimiter."""
        end = line_start
        if end > begin and self._raw[end - 1] in b"\n":
            end -= 1
            if end > begin and self._raw[end - 1] in b"\r":
                end -= 1
        return max(begin, end)

    def _guess_boundary(self, part: Part) -> str:
        """The first line that looks like a delimiter, for a multipart that names none."""
        found = re.compile(rb"^--([^\s][^\r\n]{0,200}?)[ \t]*\r*$", re.MULTILINE).search(
            self._raw, part.start, min(part.end, part.start + 4096)
        )
        return found[1].decode("utf-8", "replace") if found else ""
