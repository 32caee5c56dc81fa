"""Octets to text, whatever their label says: never raises and drops nothing.

The order is: what the octets prove (valid UTF-8), the declared charset, the caller's fallback (the
body's charset for a raw header), cp1252. Source: mail.md 5.1 and 5.2.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

#: Wrong or too narrow labels and what their senders mean; a superset replaces its subset, as
#: browsers do.
_MEANT = {
    "ansi": "cp1252",
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "iso-8859-11": "cp874",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-9": "cp1254",
    "iso8859-1": "cp1252",
    "ks_c_5601-1987": "cp949",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "shift-jis": "cp932",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "us-ascii": "cp1252",
    "x-mac-roman": "mac_roman",
    "x-sjis": "cp932",
}
#: Codecs of Python that are no charset of any mail, and slow or surprising on foreign octets.
_REFUSED = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
#: Charsets whose octets are all ASCII, so that ASCII octets do not speak for themselves.
_SEVEN_BIT = ("iso2022", "hz", "utf-7")
#: One octet a character, western: UTF-8 that calls itself so is a lie, however short.
_WESTERN = {"cp1252", "iso8859-15", "mac_roman", "cp850", "cp437"}
#: Octets over 127 after which valid UTF-8 is no accident in any other charset.
_PROOF = 6
#: Longest text whose broken octets are mended one by one; the rest is read as cp1252 at once.
_MENDED = 1 << 18

_LABEL = re.compile(r"[a-z0-9_.:+-]{1,40}")
_HIGH = bytes(range(128, 256))
_MEND = "sportello.cp1252"


def decode_text(data: bytes, label: str | None = None, fallback: str | None = None) -> str:
    """Text of `data`, declared as `label`; `fallback` is the next best guess."""
    codec = codec_name(label)
    if data.isascii():
        return _decode_seven_bit(data, codec)
    if codec is None or codec in _WESTERN or _high_octets(data) >= _PROOF:
        text = _strict(data, "utf-8")
        if text is not None:
            return text
    for name in (codec, codec_name(fallback)):
        text = _strict(data, name) if name else None
        if text is not None:
            return text
    return _mend(data, codec)


@lru_cache(maxsize=512)
def codec_name(label: str | None) -> str | None:
    """Python's name of the codec that a label means, or None for an unknown or unsafe one."""
    if not label:
        return None
    found = _LABEL.search(label.lower().removeprefix("charset="))
    if found is None:
        return None
    name = found[0].strip("-_.:")
    for candidate in (_MEANT.get(name, name), _MEANT.get(name[2:], name[2:])):
        codec = _text_codec(candidate)
        if codec is not None:
            return _MEANT.get(codec, codec)
        if not name.startswith("x-"):
            break
    return None


def _text_codec(name: str) -> str | None:
    try:
        codec = codecs.lookup(name).name
        if codec.replace("-", "_") in _REFUSED:
            return None
        b"a\n\x00\x00".decode(codec, "replace")  # refuses hex, zip and the like: no text codecs
    except (LookupError, ValueError, TypeError):
        return None
    return codec


def _decode_seven_bit(data: bytes, codec: str | None) -> str:
    if codec is not None and codec.startswith(_SEVEN_BIT):
        text = _strict(data, codec)
        if text is not None:
            return text
    elif b"\x1b$" in data or b"\x1b(" in data:  # ISO-2022-JP without a label
        text = _strict(data, "iso2022_jp_2")
        if text is not None:
            return text
    return data.decode("ascii")


def _strict(data: bytes, codec: str) -> str | None:
    try:
        text = data.decode(codec)
    except (UnicodeError, LookupError, ValueError):
        return None
    if codec.startswith("utf-"):
        text = text.removeprefix("\ufeff")
        if codec != "utf-8":
            text = _whole_pairs(text)
    return text


def _whole_pairs(text: str) -> str:
    """Replace half pairs, which utf-7 and utf-16 can bring and nobody can store."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mend(data: bytes, codec: str | None) -> str:
    """Keep what the declared charset can read and read each other octet as cp1252."""
    if len(data) > _MENDED:
        return data.decode("cp1252", "replace")
    for name in (codec or "utf-8", "cp1252"):
        try:
            return _whole_pairs(data.decode(name, _MEND))
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("latin-1")


def _read_as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    octets = error.object[error.start : error.end]
    text = "".join(bytes([octet]).decode("cp1252", "ignore") or chr(octet) for octet in octets)
    return text, error.end


def _high_octets(data: bytes) -> int:
    return len(data) - len(data.translate(None, _HIGH))


codecs.register_error(_MEND, _read_as_cp1252)
