"""Times as people read them: relative words, days, hours; wall time of Europe/Rome."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from core import clock
from portal.language import gettext, ngettext

ROME = ZoneInfo("Europe/Rome")

_WEEKDAYS = ("lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica")
_MONTHS = (
    "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno",
    "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre",
)  # fmt: skip
_SOON, _MINUTES, _HOURS, _DAYS = 45, 3570, 84_600, 29.5 * 86_400
_MEGABYTE = 1_000_000
_TIME = Markup('<time datetime="{}" title="{}"{}>{}</time>')


def local(at: datetime) -> datetime:
    """Return an instant on the wall clock of Rome."""
    return at.astimezone(ROME)


def exact(at: datetime) -> str:
    """Write an instant in full, as `22/11/2026 10:53`."""
    return f"{local(at):%d/%m/%Y %H:%M}"


def age(at: datetime, now: datetime) -> str:
    """Say how long ago an instant was; from 30 days on, its date.

    Babel would say "2 settimane fa" where the desks' pages say "15 giorni fa". The thresholds
    are those of the browser's own renewal (frontend/src/js/page.js).
    """
    seconds = (now - at).total_seconds()
    if seconds < _SOON:
        return gettext("adesso")
    if seconds < _MINUTES:
        n = max(1, round(seconds / 60))
        return ngettext("{n} minuto fa", "{n} minuti fa", n).format(n=n)
    if seconds < _HOURS:
        n = max(1, round(seconds / 3600))
        return ngettext("{n} ora fa", "{n} ore fa", n).format(n=n)
    if seconds < _DAYS:
        n = max(1, round(seconds / 86_400))
        return ngettext("{n} giorno fa", "{n} giorni fa", n).format(n=n)
    return f"{local(at):%d/%m/%Y}"


def moment(at: datetime) -> Markup:
    """Return `<time>` with relative words, which the browser renews."""
    return _TIME.format(at.isoformat(), exact(at), Markup(" data-relative"), age(at, clock.now()))


def clock_time(at: datetime) -> Markup:
    """Return `<time>` with the hour."""
    return _TIME.format(at.isoformat(), exact(at), "", f"{local(at):%H:%M}")


def stamp(at: datetime) -> Markup:
    """Return `<time>` with date and hour."""
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), exact(at))


def day_label(day: date, today: date) -> str:
    """Name a day: `Oggi`, `Ieri`, `venerdì 20 novembre 2026`."""
    if day == today:
        return gettext("Oggi")
    if day == today - timedelta(days=1):
        return gettext("Ieri")
    return f"{weekday(day.weekday())} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def weekday(number: int) -> str:
    """Name a day of the week, Monday being 0."""
    return gettext(_WEEKDAYS[number])


def filesize(size: int) -> str:
    """Write a size in bytes as `184 kB` or `1,2 MB`."""
    if size >= _MEGABYTE:
        return f"{size / _MEGABYTE:.1f} MB".replace(".", ",")
    return f"{max(1, round(size / 1000))} kB" if size else "0 kB"
