"""When a desk is staffed and what it promises: hours, holidays, severities, targets. No sums."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

SeverityCode = Literal["High", "Medium", "Low", "Info"]
Unit = Literal["staffed", "working_days", "elapsed"]
Ends = Literal["same_time", "closing"]
Windows = tuple[tuple[int, int], ...]

SEVERITY_ORDER: tuple[SeverityCode, ...] = ("High", "Medium", "Low", "Info")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = r"^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$"


class DeskPart(BaseModel):
    """Base of every piece of a desk file: frozen, and a key nobody knows is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Holidays(DeskPart):
    country: str | None = Field(
        default="IT",
        description="Country whose national holidays are observed (ISO 3166, `IT`); null: none.",
    )
    subdiv: str | None = Field(
        default=None, description="Subdivision of that country with holidays of its own, e.g. `NA`."
    )
    patron: str | None = Field(
        default=None,
        pattern=r"^(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$",
        description="Patron saint's day of the town, each year, as `MM-DD`.",
    )
    closures: tuple[date, ...] = Field(
        default=(), description="Single days on which the desk is closed, as `YYYY-MM-DD`."
    )

    @field_validator("country")
    @classmethod
    def _country_is_known(cls, country: str | None) -> str | None:
        if country is not None and country not in _known_countries():
            raise ValueError(f"no holidays are known for country `{country}`: try `IT`")
        return country

    @field_validator("subdiv")
    @classmethod
    def _subdivision_is_known(cls, subdiv: str | None, info: ValidationInfo) -> str | None:
        if subdiv is None or "country" not in info.data:
            return subdiv
        if (country := info.data["country"]) is None:
            raise ValueError("a subdivision needs its country: add `country: IT`")
        if subdiv not in (known := _known_countries()[country]):
            listed = ", ".join(sorted(known)) or "none"
            raise ValueError(f"`{country}` has no subdivision `{subdiv}`; known: {listed}")
        return subdiv


class Severity(DeskPart):
    """One step of the Operator's *gravità*; the stored code never changes, the words do."""

    code: SeverityCode = Field(description="Stored code.")
    label: str = Field(default="", description="What people read; the code where it is empty.")
    definition: str = Field(default="", description="When this severity applies, for people.")

    @property
    def shown(self) -> str:
        """The label, or the code of a severity without one."""
        return self.label or self.code


class Target(DeskPart):
    """One promised time (acceptance.md 1.6.7: each target names its unit)."""

    amount: int = Field(
        gt=0, description="Minutes for `staffed` and `elapsed`, days for `working_days`."
    )
    unit: Unit = Field(
        description="`staffed`: counted only while the desk is staffed; `working_days`: the day of "
        "opening is not counted; `elapsed`: by the clock on the wall, day and night."
    )
    ends: Ends | None = Field(
        default=None,
        validate_default=True,
        description="Only for `working_days`: due at the `same_time` of that day, or at `closing`.",
    )

    @field_validator("ends")
    @classmethod
    def _ends_fits_unit(cls, ends: Ends | None, info: ValidationInfo) -> Ends | None:
        unit = info.data.get("unit")
        if unit == "working_days" and ends is None:
            raise ValueError("`working_days` needs `ends: same_time` or `ends: closing`")
        if unit in {"staffed", "elapsed"} and ends == "closing":
            raise ValueError(f"`closing` is only for `working_days`, not for `{unit}`")
        return ends


class SeverityTargets(DeskPart):
    reaction: Target = Field(description="Until the first human answer or taking in charge.")
    presidio: Target = Field(description="Resolution of what was opened in staffed hours.")
    altri: Target = Field(description="Resolution of what was opened at any other time.")


def _severity_from_code(value: object) -> object:
    return {"code": value} if isinstance(value, str) else value


def _all_severities() -> tuple[Severity, ...]:
    return tuple(Severity(code=code) for code in SEVERITY_ORDER)


# `High` alone is enough where the desk has no words of its own for it.
SeverityEntry = Annotated[
    Severity, BeforeValidator(_severity_from_code, json_schema_input_type=SeverityCode | Severity)
]
Clock = Annotated[str, Field(pattern=CLOCK)]


class DeskHoursAndTargets(DeskPart):
    """The five keys that fix a contract; a file with only these is enough to try its clocks."""

    tz: str = Field(
        default="Europe/Rome", description="Time zone of the desk's wall clock, as `Area/City`."
    )
    hours: Mapping[str, tuple[Clock, ...]] = Field(
        default_factory=dict,
        description="Staffed hours by day or range of days: `mon-fri: ['08:30', '19:00']`, "
        "`sat: ['08:00', '14:00']`; a break is two pairs in one list. Left out: not published.",
    )
    holidays: Holidays = Field(
        default_factory=Holidays, description="Days on which the desk is closed."
    )
    severities: tuple[SeverityEntry, ...] = Field(
        default_factory=_all_severities,
        min_length=1,
        description="The Operator's *gravità*, worst first.",
    )
    targets: Mapping[SeverityCode, SeverityTargets] = Field(
        default_factory=dict,
        description="Promised times by severity; a severity that is not named has no clock.",
    )

    @field_validator("tz")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"unknown time zone `{name}`: use a name such as `Europe/Rome`")
        return name

    @field_validator("hours")
    @classmethod
    def _hours_make_sense(
        cls, hours: Mapping[str, tuple[str, ...]]
    ) -> Mapping[str, tuple[str, ...]]:
        _windows_by_day(hours)
        return hours

    @field_validator("severities")
    @classmethod
    def _severities_are_in_order(cls, severities: tuple[Severity, ...]) -> tuple[Severity, ...]:
        ranks = [SEVERITY_ORDER.index(severity.code) for severity in severities]
        if ranks != sorted(set(ranks)):
            raise ValueError("each severity once, worst first: " + ", ".join(SEVERITY_ORDER))
        return severities

    @field_validator("targets")
    @classmethod
    def _targets_fit(
        cls, targets: Mapping[SeverityCode, SeverityTargets], info: ValidationInfo
    ) -> Mapping[SeverityCode, SeverityTargets]:
        known = [severity.code for severity in info.data.get("severities", ())]
        unknown = [code for code in targets if known and code not in known]
        if unknown:
            raise ValueError(f"not among the desk's severities: {', '.join(unknown)}")
        # A mistake in `hours` is told once, on its own line.
        if info.data.get("hours") == {} and any(map(_needs_hours, targets.values())):
            raise ValueError("`staffed` and `working_days` are counted in `hours`: add them")
        return targets

    def windows(self, weekday: int) -> Windows:
        """Return a weekday's staffed windows (0 is Monday), half-open, in minutes of the day."""
        return _windows_by_day(self.hours).get(weekday, ())

    def severity_label(self, code: str) -> str:
        """Return what people read for a severity; an unknown code comes back as it is."""
        return next((entry.shown for entry in self.severities if entry.code == code), code)


def _needs_hours(entry: SeverityTargets) -> bool:
    return any(target.unit != "elapsed" for target in (entry.reaction, entry.presidio, entry.altri))


def _windows_by_day(hours: Mapping[str, tuple[str, ...]]) -> dict[int, Windows]:
    found: dict[int, Windows] = {}
    for days, clocks in hours.items():
        windows = _windows(days, clocks)
        for weekday in _weekdays(days):
            if weekday in found:
                raise ValueError(f"`{DAYS[weekday]}` is given twice: name each day once")
            found[weekday] = windows
    return found


def _weekdays(days: str) -> range:
    first, _, last = days.partition("-")
    if first not in DAYS or (last or first) not in DAYS:
        raise ValueError(f"`{days}` is no day or range of days: use {', '.join(DAYS)} or `mon-fri`")
    start, end = DAYS.index(first), DAYS.index(last or first)
    if start > end:
        raise ValueError(f"`{days}` runs backwards: the week begins with `mon`")
    return range(start, end + 1)


def _windows(days: str, clocks: tuple[str, ...]) -> Windows:
    minutes = [int(clock[:2]) * 60 + int(clock[3:]) for clock in clocks]
    if not minutes or len(minutes) % 2 or minutes != sorted(set(minutes)):
        raise ValueError(f"`{days}` needs pairs of opening and closing, in order, as `HH:MM`")
    return tuple(zip(minutes[::2], minutes[1::2], strict=True))


@cache
def _known_countries() -> dict[str, list[str]]:
    # Imported late: most desk files name `IT`, but the library is large.
    import holidays  # noqa: PLC0415 - loaded on first use, see above

    listed: dict[str, Any] = holidays.list_supported_countries(include_aliases=False)
    return {country: list(subdivisions) for country, subdivisions in listed.items()}
