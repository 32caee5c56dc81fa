"""What a profile answers: numbers, references, labels, notices, addresses, hours."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.desk_files import load_desks
from config.settings import EXAMPLE_DESKS
from core.desk_hours import DeskHoursAndTargets
from core.desk_profile import DeskProfile, Desks, base_address

LABELS: dict[str, dict[str, list[str]]] = tomllib.loads(
    (Path(__file__).parent / "desk_labels.toml").read_text(encoding="utf-8")
)
ROWS = [(code, row, text) for code, rows in LABELS.items() for row in rows for text in rows[row]]


@pytest.fixture(scope="module")
def desks() -> Desks:
    return load_desks(EXAMPLE_DESKS)


@pytest.fixture(scope="module")
def shown(desks: Desks) -> dict[str, list[str]]:
    """Every text of every example desk."""
    return {code: list(_texts(desk.model_dump(mode="json"))) for code, desk in desks.items()}


def _texts(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for value in values for text in _texts(value)]


def desk(**changes: Any) -> DeskProfile:
    values = {"code": "uno", "name": "Sportello Uno", "intake": [{"address": "uno@example.it"}]}
    return DeskProfile.model_validate(values | changes)


class TestExampleDesks:
    def test_each_row_has_its_words(self) -> None:
        rows = {row for rows in LABELS.values() for row in rows}
        assert len(rows) == 127

    @pytest.mark.parametrize(("code", "row", "text"), ROWS)
    def test_words_stand_to_the_letter(
        self, shown: dict[str, list[str]], code: str, row: str, text: str
    ) -> None:
        assert any(text in candidate for candidate in shown[code]), row

    @pytest.mark.parametrize(
        ("code", "address"),
        [
            ("rtpec", "assistenza.rt@namirial.com"),
            ("condafne", "hdintesa@advalia.com"),
            ("infocamere-rma", "odr@infocamere.it"),
            ("kybernes", "assistenza@kybernes.example"),
            ("aruba-firma", "assistenza@aruba-firma.example"),
        ],
    )
    def test_mailboxes(self, desks: Desks, code: str, address: str) -> None:
        assert desks[code].address == address
        assert desks.by_address(address) is desks[code]

    @pytest.mark.parametrize(
        ("code", "first"),
        [
            ("infocamere-rma", "000315"),
            ("rtpec", "9631"),
            ("condafne", "1001"),
            ("kybernes", "1001"),
            ("aruba-firma", "1001"),
        ],
    )
    def test_first_number(self, desks: Desks, code: str, first: str) -> None:
        assert desks[code].format_number(desks[code].number.start) == first

    def test_the_customer_of_kybernes_gets_exactly_two_automatic_mails(self, desks: Desks) -> None:
        assert mailed_to_requester(desks["kybernes"]) == ["ticket_opened", "ticket_closed"]

    def test_the_customer_of_condafne_gets_the_three_announced(self, desks: Desks) -> None:
        announced = ["ticket_opened", "ticket_taken", "ticket_closed"]
        assert mailed_to_requester(desks["condafne"]) == announced

    def test_internal_messages_are_for_operators_only(self, desks: Desks) -> None:
        for profile in desks.values():
            assert profile.notices_for("internal_message", "operators")
            assert not profile.notices_for("internal_message", "requester")

    def test_a_notice_that_is_off_says_why(self, desks: Desks) -> None:
        silent = [notice for d in desks.values() for notice in d.notices if not notice.enabled]
        assert silent
        assert all(notice.reason for notice in silent)

    def test_only_condafne_publishes_times(self, desks: Desks) -> None:
        assert [code for code, profile in desks.items() if profile.targets] == ["condafne"]
        high = desks["condafne"].targets["High"]
        assert (high.reaction.amount, high.presidio.amount, high.altri.amount) == (30, 480, 720)

    def test_desks_without_published_hours_say_so(self, desks: Desks) -> None:
        silent = {code for code, profile in desks.items() if not profile.hours}
        assert silent == {"infocamere-rma", "kybernes"}
        assert all(desks[code].hours_note for code in silent)

    def test_every_status_has_its_own_words(self, desks: Desks) -> None:
        for profile in desks.values():
            assert len(profile.statuses) == 8

    def test_the_line_of_a_contact_splits_into_words_and_value(self, desks: Desks) -> None:
        labels = [contact.label for contact in desks["rtpec"].contacts]
        assert labels == ["NUMERO VERDE", "EMAIL", "", "FORM", "WEBSITE"]


def mailed_to_requester(profile: DeskProfile) -> list[str]:
    return [
        notice.event
        for notice in profile.notices
        if notice.enabled and notice.audience == "requester" and notice.channel == "email"
    ]


class TestProfile:
    def test_three_keys_make_a_desk(self) -> None:
        small = desk()
        assert small.sender_name == "Sportello Uno"
        assert small.status_label("pending_third") == "in attesa di terzi"
        assert small.severity_label("High") == "High"
        assert small.notices_for("ticket_opened", "requester") == ()

    def test_it_is_frozen(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            desk().name = "Altro"

    def test_numbers_are_padded_to_their_width(self) -> None:
        wide = desk(number={"start": 1, "width": 6})
        assert wide.subject_reference(314) == "[uno #000314]"
        assert wide.format_number(1234567) == "1234567"

    def test_status_words(self) -> None:
        profile = desk(statuses={"closed": {"label": "CHIUSO", "help": "Finita."}, "open": "Nuova"})
        assert (profile.status_label("closed"), profile.status_help("closed")) == (
            "CHIUSO",
            "Finita.",
        )
        assert (profile.status_label("open"), profile.status_help("open")) == ("Nuova", "")

    def test_the_signature_is_filled_in_and_nothing_more(self) -> None:
        signed = desk(signature="{operator}, {desk}").sign("Ada {desk}")
        assert signed == "Ada {desk}, Sportello Uno"

    @pytest.mark.parametrize("signature", ["{nome}", "{operator.password}", "{operator", "{}"])
    def test_a_signature_knows_only_two_names(self, signature: str) -> None:
        with pytest.raises(ValidationError, match=r"only|write"):
            desk(signature=signature)


class TestDesks:
    def test_two_desks_cannot_share_a_code(self) -> None:
        other = desk(intake=[{"address": "due@example.it"}])
        with pytest.raises(ValueError, match="two desks with the code `uno`"):
            Desks([desk(), other])

    def test_two_desks_cannot_share_a_mailbox(self) -> None:
        other = desk(code="due", intake=[{"address": "UNO@example.it"}])
        with pytest.raises(ValueError, match=r"UNO@example\.it"):
            Desks([desk(), other])

    @pytest.mark.parametrize(
        "address", ["uno@example.it", "UNO@Example.IT", "uno+a.b-c@example.it", " uno@example.it "]
    )
    def test_a_desk_is_found_by_its_address(self, address: str) -> None:
        found = Desks([desk()]).by_address(address)
        assert found is not None
        assert found.code == "uno"

    @pytest.mark.parametrize("address", ["", "uno", "due@example.it", "uno@example.com", "+@", "@"])
    def test_no_other_address_is_a_desk(self, address: str) -> None:
        assert Desks([desk()]).by_address(address) is None

    @given(st.text(max_size=60))
    def test_any_text_is_an_address_or_none(self, text: str) -> None:
        assert base_address(base_address(text)) == base_address(text)
        Desks([desk()]).by_address(text)


class TestHours:
    def test_a_range_a_day_and_a_break(self) -> None:
        hours = {"mon-fri": ["09:00", "13:00", "14:00", "18:00"], "sat": ["00:00", "24:00"]}
        contract = DeskHoursAndTargets.model_validate({"hours": hours})
        assert contract.windows(0) == contract.windows(4) == ((540, 780), (840, 1080))
        assert contract.windows(5) == ((0, 1440),)
        assert contract.windows(6) == ()

    @pytest.mark.parametrize(
        ("hours", "said"),
        [
            ({"lun": ["09:00", "18:00"]}, "no day"),
            ({"fri-mon": ["09:00", "18:00"]}, "backwards"),
            ({"mon": ["18:00", "09:00"]}, "pairs"),
            ({"mon": ["09:00"]}, "pairs"),
            ({"mon": []}, "pairs"),
            ({"mon": ["09:00", "13:00", "12:00", "18:00"]}, "pairs"),
            ({"mon-fri": ["09:00", "18:00"], "wed": ["09:00", "12:00"]}, "twice"),
            ({"mon": ["9:00", "18:00"]}, "pattern"),
            ({"mon": ["09:00", "25:00"]}, "pattern"),
        ],
    )
    def test_hours_that_make_no_sense(self, hours: dict[str, list[str]], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            DeskHoursAndTargets.model_validate({"hours": hours})

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ({"amount": 1, "unit": "working_days"}, "needs `ends"),
            ({"amount": 30, "unit": "staffed", "ends": "closing"}, "only for `working_days`"),
            ({"amount": 0, "unit": "staffed"}, "greater than 0"),
            ({"amount": 30, "unit": "hours"}, "staffed"),
        ],
    )
    def test_targets_that_make_no_sense(self, target: dict[str, Any], said: str) -> None:
        targets = {"High": dict.fromkeys(("reaction", "presidio", "altri"), target)}
        values = {"hours": {"mon": ["09:00", "18:00"]}, "targets": targets}
        with pytest.raises(ValidationError, match=said):
            DeskHoursAndTargets.model_validate(values)

    def test_staffed_targets_need_hours_and_elapsed_ones_do_not(self) -> None:
        def contract(unit: str) -> DeskHoursAndTargets:
            target = {"amount": 30, "unit": unit}
            targets = {"High": dict.fromkeys(("reaction", "presidio", "altri"), target)}
            return DeskHoursAndTargets.model_validate({"targets": targets})

        assert contract("elapsed").targets["High"].reaction.amount == 30
        with pytest.raises(ValidationError, match="counted in `hours`"):
            contract("staffed")

    def test_severities_by_code_alone(self) -> None:
        contract = DeskHoursAndTargets.model_validate({"severities": ["High", "Info"]})
        assert [severity.shown for severity in contract.severities] == ["High", "Info"]
        with pytest.raises(ValidationError, match="worst first"):
            DeskHoursAndTargets.model_validate({"severities": ["Info", "High"]})

    @pytest.mark.parametrize(
        ("holidays", "said"),
        [
            ({"country": "ZZ"}, "no holidays are known"),
            ({"country": "IT", "subdiv": "ZZ"}, "no subdivision `ZZ`"),
            ({"country": None, "subdiv": "NA"}, "needs its country"),
            ({"patron": "24-06"}, "pattern"),
        ],
    )
    def test_holidays_that_do_not_exist(self, holidays: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            DeskHoursAndTargets.model_validate({"holidays": holidays})

    def test_a_zone_must_exist(self) -> None:
        with pytest.raises(ValidationError, match="Europe/Rome"):
            DeskHoursAndTargets.model_validate({"tz": "GMT+1 "})
