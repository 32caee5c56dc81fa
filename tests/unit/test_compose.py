"""Composed mail as the wire and other programs need it; nothing smuggles a header in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_ingest.compose import MAX_REFERENCES, OutFile, compose
from mail_ingest.parse import parse

DATE = datetime(2026, 3, 16, 9, 12, 40, tzinfo=UTC)


def make(
    *,
    sender: str = "assistenza@desk.example",
    sender_name: str = "Assistenza",
    recipient: str = "mario@comune.example",
    subject: str = "Re: token [rtpec #9630]",
    text: str = "Buongiorno.\n",
    html: str | None = None,
    message_id: str = "<out.1@desk.example>",
    in_reply_to: str | None = None,
    references: Sequence[str] = (),
    reply_to: str | None = None,
    attachments: Sequence[OutFile] = (),
    automatic: bool = False,
    loop_stamp: str = "sportello-1",
) -> bytes:
    return compose(
        sender=sender,
        sender_name=sender_name,
        recipient=recipient,
        subject=subject,
        text=text,
        html=html,
        message_id=message_id,
        in_reply_to=in_reply_to,
        references=references,
        reply_to=reply_to,
        date=DATE,
        attachments=attachments,
        automatic=automatic,
        loop_stamp=loop_stamp,
    )


def by_library(raw: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(raw)
    for part in message.walk():
        assert not part.defects
    return message


def fit_for_the_wire(raw: bytes) -> None:
    assert raw.isascii()
    assert b"\x00" not in raw
    assert raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    assert raw.endswith(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_a_plain_answer() -> None:
    raw = make(in_reply_to="<q@comune.example>", references=["<a@x>", "<q@comune.example>"])
    fit_for_the_wire(raw)
    message = by_library(raw)
    assert message["From"] == "Assistenza <assistenza@desk.example>"
    assert message["To"] == "mario@comune.example"
    assert message["Subject"] == "Re: token [rtpec #9630]"
    assert message["Date"].datetime == DATE
    assert message["Message-ID"] == "<out.1@desk.example>"
    assert message["In-Reply-To"] == "<q@comune.example>"
    assert message["References"] == "<a@x> <q@comune.example>"
    assert message["Auto-Submitted"] is None
    assert message["X-Sportello-Loop"] is None
    assert message.get_content() == "Buongiorno.\r\n"


@pytest.mark.parametrize(
    ("in_reply_to", "submitted"), [(None, "auto-generated"), ("<q@x.example>", "auto-replied")]
)
def test_automatic_mail_says_so(in_reply_to: str | None, submitted: str) -> None:
    raw = make(automatic=True, in_reply_to=in_reply_to)
    message = by_library(raw)
    assert message["Auto-Submitted"] == submitted
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["X-Sportello-Loop"] == "sportello-1"
    assert parse(raw).auto_reason == "auto-submitted"
    assert parse(raw).x_loop == "sportello-1"


def test_html_files_and_images() -> None:
    files = [
        OutFile(
            name="verbale perché.pdf", content_type="application/pdf", data=b"%PDF-\x00\xff" * 50
        ),
        OutFile(name="logo.png", content_type="image/png", data=b"\x89PNG", content_id="logo@x"),
        OutFile(name="mail.eml", content_type="message/rfc822", data=b"Subject: x\n\n"),
    ]
    raw = make(text="Così.\n", html='<p>Così</p><img src="cid:logo@x">', attachments=files)
    fit_for_the_wire(raw)
    message = by_library(raw)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
        "application/octet-stream",
    ]
    read = parse(raw)
    assert read.text == "Così.\n"
    assert read.html is not None
    assert "cid:logo@x" in read.html
    kept = {file.name: (file.data, file.inline) for file in read.attachments}
    assert kept == {
        "verbale perché.pdf": (files[0].data, False),
        "logo.png": (b"\x89PNG", True),
        "mail.eml": (b"Subject: x\n\n", False),
    }
    theirs = {part.get_filename() for part in message.walk() if part.get_filename()}
    assert theirs == set(kept)


def test_images_without_html_are_files_beside() -> None:
    file = OutFile(name="logo.png", content_type="image/png", data=b"x", content_id="logo@x")
    assert [one.name for one in parse(make(attachments=[file])).attachments] == ["logo.png"]


def test_references_keep_the_first_and_the_latest() -> None:
    chain = [f"<{n}@x.example>" for n in range(200)]
    raw = make(references=chain, in_reply_to="<199@x.example>")
    fit_for_the_wire(raw)
    kept = parse(raw).references
    assert len(kept) == MAX_REFERENCES
    assert (kept[0], kept[-1]) == (chain[0], chain[-1])


def test_the_answered_mail_closes_the_chain() -> None:
    read = parse(make(references=["<q@x.example>", "<a@x.example>"], in_reply_to="<q@x.example>"))
    assert read.references == ("<a@x.example>", "<q@x.example>")


@pytest.mark.parametrize("bad", ["a\r\nBcc: x@y.example", "a\nb", "a\rb", "a\x00b"])
@pytest.mark.parametrize(
    "field",
    [
        "sender",
        "sender_name",
        "recipient",
        "subject",
        "message_id",
        "reply_to",
        "loop_stamp",
    ],
)  # fmt: skip - one row
def test_refuses_line_breaks_in_headers(field: str, bad: str) -> None:
    with pytest.raises(ValueError, match="must"):
        make(**{"automatic": True, field: bad})  # type: ignore[arg-type] # a field a case


@pytest.mark.parametrize("bad", ["a\r\nX: y", "<a@x>\r\n <b@x>", "a@x", "<a b@x>", "<>"])
def test_refuses_what_is_no_message_id(bad: str) -> None:
    with pytest.raises(ValueError, match="Message-ID"):
        make(message_id=bad)


@pytest.mark.parametrize(
    "bad",
    ["a\r\nBcc: x@y.example", "<\x01@x.example>", "<\u00e8@x.example>", f"<{'i' * 990}@x.example>"],
)
def test_ids_of_others_that_no_mail_can_carry_are_left_out(bad: str) -> None:
    raw = make(references=["<a@x.example>", bad], in_reply_to=bad, automatic=True)
    fit_for_the_wire(raw)
    read = parse(raw)
    assert (read.in_reply_to, read.references) == (None, ("<a@x.example>",))
    assert read.auto_submitted == "auto-replied"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "mario",
        "a@b.example, c@d.example",
        "a b@c.example",
        "<a@b.example>",
        "è@b.example",
        "a@b@c.example",
        "x" * 400 + "@b.example",
        "a@" + "è" * 80 + ".example",
    ],
)  # fmt: skip - one row
def test_refuses_what_is_no_address(bad: str) -> None:
    with pytest.raises(ValueError, match="To"):
        make(recipient=bad)


def test_refuses_line_breaks_in_file_names_and_ids() -> None:
    for name, content_id in (("a\r\nX: y", None), ("a", "x\r\ny"), ("a", "x>y")):
        file = OutFile(name=name, content_type="text/plain", data=b"", content_id=content_id)
        with pytest.raises(ValueError, match="must"):
            make(html="<p>", attachments=[file])


def test_a_wrong_content_type_becomes_a_plain_file() -> None:
    file = OutFile(name="a", content_type="text/plain\r\nX: y", data=b"x")
    assert b"X: y" not in make(attachments=[file])


def test_a_domain_with_other_letters_is_written_in_ascii() -> None:
    assert by_library(make(recipient="mario@perché.example"))["To"] == "mario@xn--perch-fsa.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "senza fine riga",
        ".\n.punto\n..\n",
        "From qui\n",
        "riga lunga " * 200,
        "x" * 5000,
        "è" * 5000,
        "日本語" * 100,
        "fine riga \t\n  = =3D\n",
        "unix\ndos\r\nmac\rfine",
        "a\x00b\x07\n",
    ],
)
def test_any_text_comes_through(text: str) -> None:
    raw = make(text=text, html=f"<pre>{text}</pre>")
    fit_for_the_wire(raw)
    whole = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    assert parse(raw).text.rstrip("\n") == whole.rstrip("\n")
    body = by_library(raw).get_body(("plain",))
    assert body is not None


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=120)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(subject=_TEXT, name=_TEXT, text=st.text(st.characters(codec="utf-8"), max_size=300))
def test_names_subjects_and_texts_come_through(subject: str, name: str, text: str) -> None:
    raw = make(subject=subject, sender_name=name, text=text)
    fit_for_the_wire(raw)
    read = parse(raw)
    assert read.from_address == "assistenza@desk.example"
    assert read.subject == subject.strip().removeprefix("\ufeff").strip() or "\ufeff" in subject
    by_library(raw)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf"]), max_size=150))
def test_file_names_come_through(name: str) -> None:
    file = OutFile(name=name, content_type="application/pdf", data=b"x")
    message = by_library(make(attachments=[file]))
    (part,) = message.iter_attachments()
    assert (part.get_filename() or "") == name
