"""Addresses as people and their programs write them (mail.md 5.7)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_ingest.addresses import MAX_ADDRESSES, normalise, parse_addresses


def pairs(header: str | bytes, fallback: str | None = None) -> list[tuple[str, str]]:
    raw = header.encode() if isinstance(header, str) else header
    return [(one.address, one.name) for one in parse_addresses(raw, fallback)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("m@x.it", [("m@x.it", "")]),
        ("<m@x.it>", [("m@x.it", "")]),
        ("Mario Rossi <m@x.it>", [("m@x.it", "Mario Rossi")]),
        ('"Rossi, Mario" <m@x.it>', [("m@x.it", "Rossi, Mario")]),
        ("Rossi, Mario <m@x.it>", [("m@x.it", "Rossi, Mario")]),
        ('"Mario \\"Super\\" Rossi" <m@x.it>', [("m@x.it", 'Mario "Super" Rossi')]),
        ("m@x.it <m@x.it>", [("m@x.it", "m@x.it")]),
        ("'m@x.it' <m@x.it>", [("m@x.it", "m@x.it")]),
        ("Ufficio: protocollo <m@x.it>", [("m@x.it", "protocollo")]),
        ("m@x.it (Mario Rossi)", [("m@x.it", "Mario Rossi")]),
        ("(capo) Mario (di ufficio) <m@x.it>", [("m@x.it", "Mario")]),
        ("m(a(b)c)@x.it", [("m@x.it", "a(b)c")]),
        ("a@x.it, b@x.it,c@x.it", [("a@x.it", ""), ("b@x.it", ""), ("c@x.it", "")]),
        ("a@x.it; b@x.it", [("a@x.it", ""), ("b@x.it", "")]),
        ("Amici: a@x.it, B <b@x.it>;, c@x.it", [("a@x.it", ""), ("b@x.it", "B"), ("c@x.it", "")]),
        ("undisclosed-recipients:;", []),
        ("<@relay.it,@altro.it:m@x.it>", [("m@x.it", "")]),
        ("Mario < m@x.it >", [("m@x.it", "Mario")]),
        ("Mario <mailto:m@x.it>", [("m@x.it", "Mario")]),
        ("Mario <m@x.it", [("m@x.it", "Mario")]),
        ("Mario <<m@x.it>>", [("m@x.it", "Mario")]),
        ("Mario Rossi m@x.it", [("m@x.it", "Mario Rossi")]),
        ('"mario rossi"@x.it', [('"mario rossi"@x.it', "")]),
        ('"aperto <m@x.it>', [("m@x.it", "aperto")]),
        ("+39066@x.it", [("+39066@x.it", "")]),
        ("MAILER-DAEMON (Mail Delivery)", [("MAILER-DAEMON", "Mail Delivery")]),
        ("=?utf-8?Q?Ross=C3=AC?= <m@x.it>", [("m@x.it", "Rossì")]),
        (
            "=?utf-8?Q?Ross=C3=AC,_Mario?= <m@x.it>, b@x.it",
            [("m@x.it", "Rossì, Mario"), ("b@x.it", "")],
        ),
        ('"=?utf-8?B?Um9zc8Os?=" <m@x.it>', [("m@x.it", "Rossì")]),
        ("=?utf-8?Q?Mario?=\r\n =?utf-8?Q?_Rossi?= <m@x.it>", [("m@x.it", "Mario Rossi")]),
        ("m@x.it\r\n , b@x.it", [("m@x.it", ""), ("b@x.it", "")]),
        ("", []),
        (",,;:<>()", []),
    ],
)
def test_reads_addresses(header: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(header) == expected


@pytest.mark.parametrize("raw", ["Rossì <m@x.it>".encode(), "Rossì <m@x.it>".encode("latin-1")])
def test_reads_raw_octets(raw: bytes) -> None:
    assert pairs(raw) == [("m@x.it", "Rossì")]


def test_an_octet_of_a_letter_is_no_blank() -> None:
    assert pairs("Citt\u00e0 a@citt\u00e0.example") == [("a@citt\u00e0.example", "Citt\u00e0")]


def test_reads_raw_octets_in_the_charset_of_the_body() -> None:
    assert pairs("Иван Петров <m@x.it>".encode("koi8-r"), "koi8-r") == [("m@x.it", "Иван Петров")]


def test_keeps_so_many() -> None:
    assert len(pairs(", ".join(f"u{n}@x.it" for n in range(1000)))) == MAX_ADDRESSES


@pytest.mark.parametrize(
    "piece", ["a,", "a:b,", '"a,', "(a,", "a ,", '"a",b ', "a@ ", "=?u?q?a?= ,"]
)
def test_a_long_header_costs_its_length(piece: str) -> None:
    # All the To of a mail are one list: up to 256 KiB of them.
    begun = time.process_time()
    pairs(piece * (256 * 1024 // len(piece)))
    assert time.process_time() - begun < 3


def test_compares_without_case_and_blanks() -> None:
    assert normalise(" Mario.ROSSI@X.it ") == "mario.rossi@x.it"


_ATOM = st.text(alphabet="abcxyz0189.-_+", min_size=1, max_size=12).filter(
    lambda atom: not atom.startswith(".") and not atom.endswith(".")
)
_NAME = st.text(alphabet="abc ,;:<>@()\\\"'èé.", max_size=20)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.lists(st.tuples(_ATOM, _ATOM, _NAME), min_size=1, max_size=5))
def test_a_quoted_name_never_changes_the_addresses(boxes: list[tuple[str, str, str]]) -> None:
    quoted = [
        '"' + name.replace("\\", "\\\\").replace('"', '\\"') + f'" <{local}@{domain}>'
        for local, domain, name in boxes
    ]
    read = [address for address, _ in pairs(", ".join(quoted))]
    assert read == [f"{local}@{domain}" for local, domain, _ in boxes]
