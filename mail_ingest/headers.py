"""Header values: encoded words, raw 8-bit octets, parameters; knows no single header's meaning.

Own decoding instead of `email.header`: linear, never raises, reads raw octets inside encoded words
(RFC 2047), and continuations, charsets and encoded words of parameters (RFC 2231). Source: mail.md
5.1 and 5.5.
"""

from __future__ import annotations

import binascii
import re
from itertools import islice
from urllib.parse import unquote_to_bytes

from mail_ingest.charsets import decode_text

#: Parameters read of one header.
MAX_PARAMETERS = 100

_FOLD = re.compile(rb"\r*\n[ \t]*|\t")
_WORD_START = re.compile(rb"=\?([!-~]{1,60}?)(?:\*[!-~]{0,20}?)?\?([bBqQ])\?")
_HEX_PAIR = re.compile(rb"[0-9A-Fa-f]{2}")
_CONTROL = re.compile("[\x00-\x1f\x7f]+")
_PARAMETER = re.compile(r';\s*([^=;\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_CONTINUED = re.compile(r"([^*]+)\*(?:(\d{1,3})(\*)?)?")
_ESCAPED = re.compile(r'\\(["\\])')


class Headers:
    """The headers of one part by lower-case name, each with its raw octets in order."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, list[bytes]] = {}

    def add(self, name: bytes, value: bytes) -> None:
        """Keep one header; a repeated name keeps all its values."""
        self._values.setdefault(name.decode("latin-1").lower(), []).append(value)

    def first(self, name: str) -> bytes:
        """Raw value of the first header of this name, empty when there is none."""
        values = self._values.get(name)
        return values[0] if values else b""

    def all(self, name: str) -> list[bytes]:
        """Raw values of all headers of this name."""
        return self._values.get(name, [])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, fallback: str | None = None) -> str:
        """Decoded value of the first header of this name."""
        value = self.first(name)
        return decode_header(value, fallback) if value else ""

    def token(self, name: str) -> str:
        """First word of a header that is a word, lower case, without comments and quotes."""
        value = self.first(name).decode("latin-1").partition(";")[0].partition("(")[0]
        return value.strip().strip("\"'").strip().lower()


def decode_header(raw: bytes, fallback: str | None = None) -> str:
    """Text of a raw header value: unfolded, decoded, control characters made blanks."""
    value = _FOLD.sub(b" ", raw)
    decode = _decode_words if b"=?" in value else _decode_raw
    text = decode(value, fallback)
    return _CONTROL.sub(" ", text).strip()


def _decode_words(value: bytes, fallback: str | None) -> str:
    out: list[str] = []
    #: Octets of adjacent encoded words of one charset: a character may be cut between two.
    run = bytearray()
    charset = ""
    position = 0
    for start, end, label, octets in _words(value):
        between = value[position:start]
        if between.strip() or not run:
            out += _flush(run, charset, fallback), decode_text(between, None, fallback)
        elif label != charset:
            out.append(_flush(run, charset, fallback))
        charset = label
        run += octets
        position = end
    out += _flush(run, charset, fallback), decode_text(value[position:], None, fallback)
    return "".join(out)


def _decode_raw(value: bytes, fallback: str | None) -> str:
    return decode_text(value, None, fallback)


def _flush(run: bytearray, charset: str, fallback: str | None) -> str:
    text = decode_text(bytes(run), charset, fallback) if run else ""
    run.clear()
    return text


def _words(value: bytes) -> list[tuple[int, int, str, bytes]]:
    """Encoded words as (start, end, charset, decoded octets), in one pass."""
    words: list[tuple[int, int, str, bytes]] = []
    position = value.find(b"=?")
    while position >= 0:
        start = _WORD_START.match(value, position)
        if start is None:
            position = value.find(b"=?", position + 2)
            continue
        quoted = start[2] in b"qQ"
        end = _word_end(value, start.end(), quoted=quoted)
        if end < 0:  # no word ends any more
            break
        data = value[start.end() : end]
        label = start[1].decode("ascii").lower()
        words.append((position, end + 2, label, _from_q(data) if quoted else _from_b(data)))
        position = value.find(b"=?", end + 2)
    return words


def _word_end(value: bytes, position: int, *, quoted: bool) -> int:
    """Where `?=` ends the word; a question mark left bare before `=C3` does not."""
    end = value.find(b"?=", position)
    while quoted and end >= 0 and _HEX_PAIR.match(value, end + 2):
        end = value.find(b"?=", end + 2)
    return end


def _from_q(data: bytes) -> bytes:
    return binascii.a2b_qp(data, header=True)


def _from_b(data: bytes) -> bytes:
    clean = b"".join(data.split()).rstrip(b"=")
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    try:
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:
        return data


def parameters(raw: bytes, fallback: str | None = None) -> tuple[str, dict[str, str]]:
    """Value and parameters (lower-case names) of a Content-Type or Content-Disposition."""
    if not raw:
        return "", {}
    text = _FOLD.sub(b" ", raw).decode("latin-1")
    value = decode_header(text.partition(";")[0].encode("latin-1"))
    if ";" not in text:
        return value, {}
    plain: dict[str, str] = {}
    #: name -> number of the piece -> (value, is it percent-encoded)
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for found in islice(_PARAMETER.finditer(text), MAX_PARAMETERS):
        name, item = found[1].lower(), _unquote(found[2])
        continued = _CONTINUED.fullmatch(name)
        if continued is None:
            plain.setdefault(name, decode_header(item.encode("latin-1"), fallback))
            continue
        number = int(continued[2] or 0)
        encoded = continued[2] is None or continued[3] is not None
        pieces.setdefault(continued[1], {}).setdefault(number, (item, encoded))
    joined = {name: _join(numbered, fallback) for name, numbered in pieces.items()}
    return value, plain | {name: text for name, text in joined.items() if text}


def _unquote(item: str) -> str:
    item = item.strip()
    if len(item) > 1 and item[0] == item[-1] == '"':
        # Only \" and \\ are undone: `C:\dir\file.txt` is not meant as an escape.
        return _ESCAPED.sub(r"\1", item[1:-1])
    return item.strip('"')


def _join(numbered: dict[int, tuple[str, bool]], fallback: str | None) -> str:
    """Put the pieces of an RFC 2231 parameter together and decode them."""
    charset = ""
    octets = b""
    ordered = [numbered[number] for number in sorted(numbered)]
    first, is_encoded = ordered[0]
    if is_encoded and first.count("'") > 1:
        charset, _, rest = first.split("'", 2)
        ordered[0] = (rest, True)
    for item, encoded in ordered:
        raw = item.encode("latin-1")
        octets += unquote_to_bytes(raw) if encoded else raw
    if b"=?" in octets:
        return decode_header(octets, charset or fallback)
    return _CONTROL.sub(" ", decode_text(octets, charset, fallback)).strip()
