"""The tables and small decisions of core: retries, transitions, instants, errors, sight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from core import access, clock, contents, operators, timeline
from core.errors import CallerError, Conflict, NotAllowed, NotPossible, Permanent, Transient
from core.model import (
    TRANSITIONS,
    DeskMembership,
    Fact,
    IdentityKind,
    Operator,
    OperatorRole,
    Requester,
    Status,
    Ticket,
    Visibility,
    table,
)
from core.model.base import Instant
from core.model.tickets import ENDED
from core.outbox import CHANNEL_DOWN, LATER_RETRIES, RETRIES, Retry, retry_after
from core.reactions import REACTIONS
from core.requesters import normal_address

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


# --- retries -----------------------------------------------------------------------------------


def decide(fault: BaseException, attempts: int, *, limit: int | None = 5, days: float = 0) -> Retry:
    """Return what follows a failure."""
    since = timedelta(days=days)
    return retry_after(fault, attempts=attempts, limit=limit, since=since, now=NOW)


@pytest.mark.parametrize(
    ("attempts", "wait"), [*enumerate(RETRIES, 1), (5, LATER_RETRIES), (50, LATER_RETRIES)]
)
def test_waits_grow_and_spread_a_little(attempts: int, wait: timedelta) -> None:
    retries = [decide(OSError(), attempts, limit=None) for _ in range(50)]
    waits = {retry.due_at - NOW for retry in retries if retry.due_at is not None}
    assert len(waits) > 1
    assert all(0.9 * wait <= one <= 1.1 * wait for one in waits)
    assert all(retry.counted for retry in retries)


@pytest.mark.parametrize(("attempts", "over"), [(4, False), (5, True), (6, True)])
def test_attempts_have_a_limit(attempts: int, *, over: bool) -> None:
    assert (decide(ValueError(), attempts).due_at is None) is over


@pytest.mark.parametrize(("days", "over"), [(4.99, False), (5.01, True)])
def test_mail_is_tried_for_five_days(days: float, *, over: bool) -> None:
    assert (decide(Transient(), 30, limit=None, days=days).due_at is None) is over


def test_what_cannot_be_mended_is_not_tried_again() -> None:
    assert decide(Permanent(), 1) == Retry(None, counted=True)


def test_a_channel_that_is_down_is_not_the_entry_s_fault() -> None:
    fault = Transient("away", channel_down=True)
    assert decide(fault, 99, days=99) == Retry(NOW + CHANNEL_DOWN, counted=False)


# --- the Ticket's machine ----------------------------------------------------------------------


@pytest.mark.parametrize("old", Status)
@pytest.mark.parametrize("new", Status)
def test_only_the_table_s_transitions_are_possible(old: Status, new: Status) -> None:
    ticket = Ticket(status=old)
    if new in TRANSITIONS[old]:
        assert ticket.move_to(new) is old
        assert ticket.status is new
    else:
        with pytest.raises(NotPossible):
            ticket.move_to(new)
        assert ticket.status is old


def test_ended_is_what_nothing_follows() -> None:
    assert {Status.CLOSED, Status.MERGED, Status.CANCELLED} == ENDED
    assert set(TRANSITIONS) == set(Status)
    assert Ticket(status=Status.MERGED).ended
    assert not Ticket(status=Status.SOLVED).ended


def test_no_status_leads_out_of_an_ended_one_and_all_others_can_end() -> None:
    for status in set(Status) - ENDED:
        seen: set[Status] = set()
        reached = {status}
        while reached - seen:
            seen |= reached
            reached = {after for one in reached for after in TRANSITIONS[one]}
        assert seen & ENDED


def test_what_leaves_the_house_is_caused_by_few_facts() -> None:
    assert Fact.NOTE_WRITTEN in REACTIONS
    assert set(REACTIONS) == {
        Fact.TICKET_OPENED,
        Fact.TICKET_TAKEN,
        Fact.TICKET_SOLVED,
        Fact.TICKET_CLOSED,
        Fact.REQUESTER_WROTE,
        Fact.NOTE_WRITTEN,
        Fact.OPERATOR_WROTE,
    }


# --- who may -----------------------------------------------------------------------------------


def operator(role: OperatorRole, *, desk_id: int = 1, disabled: bool = False) -> Operator:
    """Return an Operator of one desk."""
    return Operator(
        id=7,
        name="Anna Rossi",
        desks=[DeskMembership(desk_id=desk_id, role=role)],
        disabled_at=NOW if disabled else None,
    )


@pytest.mark.parametrize("role", OperatorRole)
def test_who_may_answer(role: OperatorRole) -> None:
    who = operator(role)
    access.require_staff(who, 1)
    if role is OperatorRole.AMMINISTRATIVO:
        with pytest.raises(NotAllowed):
            access.require_answering(who, 1)
    else:
        access.require_answering(who, 1)
    for refused in (who, operator(role, disabled=True)):
        for require in (access.require_staff, access.require_answering):
            with pytest.raises(NotAllowed):
                require(refused, 2 if refused is who else 1)


def test_only_operators_read_internal_messages() -> None:
    assert Visibility.INTERNAL in access.readable(operator(OperatorRole.OPERATORE))
    for other in (Requester(id=1, name="Giulia"), None):
        assert access.readable(other) == (Visibility.PUBLIC,)


def test_people_have_names_in_the_timeline() -> None:
    assert timeline.actor(operator(OperatorRole.TECNICO)) == "operator:7"
    assert timeline.actor(Requester(id=12, name="Giulia")) == "requester:12"


# --- small things ------------------------------------------------------------------------------


@given(st.text())
def test_storable_text_is_stored_by_every_database(text: str) -> None:
    kept = contents.storable(text)
    assert "\0" not in kept
    assert kept.encode().decode() == kept
    assert len(kept) == len(text)


def test_halves_of_characters_are_not_stored() -> None:
    assert contents.storable("a\ud800b\0c") == "a?b\N{REPLACEMENT CHARACTER}c"


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()])
def test_instants_are_aware_and_utc(dialect: object) -> None:
    column = Instant()
    rome = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=1)))
    bound = column.process_bind_param(rome, dialect)  # type: ignore[arg-type] # any dialect
    assert column.process_result_value(bound, dialect) == rome  # type: ignore[arg-type] # as above
    assert column.process_bind_param(None, dialect) is None  # type: ignore[arg-type] # as above
    assert column.process_result_value(None, dialect) is None  # type: ignore[arg-type] # as above
    with pytest.raises(ValueError, match="time zone"):
        column.process_bind_param(datetime(2026, 11, 23), dialect)  # type: ignore[arg-type] # noqa: DTZ001 - that is the fault


def test_the_clock_is_aware_and_utc() -> None:
    assert clock.now().tzinfo is UTC


def test_an_error_speaks_by_its_docstring_unless_told() -> None:
    assert str(NotAllowed()) == "Non hai i permessi per questa operazione."
    assert str(Conflict("Già fatto.")) == "Già fatto."
    assert issubclass(Conflict, CallerError)
    assert not Transient("away").channel_down


def test_addresses_are_compared_in_lower_case_but_foreign_ids_are_not() -> None:
    assert normal_address(IdentityKind.EMAIL, " Giulia@X.Example ") == "giulia@x.example"
    assert normal_address(IdentityKind.CMS, " AbC ") == "AbC"


@pytest.mark.parametrize("text", ["a@b", "admin@localhost", "è@x.example"])
def test_addresses(text: str) -> None:
    assert operators.is_address(text)


@pytest.mark.parametrize("text", ["", "a", "@b", "a@", "a b@c", "a@b,c@d", "<a@b>", "a@b\r\nX: y"])
def test_no_addresses(text: str) -> None:
    assert not operators.is_address(text)


def test_a_table_is_the_model_s() -> None:
    assert table(Ticket) is Ticket.__table__
