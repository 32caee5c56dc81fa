"""No octets make the parser raise or lose; well-formed mail reads as the library reads it."""

from __future__ import annotations

import base64
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.filenames import MAX_NAME, clean_name
from mail_ingest.addresses import parse_addresses
from mail_ingest.charsets import decode_text
from mail_ingest.headers import decode_header, parameters
from mail_ingest.html_body import sanitise, to_text
from mail_ingest.mime import decode_base64
from mail_ingest.parse import Limits, MailTooComplex, ParsedMail, parse

#: Octets that mean something in a mail, so that random ones reach deep.
_PIECES = st.sampled_from(
    [
        b"From: ",
        b"Subject: ",
        b"To: ",
        b"Message-ID: <[@]>",
        b"Date: ",
        b"References: <",
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"--b",
        b"--b--",
        b"\r\n--b\r\n",
        b"Content-Type: ",
        b"multipart/mixed; boundary=b",
        b'multipart/alternative; boundary="b',
        b"text/html",
        b"text/plain; charset=",
        b"utf-7",
        b"utf-16",
        b"hz",
        b"idna",
        b"\x1b$B",
        b"message/rfc822",
        b"Content-Transfer-Encoding: ",
        b"base64",
        b"quoted-printable",
        b"=?utf-8?Q?",
        b"=?",
        b"?=",
        b"=?x?B?",
        b"filename*0*=utf-8''%",
        b"Content-Disposition: attachment; filename=",
        b'"',
        b"<",
        b">",
        b"(",
        b",",
        b";",
        b":",
        b"@",
        b"<p>",
        b"<script>",
        b"<!--",
        b"&#xD800;",
        b"\\",
        b"\xff",
        b"\xe8",
        b"\x00",
        b" ",
        b"=",
        b"+2AA-",
        b"a",
    ]
)  # fmt: skip - one piece a line would hide the list
_MAILS = st.lists(_PIECES | st.binary(max_size=8), max_size=60).map(b"".join)
#: The first call of some library may be slow on a busy machine; time is measured elsewhere.
_CALM = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def storable(read: ParsedMail) -> None:
    """Whatever came, it can be written to a database and sent as UTF-8."""
    texts = [read.subject, read.text, read.html or "", read.from_address, read.from_name]
    texts += [read.message_id or "", read.in_reply_to or "", *read.references, read.list_id]
    texts += [text for one in (*read.to, *read.cc) for text in (one.address, one.name)]
    texts += [text for one in read.attachments for text in (one.name, one.content_id or "")]
    for text in texts:
        text.encode()
        assert "\x00" not in text


@_CALM
@given(_MAILS)
@example(b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-")
@example(b"From: \x00@\x00\r\nMessage-ID: <\x00>\r\nReferences: <\x00a>\r\n\r\n")
def test_parse_never_raises(raw: bytes) -> None:
    storable(parse(raw))


@_CALM
@given(st.binary(max_size=300))
def test_parse_never_raises_on_noise(raw: bytes) -> None:
    storable(parse(raw))


@_CALM
@given(_MAILS, st.sampled_from(["utf-8", "utf-7", "hz", "gb2312", "x", "", "iso-2022-jp"]))
@example(b"+2AA-\x80", "utf-7")
def test_the_small_readers_never_raise(raw: bytes, label: str) -> None:
    decode_text(raw, label).encode()
    decode_header(raw, label).encode()
    parameters(raw, label)
    parse_addresses(raw, label)
    decode_base64(raw)


@_CALM
@given(st.text(max_size=200))
def test_utf8_text_is_kept_whatever_its_label_says(text: str) -> None:
    assert decode_text(text.encode(), "iso-8859-1") == text.removeprefix("\ufeff") or "\x1b" in text


@_CALM
@given(st.binary(max_size=500))
def test_base64_round_trip(data: bytes) -> None:
    assert decode_base64(base64.encodebytes(data)) == data
    assert decode_base64(base64.b64encode(data)) == data


@_CALM
@given(st.text(max_size=400))
def test_clean_names_are_safe(name: str) -> None:
    clean = clean_name(name)
    assert clean == clean_name(clean)
    assert len(clean) <= MAX_NAME
    assert not set(clean) & set('/\\<>:"|?*\x00\n\u202e\u200b')
    assert not clean.startswith(".")


@_CALM
@given(st.lists(_PIECES | st.binary(max_size=8), max_size=30).map(b"".join))
def test_sanitising_twice_changes_nothing(raw: bytes) -> None:
    once = sanitise(raw.decode("utf-8", "replace"))
    assert once is not None
    assert sanitise(once) == once


@pytest.mark.parametrize(
    "markup",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=' jAvAscript:alert(1)'>x</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
        "<form action=https://x.example><input name=q></form>",
        "<base href=https://x.example>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<style>@import url(https://x.example)</style>",
        "<p style='background:url(https://x.example)'>x</p>",
        "<table background=https://x.example></table>",
        "<img srcset='https://x.example 2x'>",
        "<img src='https://x.example/p.gif'>",
        "<img src='//x.example/p.gif'>",
        "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
        "<meta http-equiv=refresh content='0;url=https://x.example'>",
        "<link rel=stylesheet href=https://x.example>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img onerror=a&gt;'>",
    ],
)
def test_html_loses_what_acts_or_calls_home(markup: str) -> None:
    clean = (sanitise(markup) or "").lower()
    for bad in ("script", "x.example", "onerror=alert", "style", "<form", "<svg", "data:", "<base"):
        assert bad not in clean


def test_html_keeps_links_and_small_pictures_of_its_own() -> None:
    kept = '<a href="https://x.example/a">x</a><img src="data:image/png;base64,AAAA">'
    clean = sanitise(kept) or ""
    assert 'href="https://x.example/a"' in clean
    assert 'src="data:image/png;base64,AAAA"' in clean


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"x" * 2001, "2000 octets"),
        (b"A: 1\r\n" * 101 + b"\r\n", "header lines"),
        (b"Subject: " + b"x" * 600 + b"\r\n\r\n", "a header of"),
        (b"A: " + b"x" * 490 + b"\r\nB: " + b"x" * 490 + b"\r\nC: 1234567\r\n\r\n", "header block"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 30, "parts"),
        (
            b"".join(
                b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
                for n in range(8)
            ),
            "deeper",
        ),
    ],
)
def test_limits_say_their_reason(raw: bytes, reason: str) -> None:
    small = Limits(octets=2000, head=1000, header=500, header_lines=100, parts=20, depth=5)
    with pytest.raises(MailTooComplex) as caught:
        parse(raw, limits=small)
    assert reason in caught.value.reason


def test_a_huge_html_body_becomes_a_file_and_keeps_its_words() -> None:
    raw = b"Content-Type: text/html\r\n\r\n" + b"<p>parola</p>" * 100_000
    read = parse(raw)
    assert read.html is None
    assert read.text.count("parola") == 100_000
    assert [file.name for file in read.attachments] == ["messaggio.html"]


def test_text_of_html_too_deep_to_lay_out() -> None:
    deep = "<div>" * 5_000 + "<p>in fondo</p><script>no</script>" + "</div>" * 5_000
    assert to_text(deep) == "in fondo"


_WORDS = st.text(alphabet="abc èé€ù,.@'\"()", min_size=1, max_size=40).map(str.strip).filter(bool)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(subject=_WORDS, name=_WORDS, text=_WORDS, html=_WORDS, data=st.binary(max_size=100))
def test_agrees_with_the_library_on_well_formed_mail(
    *, subject: str, name: str, text: str, html: str, data: bytes
) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = "mario@x.example"
    message["Subject"] = subject
    message.set_content(text)
    message.add_alternative(f"<p>{html}</p>", subtype="html")
    message.add_attachment(data, maintype="application", subtype="pdf", filename=f"{name}.pdf")
    raw = message.as_bytes()
    theirs = BytesParser(policy=policy.default).parsebytes(raw)
    ours = parse(raw)
    assert ours.subject == str(theirs["Subject"]).strip()
    plain = theirs.get_body(("plain",))
    assert plain is not None
    assert ours.text.strip() == plain.get_content().strip()
    (file,) = theirs.iter_attachments()
    assert ours.attachments[0].data == file.get_content() == data
    assert ours.attachments[0].name == (clean_name(f"{name}.pdf") or "allegato.pdf")
