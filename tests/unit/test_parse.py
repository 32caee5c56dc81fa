"""Reading ordinary and odd mail: each case is one fact of mail.md section 5."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mail_ingest.parse import ParsedMail, parse


def mail(head: str | bytes, body: str | bytes = "Testo.\r\n") -> ParsedMail:
    """Parse a mail given as its head (one header a line) and its body."""
    top = head.encode() if isinstance(head, str) else head
    rest = body.encode() if isinstance(body, str) else body
    return parse(top.strip(b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n" + rest)


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


ORDINARY = crlf(
    """\
Return-Path: <mario.rossi@comune.example>
Received: from mx.comune.example by mail.example; Mon, 16 Mar 2026 09:12:44 +0100
From: =?UTF-8?Q?Mario_Ross=C3=AC?= <mario.rossi@comune.example>
To: Assistenza <assistenza@desk.example>, "Bianchi, Anna" <anna@desk.example>
Cc: terzo@desk.example
Reply-To: ufficio@comune.example
Subject: =?utf-8?B?SWwgdG9rZW4gbm9uIMOoIHJpY29ub3NjaXV0bw==?=
Message-ID: <abc.1@comune.example>
In-Reply-To: <root@desk.example>
References: <root@desk.example>
 <mid@desk.example>
Date: Mon, 16 Mar 2026 09:12:40 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="out"

Preambolo per vecchi programmi.
--out
Content-Type: multipart/alternative; boundary=in

--in
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Perch=C3=A9 non va pi=C3=B9?
--in
Content-Type: text/html; charset=utf-8

<p>Perché non va <b>più</b>?</p><img src="cid:logo@x"><img src="https://spia.example/p.gif">
--in--
--out
Content-Type: image/png; name="logo.png"
Content-ID: <logo@x>
Content-Disposition: inline; filename="logo.png"
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--out
Content-Type: application/pdf
Content-Disposition: attachment; filename*0*=utf-8''verbale%20per;
 filename*1*=ch%C3%A9.pdf
Content-Transfer-Encoding: base64

JVBERi0=
--out--
"""
).encode()


def test_reads_an_ordinary_mail() -> None:
    read = parse(ORDINARY)
    assert (read.from_address, read.from_name) == ("mario.rossi@comune.example", "Mario Rossì")
    assert [(a.address, a.name) for a in read.to] == [
        ("assistenza@desk.example", "Assistenza"),
        ("anna@desk.example", "Bianchi, Anna"),
    ]
    assert [a.address for a in read.cc] == ["terzo@desk.example"]
    assert read.reply_to == "ufficio@comune.example"
    assert read.subject == "Il token non è riconosciuto"
    assert read.message_id == "<abc.1@comune.example>"
    assert read.in_reply_to == "<root@desk.example>"
    assert read.references == ("<root@desk.example>", "<mid@desk.example>")
    assert read.date == datetime(2026, 3, 16, 9, 12, 40, tzinfo=timezone(timedelta(hours=1)))
    assert read.text == "Perché non va più?"
    assert read.return_path == "mario.rossi@comune.example"
    assert read.auto_reason is None
    assert not read.wants_no_reply


def test_html_is_made_safe_and_keeps_images_of_the_mail() -> None:
    html = parse(ORDINARY).html
    assert html is not None
    assert "<b>più</b>" in html
    assert 'src="cid:logo@x"' in html
    assert "spia.example" not in html


def test_files_have_their_names_types_and_octets() -> None:
    logo, minutes = parse(ORDINARY).attachments
    assert (logo.name, logo.inline, logo.content_id) == ("logo.png", True, "logo@x")
    assert logo.data == b"\x89PNG\r\n\x1a\n"
    assert (minutes.name, minutes.inline, minutes.content_id) == ("verbale perché.pdf", False, None)
    assert (minutes.content_type, minutes.data) == ("application/pdf", b"%PDF-")


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"=?iso-8859-1?Q?perch=E9?=", "perché"),
        (b"=?iso-8859-1?Q?perch\xe9?=", "perché"),
        ("perché".encode(), "perché"),
        (b"perch\xe9", "perché"),
        (b"=?utf-8?Q?perch=C3?= =?utf-8?Q?=A9_no?=", "perché no"),
        (b"=?utf-8?B?cGVyY2jD?=\r\n\t=?utf-8?B?qQ==?=", "perché"),
        (b"=?UTF-8?Q?a?= b =?UTF-8?Q?c?=", "a b c"),
        (b"=?utf-8*it?Q?perch=C3=A9?=", "perché"),
        (b"=?inventato?Q?perch=C3=A9?=", "perché"),
        (b"=?utf-8?Q?chi_=C3=A8?=3F?=", "chi è??"),
        (b"=?utf-8?B?cGVyY2jDqQ?=", "perché"),
        (b"=?utf-8?Q?aperto", "=?utf-8?Q?aperto"),
        (b"=?windows-1252?Q?=80_100?=", "€ 100"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?gb2312?B?1tC5+g==?=", "中国"),
        (b"uno\r\n due", "uno due"),
        (b"uno\x00due\x07", "uno due"),
    ],
)
def test_decodes_subjects(header: bytes, subject: str) -> None:
    assert mail(b"From: a@b.example\nSubject: " + header.replace(b"\r\n", b"\n")).subject == subject


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("utf-8", "così".encode(), "così"),
        ("iso-8859-1", "così".encode(), "così"),  # a lie that the octets disprove
        ("utf-8", b"cos\xec", "così"),  # the lie the other way
        ("us-ascii", b"cos\xec \x80", "così €"),
        ("", "così".encode(), "così"),
        ("non-esiste", b"cos\xec", "così"),
        ("%CHARSET%", b"cos\xec", "così"),
        ('"utf-8; utf-8"', "così".encode(), "così"),
        ("hex", b"6162", "6162"),
        ("unicode_escape", rb"\u0041", r"\u0041"),
        ("utf-7", b"cos+AOw-", "così"),
        ("gb2312", "中国的服务".encode(), "中国的服务"),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本"),
        ("us-ascii", b"\x1b$BF|K\\\x1b(B", "日本"),
        ("utf-16", "così".encode("utf-16"), "così"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("utf-8", "bene così ".encode() + b"\xec ok", "bene così ì ok"),
        ("utf-8", b"a\x00b", "a\ufffdb"),
    ],
)
def test_reads_text_whatever_its_label(charset: str, octets: bytes, text: str) -> None:
    label = f"; charset={charset}" if charset else ""
    assert mail(f"From: a@b.example\nContent-Type: text/plain{label}", octets).text == text


def test_raw_headers_are_read_in_the_body_charset() -> None:
    subject = "Привет из Москвы".encode("koi8-r")
    read = mail(b"Subject: " + subject + b"\nContent-Type: text/plain; charset=koi8-r")
    assert read.subject == "Привет из Москвы"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="verbale.pdf"', "verbale.pdf"),
        ("attachment; filename=il mio verbale.pdf", "il mio verbale.pdf"),
        ("attachment; filename*=iso-8859-1'it'perch%E9.pdf", "perché.pdf"),
        ('attachment; filename="=?utf-8?Q?perch=C3=A9.pdf?="', "perché.pdf"),
        ("attachment; filename==?utf-8?B?cGVyY2jDqS5wZGY=?=", "perché.pdf"),
        ('attachment; filename="C:\\Users\\mario\\verbale.pdf"', "verbale.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename*0=ver; filename*1=bale; filename*2=.pdf", "verbale.pdf"),
        ("attachment; filename*0*=utf-8''perch%C3; filename*1*=%A9.pdf", "perché.pdf"),
        ('attachment; filename="fattura\u202efdp.exe"', "fatturafdp.exe"),
        ('attachment; filename="nul.txt"', "_nul.txt"),
        ('attachment; filename=".htaccess"', "htaccess"),
        ('attachment; filename=""', "allegato.pdf"),
        ("attachment", "allegato.pdf"),
        ('attachment; filename="' + "x" * 300 + '.pdf"', "x" * 146 + ".pdf"),
        ('attachment; filename="a;b.pdf"; size=3', "a;b.pdf"),
        ('attachment; filename="non chiuso.pdf', "non chiuso.pdf"),
    ],
)
def test_reads_file_names(header: str, name: str) -> None:
    read = mail(f"Content-Type: application/pdf\nContent-Disposition: {header}", "x")
    assert [file.name for file in read.attachments] == [name]


def test_a_file_name_in_raw_octets() -> None:
    read = mail(b'Content-Type: application/pdf; name="perch\xe9.pdf"', "x")
    assert read.attachments[0].name == "perché.pdf"


MIXED = "Content-Type: multipart/mixed; boundary=b"


def test_all_text_parts_count_in_order() -> None:
    body = crlf(
        "--b\nContent-Type: text/plain\n\nPrima.\n"
        "--b\nContent-Type: application/pdf; name=x.pdf\n\nPDF\n"
        "--b\nContent-Type: text/html\n\n<p>In <i>mezzo</i>.</p>\n"
        "--b\n\nUltima.\n--b--\n"
    )
    read = mail(MIXED, body)
    assert read.text.split() == ["Prima.", "In", "mezzo.", "Ultima."]
    assert read.html is not None
    assert read.html.index("Prima") < read.html.index("mezzo") < read.html.index("Ultima")
    assert [file.data for file in read.attachments] == [b"PDF"]


def test_html_alone_becomes_text() -> None:
    html = (
        "<html><head><title>no</title><style>p{}</style></head><body><p>Uno</p><p>Due &amp; tre</p>"
    )
    read = mail("Content-Type: text/html", html)
    assert [line for line in read.text.split("\n") if line] == ["Uno", "Due & tre"]


def test_an_empty_plain_form_gives_way_to_the_html() -> None:
    body = crlf(
        "--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n<p>Eccomi</p>\n--b--\n"
    )
    assert mail("Content-Type: multipart/alternative; boundary=b", body).text == "Eccomi"


def test_an_html_charset_named_only_in_the_markup() -> None:
    body = b'<html><head><meta charset="koi8-r"></head><p>' + "Привет".encode("koi8-r")
    assert mail("Content-Type: text/html", body).text == "Привет"


def test_a_mail_inside_a_mail_is_kept_whole() -> None:
    inner = "From: x@y.example\nSubject: Il fatto\n\nDentro\n"
    read = mail(MIXED, crlf(f"--b\n\nVedi\n--b\nContent-Type: message/rfc822\n\n{inner}--b--\n"))
    (file,) = read.attachments
    assert (file.name, file.content_type) == ("Il fatto.eml", "message/rfc822")
    assert file.data == crlf(inner).encode()[:-2]
    assert read.text == "Vedi"


@pytest.mark.parametrize(
    "body",
    [
        "--b\n\nUno\n--b\n\nDue\n",  # no closing delimiter
        "--b  \n\nUno\n--b\t\n\nDue\n--b--\n",  # blanks after it
        "--b\n\nUno\n--b\n\nDue\n--b--",  # no line break at the end
        "--bb\nnon mio\n--b\n\nUno\n--b\n\nDue\n--b--\n",  # a longer one is another
        "--b\n\nUno\n\n--b\n\nDue\n\n\n--b--\nEpilogo\n--b\n\nTre\n",
    ],
)
def test_finds_parts_between_delimiters(body: str) -> None:
    read = mail(MIXED, crlf(body))
    assert read.text.split() == ["Uno", "Due"]


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        ("Content-Type: multipart/mixed", "--xyz\n\nUno\n--xyz--\n", "Uno"),  # no boundary named
        ("Content-Type: multipart/mixed; boundary=altro", "Solo testo\n", "Solo testo\n"),
        ("Content-Type: =?utf-8?Q?text?=", "Ciao", "Ciao"),
        ("Content-Type: text", "Ciao", "Ciao"),
        ("Content-Type:", "Ciao", "Ciao"),
        ("Content-Transfer-Encoding: base64", base64.b64encode(b"Ciao").decode(), "Ciao"),
        ("Content-Transfer-Encoding: base64", "Q2lh\nbw\n", "Ciao"),
        ("Content-Transfer-Encoding: base64", "Q2k=\nYW8=\n", "Ciao"),
        ("Content-Transfer-Encoding: base64", "Egregi, è solo testo. Saluti!", None),
        ("Content-Transfer-Encoding: quoted-printable", "Cos=EC =\nva=ZZ", "Così va=ZZ"),
        ("Content-Transfer-Encoding: inventata", "Ciao", "Ciao"),
        ('Content-Transfer-Encoding: "7bit" (commento)', "Ciao", "Ciao"),
    ],
)
def test_reads_broken_bodies(head: str, body: str, text: str | None) -> None:
    assert mail(head, crlf(body)).text == (body if text is None else crlf(text).replace("\r", ""))


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a@b.example\rSubject: Ciao\r\rTesto\r",
        b"From: a@b.example\nSubject: Ciao\n\nTesto\n",
        b"From a@b.example Mon Mar 16 09:12:44\r\nFrom: a@b.example\r\nSubject: Ciao\r\n\r\nTesto",
        b"From: a@b.example\r\nSubject: Ciao\r\nTesto",  # the blank line is missing
        b"From : a@b.example\r\nSUBJECT:Ciao\r\n\r\nTesto",
        b"From: a@b.example\r\r\nSubject: Ciao\r\r\n\r\r\nTesto",
    ],
)
def test_reads_odd_line_ends_and_heads(raw: bytes) -> None:
    read = parse(raw)
    assert (read.from_address, read.subject) == ("a@b.example", "Ciao")
    assert read.text.strip() == "Testo"


def test_a_slip_in_the_head_does_not_end_it() -> None:
    read = parse(
        b"From: a@b.example\r\nX-Lungo: uno\r\ndue senza rientro\r\nSubject: Ciao\r\n\r\nEcco"
    )
    assert (read.subject, read.text) == ("Ciao", "Ecco")


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"\x00", b"Subject: x", b"testo nudo\r\n\r\naltro"])
def test_reads_next_to_nothing(raw: bytes) -> None:
    assert parse(raw).from_address == ""


def test_text_without_any_header_is_text() -> None:
    assert parse(b"testo nudo\r\n\r\naltro").text == "testo nudo\n\naltro"


@pytest.mark.parametrize(
    ("header", "message_id"),
    [
        ("<a@b>", "<a@b>"),
        (" <a@b> (commento)", "<a@b>"),
        ("a@b", "<a@b>"),
        ("<[@]>", "<[@]>"),
        ("<lungo\n @b>", "<lungo@b>"),
        ("", None),
        ("<>", None),
        ("due parole", None),
    ],
)
def test_reads_message_ids(header: str, message_id: str | None) -> None:
    assert mail(f"Message-ID: {header}\nFrom: a@b.example").message_id == message_id


def test_keeps_the_first_and_the_latest_references() -> None:
    read = mail("References:" + "".join(f"\n <{n}@x>" for n in range(300)))
    assert len(read.references) == 100
    assert (read.references[0], read.references[-1]) == ("<0@x>", "<299@x>")


@pytest.mark.parametrize(
    ("header", "date"),
    [
        ("Mon, 16 Mar 2026 08:00:00 -0000", datetime(2026, 3, 16, 8, tzinfo=UTC)),
        ("16 Mar 2026 08:00 GMT", datetime(2026, 3, 16, 8, tzinfo=UTC)),
        ("lunedì 16 marzo", None),
        ("Mon, 99 Mar 2026 08:00:00 +0100", None),
        ("Mon, 16 Mar 99999999999 08:00:00 +0100", None),
        ("Mon, 01 Jan 0001 00:00:00 +9999", None),
    ],
)
def test_reads_dates(header: str, date: datetime | None) -> None:
    assert mail(f"Date: {header}").date == date


def test_falls_back_to_the_sender_header() -> None:
    assert mail("From:\nSender: s@b.example").from_address == "s@b.example"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("X-Sportello-Loop: another's", None),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=b", "bounce"),
        ("From: MAILER-DAEMON@mx.example", "machine-name"),
        ("Content-Type: multipart/report; report-type=disposition-notification", "read-receipt"),
        ("Subject: Risposta automatica: token", "subject"),
        ("Subject: R: Fuori ufficio", "subject"),
        ("Auto-Submitted: auto-replied\nSubject: Fuori ufficio", "auto-submitted"),
        ("X-Autoreply: yes\nSubject: Grazie", "out-of-office"),
        ("Auto-Submitted: auto-replied (vacation)", "auto-submitted"),
        ("Return-Path: <>", "null-sender"),
        ("List-Id: <utenti.example>", "list"),
        ("Precedence: Bulk", "precedence"),
        ("Auto-Submitted: no\nSubject: Il mio fuori ufficio non parte", None),
        ("Precedence: first-class", None),
    ],
)
def test_knows_automatic_mail(head: str, reason: str | None) -> None:
    assert mail(f"{head}\nX-Fine: 1").auto_reason == reason


def test_the_envelope_decides_on_the_null_sender() -> None:
    assert parse(b"Subject: x\r\n\r\n", envelope_from="").auto_reason == "null-sender"
    assert parse(b"Return-Path: <>\r\n\r\n", envelope_from="a@b.example").auto_reason is None


@pytest.mark.parametrize(
    "head", ["X-Auto-Response-Suppress: DR, OOF, AutoReply", "From: no-reply@banca.example"]
)
def test_some_people_want_no_automatic_answer(head: str) -> None:
    read = mail(head)
    assert read.wants_no_reply
    assert read.auto_reason is None
