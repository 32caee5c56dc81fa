"""Addresses in headers: names and addr-specs of a list, however it is written.

One linear pass over the raw value; encoded words are decoded after the split, because they may
hold commas. It does not decide whose address it is. Source: RFC 5322 section 3.4, mail.md 5.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mail_ingest.headers import decode_header

#: Addresses kept of one header.
MAX_ADDRESSES = 200

_TOKEN = re.compile(
    r"""(?P<word>=\?[^?\s]{1,80}\?[bBqQ]\?[^?\s]*\?=)
      | (?P<text>[^"(<,;:=]+|=)
      | (?P<mark>["(<,;:])""",
    re.VERBOSE | re.ASCII,
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ROUTE = re.compile(r"^@[^:]*:")
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
#: Of ASCII alone: the text is octets, and A0 is the second one of an "à" in UTF-8.
_SPACE = re.compile(r"\s+", re.ASCII)
_BLANK = " \t\r\n\v\f"


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of a header."""

    #: As written, without brackets and blanks; may lack an @ (`MAILER-DAEMON`).
    address: str
    #: Decoded display name, or the comment that stood for one; may be empty.
    name: str = ""


def normalise(address: str) -> str:
    """The form in which addresses are compared: lower case, without blanks around."""
    return address.strip().lower()


def parse_addresses(raw: bytes, fallback: str | None = None) -> tuple[Address, ...]:
    """The mailboxes of a raw address header, at most MAX_ADDRESSES; never raises."""
    if not raw:
        return ()
    reader = _Reader(raw.decode("latin-1"), fallback)
    reader.read()
    return tuple(reader.found)


class _Reader:
    """The state of one pass: what belongs to the mailbox that is being read."""

    def __init__(self, text: str, fallback: str | None) -> None:
        self._text = text
        self._fallback = fallback
        self._position = 0
        #: Marks whose closing mark is known to be missing: plain characters from here on.
        self._unclosed: set[str] = set()
        self.found: list[Address] = []
        self._phrase: list[str] = []
        #: What the phrase holds so far; joining it at each comma would be quadratic.
        self._has_at = self._has_words = False
        self._comments: list[str] = []
        #: What stood between angle brackets.
        self._route: str | None = None
        self._quoted = False

    def read(self) -> None:
        while len(self.found) < MAX_ADDRESSES:
            token = _TOKEN.match(self._text, self._position)
            if token is None:
                break
            self._position = token.end()
            if token.lastgroup == "mark":
                self._mark(token[0])
            else:
                self._add(token[0])
        if len(self.found) < MAX_ADDRESSES:
            self._emit()

    def _add(self, text: str) -> None:
        self._phrase.append(text)
        self._has_at = self._has_at or "@" in text
        self._has_words = self._has_words or bool(text.strip(_BLANK))

    def _mark(self, mark: str) -> None:
        if mark == ",":
            self._comma()
        elif mark == ";":
            self._emit()
        elif mark == ":":
            self._colon()
        elif mark in self._unclosed:
            self._add(mark)
        else:
            {'"': self._quote, "(": self._comment, "<": self._angle}[mark]()

    def _comma(self) -> None:
        """A comma ends a mailbox, but not an unquoted `Rossi, Mario <m@x.example>`."""
        if self._route is None and not self._quoted and not self._has_at:
            if self._has_words:
                self._add(",")
            return
        self._emit()

    def _colon(self) -> None:
        """A colon ends the name of a group, which is not kept."""
        if self._route is None and not self._has_at:
            self._clear()
        else:
            self._add(":")

    def _quote(self) -> None:
        found = _QUOTED.match(self._text, self._position - 1)
        if found is None:
            self._unclosed.add('"')
            return
        self._position = found.end()
        self._quoted = True
        if self._text[self._position : self._position + 1] == "@":
            self._add(found[0])  # a quoted local part keeps its quotes
        else:
            self._add(_ESCAPED.sub(r"\1", found[1]))

    def _comment(self) -> None:
        depth = 1
        for found in _PARENTHESIS.finditer(self._text, self._position):
            depth += {"(": 1, ")": -1}.get(found[0], 0)
            if depth == 0:
                self._comments.append(self._text[self._position : found.start()])
                self._position = found.end()
                return
        self._unclosed.add("(")
        self._add("(")

    def _angle(self) -> None:
        end = self._text.find(">", self._position)
        if end < 0:
            self._unclosed.add("<")
            end = len(self._text)
        self._route = self._text[self._position : end]
        self._position = end + 1
        while self._text[self._position : self._position + 1] == ">":
            self._position += 1

    def _emit(self) -> None:
        phrase = "".join(self._phrase).strip(_BLANK).rstrip(",")
        comment = " ".join(self._comments)
        if self._route is not None:
            address, name = self._route, phrase or comment
        else:
            address, name = _bare(phrase, comment)
        address = self._clean(address)
        if address:
            self.found.append(Address(address, self._decode(name)))
        self._clear()

    def _clear(self) -> None:
        self._phrase.clear()
        self._has_at = self._has_words = False
        self._comments.clear()
        self._route = None
        self._quoted = False

    def _clean(self, address: str) -> str:
        address = _ROUTE.sub("", address.strip(" \t\r\n<>"))
        if '"' not in address:
            address = _SPACE.sub("", address).strip("'")
        return self._decode(address.removeprefix("mailto:"))

    def _decode(self, text: str) -> str:
        text = decode_header(text.encode("latin-1"), self._fallback)
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1].strip()  # Outlook puts the address as name, in quotes
        return text


def _bare(phrase: str, comment: str) -> tuple[str, str]:
    """Address and name of a mailbox without brackets."""
    if '"' in phrase or not _SPACE.search(phrase):
        return phrase, comment
    words = [word for word in _SPACE.split(phrase) if word]
    at = [word for word in words if "@" in word and len(word) > 1]
    if not at:
        return ("", phrase) if len(words) > 1 else (phrase, comment)
    others = " ".join(word for word in words if word is not at[-1])
    return at[-1].strip(",;"), others or comment
