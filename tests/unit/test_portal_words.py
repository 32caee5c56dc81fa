"""The portal's small pure parts: times, opening hours, file names, lists, cursors, waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chats import Words, _subject
from core.desk_hours import DeskHoursAndTargets, Holidays
from core.logins import TooManyAttempts, spoken
from portal.moments import age, day_label, exact, filesize, local
from portal.opening import opening
from portal.pages.files import file_response
from portal.queries import Cursor, cursor_of
from portal.queue_view import View, view_of
from portal.throttle import Throttle
from portal.uploads import clean_name, clean_type
from portal.visit import safe_next

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-5), "adesso"),
        (timedelta(seconds=44), "adesso"),
        (timedelta(seconds=60), "1 minuto fa"),
        (timedelta(minutes=3), "3 minuti fa"),
        (timedelta(hours=1), "1 ora fa"),
        (timedelta(hours=23), "23 ore fa"),
        (timedelta(days=1), "1 giorno fa"),
        (timedelta(days=15), "15 giorni fa"),
        (timedelta(days=29), "29 giorni fa"),
        (timedelta(days=30), "24/10/2026"),
    ],
)
def test_ages_are_the_seeds(ago: timedelta, text: str) -> None:
    assert age(NOW - ago, NOW) == text


@pytest.mark.parametrize(
    ("utc", "rome"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "29/03/2026 01:59"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "29/03/2026 03:00"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25/10/2026 02:30"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25/10/2026 02:30"),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "01/01/2027 00:30"),
    ],
)
def test_wall_time_follows_the_clocks_change(utc: datetime, rome: str) -> None:
    assert exact(utc) == rome


def test_days_have_names() -> None:
    today = local(NOW).date()
    assert day_label(today, today) == "Oggi"
    assert day_label(today - timedelta(days=1), today) == "Ieri"
    assert day_label(today - timedelta(days=3), today) == "venerdì 20 novembre 2026"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 kB"), (1, "1 kB"), (184_220, "184 kB"), (1_204_220, "1,2 MB")],
)
def test_sizes(size: int, text: str) -> None:
    assert filesize(size) == text


DESK = DeskHoursAndTargets(
    hours={"mon-fri": ("08:30", "13:00", "14:00", "19:00"), "sat": ("08:00", "14:00")},
    holidays=Holidays(patron="11-25"),
)


@pytest.mark.parametrize(
    ("local_time", "is_open", "text"),
    [
        ((2026, 11, 23, 8, 29), False, "Gli operatori tornano alle 8:30"),
        ((2026, 11, 23, 8, 30), True, "Gli operatori rispondono ora, fino alle 13:00"),
        ((2026, 11, 23, 13, 0), False, "Gli operatori tornano alle 14:00"),
        ((2026, 11, 23, 19, 0), False, "Gli operatori tornano domani alle 8:30"),
        ((2026, 11, 24, 20, 0), False, "Gli operatori tornano giovedì alle 8:30"),
        ((2026, 11, 28, 14, 0), False, "Gli operatori tornano lunedì alle 8:30"),
        ((2026, 12, 8, 10, 0), False, "Gli operatori tornano domani alle 8:30"),
        ((2026, 12, 24, 20, 0), False, "Gli operatori tornano lunedì alle 8:30"),
    ],
)
def test_a_desk_says_when_people_answer(
    local_time: tuple[int, int, int, int, int], text: str, *, is_open: bool
) -> None:
    at = datetime(*local_time, tzinfo=UTC) - timedelta(hours=1)
    found = opening(DESK, at)
    assert found is not None
    assert (found.open, found.text) == (is_open, text)


def test_a_desk_without_hours_promises_nothing() -> None:
    assert opening(DeskHoursAndTargets(), NOW) is None


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("relazione.pdf", "relazione.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Utenti\\x\\nota.txt", "nota.txt"),
        ("fattura\u202efdp.exe", "fatturafdp.exe"),
        ("a\r\nSet-Cookie: x", "a Set-Cookie_ x"),
        ("e\u0300.txt", "\u00e8.txt"),
        ("con.txt", "_con.txt"),
        (".htaccess", "htaccess"),
        ("", "allegato"),
        ("///", "allegato"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
    ],
)
def test_file_names_are_cleaned(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


@given(st.text(), st.text(), st.binary(max_size=20))
def test_no_name_breaks_a_header(name: str, kind: str, data: bytes) -> None:
    headers = file_response(name, kind, data).headers
    assert headers["content-disposition"].isascii()
    assert headers["content-disposition"].isprintable()
    assert "sandbox" in headers["content-security-policy"]


@given(st.text())
def test_a_cleaned_name_is_clean(name: str) -> None:
    once = clean_name(name)
    assert clean_name(once) == once
    assert 0 < len(once) <= 150
    assert "/" not in once
    assert "\\" not in once


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("image/png", "image/png"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("", "application/octet-stream"),
        ("text/html\r\nX: y", "application/octet-stream"),
        ("x" * 300 + "/y", "application/octet-stream"),
    ],
)
def test_media_types_are_cleaned(raw: str, clean: str) -> None:
    assert clean_type(raw) == clean


@given(st.text())
def test_no_address_leads_elsewhere(url: str) -> None:
    there = safe_next(url, "/richieste")
    assert there.startswith("/")
    assert not there.startswith(("//", "/\\"))
    assert there.isprintable()


def test_a_list_is_its_address() -> None:
    for view in (View(), View("mie", "rtpec", oldest_first=True, search="più & meno")):
        query = view.query()
        pairs = dict(pair.split("=") for pair in query.split("&") if pair)
        from urllib.parse import unquote_plus  # noqa: PLC0415 - only here

        assert view_of({name: unquote_plus(value) for name, value in pairs.items()}) == view
    assert View().url() == "/console"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(0, 10**17))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_a_cursor_survives_its_address(at: datetime, row: int) -> None:
    for back in (True, False):
        cursor = Cursor((at.replace(tzinfo=UTC), row), back)
        assert cursor_of(cursor.text()) == cursor


@given(st.text())
def test_no_cursor_raises(text: str) -> None:
    cursor_of(text)


def test_a_throttle_waits_for_the_oldest_act() -> None:
    throttle = Throttle(limit=2, seconds=60)
    throttle.act("a", now=NOW)
    throttle.act("a", now=NOW + timedelta(seconds=20))
    throttle.act("b", now=NOW)
    with pytest.raises(TooManyAttempts, match="fra 30 secondi"):
        throttle.act("a", now=NOW + timedelta(seconds=30))
    throttle.act("a", now=NOW + timedelta(seconds=61))


def test_waits_are_spoken() -> None:
    told = [spoken(one) for one in (1, 30, 60, 61, 300)]
    assert told == [
        "fra un secondo", "fra 30 secondi", "fra un minuto", "fra 2 minuti", "fra 5 minuti",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Ciao", "Ciao"),
        ("Prima riga\nseconda", "Prima riga seconda"),
        ("parola " * 30, "parola " * 10 + "parola…"),
    ],
)
def test_a_chats_subject_is_its_first_words(text: str, subject: str) -> None:
    assert _subject(Words(text=text, external_id="1")) == subject
