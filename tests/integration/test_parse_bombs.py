"""Mails built to hang or fill the parser end soon: read, or refused with a reason (mail.md 4)."""

from __future__ import annotations

import time

import pytest

from mail_ingest.parse import MailTooComplex, parse


def _nested(levels: int) -> bytes:
    heads = (
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(levels)
    )
    return b"".join(heads) + b"\r\nfondo\r\n"


BOMBS = {
    "20,000 addresses": b"To: "
    + b", ".join(b"u%d@x.example" % n for n in range(20_000))
    + b"\r\n\r\n",
    "addresses up to the limit": b"To: " + b"u@x.example," * 5_000 + b"\r\n\r\n",
    "encoded words": b"Subject: " + b"=?utf-8?Q?a?= " * 4_500 + b"\r\n\r\n",
    "encoded words that never end": b"Subject: " + b"=?utf-8?Q?" * 6_000 + b"\r\n\r\n",
    "word starts": b"Subject: " + b"=?" * 30_000 + b"\r\n\r\n",
    "parentheses": b"From: " + b"(" * 60_000 + b"\r\n\r\n",
    "nested comments": b"From: " + b"(" * 30_000 + b")" * 29_999 + b"\r\n\r\n",
    "quotes": b"From: " + b'"\\' * 30_000 + b"\r\n\r\n",
    "angles": b"From: " + b"<" * 60_000 + b"\r\n\r\n",
    "parameters": b"Content-Type: text/plain" + b';a="b' * 12_000 + b"\r\n\r\n",
    "pieces": b"Content-Type: text/plain" + b";n*1*=%41" * 6_000 + b"\r\n\r\n",
    "20,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 20_000,
    "delimiters in a line": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b" * 2_000_000,
    "nesting 10,000": _nested(10_000),
    "nesting at the limit": _nested(20) + b"--b9\r\n" * 200_000,
    "open tags": b"Content-Type: text/html\r\n\r\n" + b"<div>" * 200_000,
    "open tags, long": b"Content-Type: text/html\r\n\r\n" + b"<div>" * 2_000_000,
    "tables": b"Content-Type: text/html\r\n\r\n" + b"<table><tr><td>" * 60_000,
    "formatting": b"Content-Type: text/html\r\n\r\n" + b"<b><i><a>" * 100_000,
    "many small tags": b"Content-Type: text/html\r\n\r\n" + b"<p>a</p>" * 60_000,
    "less-than signs": b"Content-Type: text/html\r\n\r\n" + b"<" * 3_000_000,
    "attributes": b"Content-Type: text/html\r\n\r\n<p " + b"a=b " * 200_000 + b">x</p>",
    "open scripts": b"Content-Type: text/html\r\n\r\n" + b"<script>" * 400_000,
    "metas": b"Content-Type: text/html\r\n\r\n" + b"\xe8<meta" * 300_000,
    "broken octets": b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + b"\xff" * 20_000_000,
    "broken octets at the limit": b"Content-Type: text/plain\r\n\r\n" + b"\xff" * (1 << 20),
    "padding": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QQ==" * 300_000,
    "carriage returns": b"\r" * 5_000_000,
    "line ends": b"\n\r" * 2_000_000,
    "one line": b"x" * 20_000_000,
    "attributes, named": b"Content-Type: text/html\r\n\r\n<p "
    + b" ".join(b"a%d=b" % n for n in range(100_000))
    + b">x</p>",
    "attributes, quoted": b"Content-Type: text/html\r\n\r\n<p "
    + b" ".join(b"a%d='>'" % n for n in range(80_000))
    + b">x</p>",
    "attributes, stray quote": b'Content-Type: text/html\r\n\r\n<p>="</p><p x=y" '
    + b" ".join(b"a%d" % n for n in range(100_000))
    + b">x</p>",
    "tables with text": b"Content-Type: text/html\r\n\r\n" + b"<table>x" * 90_000,
    "false closings": b"Content-Type: text/html\r\n\r\n" + b"<div></x>" * 100_000,
    "broken head lines": b"broken\r\n" * 900 + b"x" * 20_000_000,
    "broken head lines, telling late": b"broken\r\n" * 900
    + b"x" * 20_000_000
    + b"\r\nSubject: x\r\n",
    "commas": (b"To: " + b"a," * 30_000 + b"\r\n") * 4 + b"\r\n",
    "NULs": b"Content-Type: text/html\r\n\r\n" + b"\x00" * 900_000,
}  # fmt: skip - a case a line


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_soon(name: str) -> None:
    begun = time.process_time()
    try:
        parse(BOMBS[name])
    except MailTooComplex as refused:
        assert refused.reason  # noqa: PT017 - either end is right, only the time counts
    assert time.process_time() - begun < 5
