"""Says whether a desk is staffed now, and until or from when; counts no staffed time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.desk_hours import DeskHoursAndTargets
from portal.language import gettext
from portal.moments import weekday

#: A desk that is not staffed within this many days is not spoken of.
_HORIZON = 30
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether people answer now, in words."""

    open: bool
    text: str


def opening(desk: DeskHoursAndTargets, now: datetime) -> Opening | None:
    """Return the state of a desk at an instant; None where its hours are not published."""
    if not desk.hours:
        return None
    here = now.astimezone(ZoneInfo(desk.tz))
    minute = here.hour * 60 + here.minute
    for start, end in windows(desk, here.date()):
        if start <= minute < end:
            until = gettext("Gli operatori rispondono ora, fino alle {hour}")
            return Opening(open=True, text=until.format(hour=_hour(end)))
        if minute < start:
            later = gettext("Gli operatori tornano alle {hour}")
            return Opening(open=False, text=later.format(hour=_hour(start)))
    return _next_day(desk, here.date())


def windows(desk: DeskHoursAndTargets, day: date) -> tuple[tuple[int, int], ...]:
    """Return a date's staffed windows in minutes of the day; none on a holiday."""
    rules = desk.holidays
    closed = day in rules.closures or f"{day:%m-%d}" == rules.patron
    if closed or (rules.country and day in _holidays(rules.country, rules.subdiv, day.year)):
        return ()
    return desk.windows(day.weekday())


def _next_day(desk: DeskHoursAndTargets, today: date) -> Opening | None:
    for ahead in range(1, _HORIZON):
        day = today + timedelta(days=ahead)
        found = windows(desk, day)
        if found:
            text = gettext("Gli operatori tornano {day} alle {hour}")
            return Opening(
                open=False, text=text.format(day=_day(day, ahead), hour=_hour(found[0][0]))
            )
    return None


def _day(day: date, ahead: int) -> str:
    if ahead == 1:
        return gettext("domani")
    return weekday(day.weekday()) if ahead < _WEEK else f"{weekday(day.weekday())} {day:%d/%m}"


def _hour(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02}"


@lru_cache(maxsize=32)
def _holidays(country: str, subdiv: str | None, year: int) -> frozenset[date]:
    import holidays  # noqa: PLC0415 - a large library; a portal that starts must not wait for it

    return frozenset(holidays.country_holidays(country, subdiv=subdiv, years=year))
