"""Desk files: good ones are read, of bad ones each mistake names file, line, field and advice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.desk_files import (
    DeskFileError,
    desk_schema,
    load_contract,
    load_desk,
    load_desks,
    new_desk_text,
)
from config.settings import EXAMPLE_DESKS
from core.errors import SportelloError

GOOD = """\
code: uno
name: Sportello Uno
intake:
  - address: uno@example.it
"""
CONTRACT = """\
tz: Europe/Rome
hours: {mon-fri: ["08:30", "19:00"]}
holidays: {country: IT, subdiv: null, closures: [2026-12-24]}
severities: [High, Medium]
targets:
  High:
    reaction: {amount: 30, unit: staffed}
    presidio: {amount: 480, unit: staffed}
    altri: {amount: 1, unit: working_days, ends: closing}
"""

TARGETS = """\
hours: {mon: ["09:00", "18:00"]}
targets:
  High:
    reaction: {amount: 30, unit: staffed}
    presidio: {amount: 3, unit: working_days, ends: same_time}
    altri: {amount: 3, unit: working_days, ends: closing}
"""


def problems(folder: Path, text: str | bytes, *, name: str = "uno.yaml") -> list[str]:
    """Read a text as a desk file; return its problems without the folder's name."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DeskFileError) as caught:
        load_desk(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.removeprefix(f"{folder}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("nome: x\n", "uno.yaml:5: nome: unknown key: did you mean `name`?"),
        ("xyzzy: x\n", "uno.yaml:5: xyzzy: unknown key: take it out"),
        ("name: x\n", 'uno.yaml:5: not valid YAML: found duplicate key "name"'),
        ("hours: [1\n", "uno.yaml:6: not valid YAML: "),
        ("\tx: 1\n", "uno.yaml:5: not valid YAML: "),
        (
            'hours:\n  mon-fri: ["8:30", "19:00"]\n',
            "uno.yaml:6: hours.mon-fri[0]: `8:30` has not the right form. Staffed hours",
        ),
        (
            'hours:\n  mon-fri: ["09:00", "18:00"]\n  fri: ["09:00", "12:00"]\n',
            "uno.yaml:5: hours: `fri` is given twice: name each day once",
        ),
        (
            "holidays:\n  closures:\n    - 2026-12-24\n    - 2026-13-45\n",
            "uno.yaml:8: holidays.closures[1]: must be a day: write `YYYY-MM-DD`",
        ),
        ("tz: Roma\n", "uno.yaml:5: tz: unknown time zone `Roma`: use a name such as"),
        ("statuses:\n  opn: x\n", "uno.yaml:6: statuses.opn: `opn` is not known here: use 'open'"),
        ("signature: '{nome}'\n", "uno.yaml:5: signature: unknown {nome}: only {operator}"),
        ("number: 5\n", "uno.yaml:5: number: must be a group of `key: value` lines"),
        ("number: {start: uno}\n", "uno.yaml:5: number.start: must be a whole number"),
        ("categories: Altro\n", "uno.yaml:5: categories: must be a list"),
        ("categories: [1]\n", "uno.yaml:5: categories[0]: must be text: put it in quotes"),
        ("direct_close: si\n", "uno.yaml:5: direct_close: must be true or false"),
        ("default_priority: Max\n", "uno.yaml:5: default_priority: `Max` is not among"),
        (
            "notices:\n  - {event: opened, audience: requester, template: x}\n",
            "uno.yaml:6: notices[0].event: `opened` is not known here: use 'ticket_opened'",
        ),
        (
            "notices:\n  - {event: ticket_opened, template: x}\n",
            "uno.yaml:6: notices[0].audience: is missing: add it",
        ),
        (
            "notices:\n  - {event: ticket_opened, audience: requester}\n",
            "uno.yaml:6: notices[0].enabled: a notice that is sent needs its `template`",
        ),
        (
            "registered_senders_only: true\n",
            "uno.yaml:1: registration_instructions: needed with `registered_senders_only`",
        ),
        (
            TARGETS.replace(", ends: same_time", ""),
            "uno.yaml:9: targets.High.presidio.ends: `working_days` needs `ends: same_time`",
        ),
        (
            "targets:\n  High:\n    reaction: {amount: 30, unit: elapsed}\n",
            "uno.yaml:6: targets.High.altri: is missing: add it",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(tmp_path: Path, extra: str, said: str) -> None:
    assert problems(tmp_path, GOOD + extra)[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "uno.yaml:1: the file must be `key: value` lines"),
        ("- uno\n", "uno.yaml:1: the file must be `key: value` lines"),
        ("just words\n", "uno.yaml:1: the file must be `key: value` lines"),
        (b"code: uno\nname: perch\xe9\n", "uno.yaml:2: not UTF-8"),
        ("code: uno\nname: a\0b\n", "uno.yaml: not YAML: unacceptable character"),
        ("code: uno\n---\ncode: due\n", "uno.yaml:2: not valid YAML"),
        ("code: *nobody\n", "uno.yaml:1: not valid YAML: found undefined alias"),
        ("code: !!python/name:os.system x\n", "uno.yaml:1: code: must be text"),
        ("? [a, b]\n: 1\n", "uno.yaml:1: "),
        ("1: 2\n", "uno.yaml:1: "),
    ],
)
def test_what_is_no_desk_file_at_all(tmp_path: Path, text: str | bytes, said: str) -> None:
    found = problems(tmp_path, text)
    assert any(problem.startswith(said) for problem in found), found


def test_all_mistakes_of_a_file_are_told_in_its_order(tmp_path: Path) -> None:
    text = (
        "code: due\nlanguage: fr\nintake:\n  - adress: a@b.it\n  - {channel: fax, address: nope}\n"
    )
    assert problems(tmp_path, text) == [
        "uno.yaml:1: name: is missing: add it",
        "uno.yaml:2: language: `fr` is not known here: use 'it' or 'en'",
        "uno.yaml:4: intake[0].address: is missing: add it",
        "uno.yaml:4: intake[0].adress: unknown key: did you mean `address`?",
        "uno.yaml:5: intake[1].address: `nope` has not the right form. Address of the mailbox.",
        "uno.yaml:5: intake[1].channel: `fax` is not known here: use 'email' or 'pec'",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SportelloError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_desk(tmp_path / "nowhere.yaml")


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "uno.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_desk(path).code == "uno"


class TestFolder:
    def test_the_example_desks(self) -> None:
        desks = load_desks(EXAMPLE_DESKS)
        assert sorted(desks) == ["aruba-firma", "condafne", "infocamere-rma", "kybernes", "rtpec"]

    def test_problems_of_all_files_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text(GOOD + "x: 1\n", encoding="utf-8")
        (tmp_path / "b.yaml").write_text("code: b\n", encoding="utf-8")
        with pytest.raises(DeskFileError) as caught:
            load_desks(tmp_path)
        files = [Path(problem.partition(":")[0]).name for problem in caught.value.problems]
        assert files == ["a.yaml", "b.yaml", "b.yaml"]

    def test_two_desks_cannot_share_code_or_mailbox(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
        (tmp_path / "b.yaml").write_text(GOOD.replace("uno@", "UNO@"), encoding="utf-8")
        with pytest.raises(DeskFileError) as caught:
            load_desks(tmp_path)
        a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
        assert caught.value.problems == (
            f"{b}:1: code: `uno` is already that of {a}: choose another",
            f"{b}:4: intake[0].address: `uno@example.it` is already that of {a}: choose another",
        )

    def test_a_mailbox_twice_in_one_file(self, tmp_path: Path) -> None:
        text = GOOD + "  - address: uno@example.it\n"
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(DeskFileError, match=r"a\.yaml:5: intake\[1\]\.address"):
            load_desks(tmp_path)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DeskFileError, match="no desk file here"):
            load_desks(tmp_path)


class TestContract:
    def test_five_keys_are_enough(self, tmp_path: Path) -> None:
        path = tmp_path / "contract.yaml"
        path.write_text(CONTRACT, encoding="utf-8")
        contract = load_contract(path)
        assert contract.targets["High"].altri.ends == "closing"
        assert [day.isoformat() for day in contract.holidays.closures] == ["2026-12-24"]

    def test_a_whole_desk_is_a_contract_too(self) -> None:
        assert load_contract(EXAMPLE_DESKS / "condafne.yaml").targets["Info"].presidio.amount == 5

    def test_its_mistakes_are_told_as_well(self, tmp_path: Path) -> None:
        path = tmp_path / "contract.yaml"
        path.write_text(CONTRACT.replace("High:", "Low:"), encoding="utf-8")
        with pytest.raises(DeskFileError, match=r"yaml:5: targets: not among .* severities: Low"):
            load_contract(path)


class TestNewDesk:
    @pytest.mark.parametrize("name", ["Sportello", 'Perché "no": #1', "L'aiuto $5", "è: {x}"])
    def test_it_is_a_good_desk_file(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "nuovo.yaml"
        path.write_text(new_desk_text("nuovo", name, "aiuto@ente.example"), encoding="utf-8")
        desk = load_desk(path)
        assert (desk.code, desk.name, desk.address) == ("nuovo", name, "aiuto@ente.example")
        assert desk.notices_for("ticket_opened", "requester")

    def test_its_commented_examples_are_right_too(self, tmp_path: Path) -> None:
        text = new_desk_text("nuovo", "Nuovo", "aiuto@ente.example")
        begin, end = text.index("# targets:"), text.index("# --- Notices")
        uncommented = text[begin:end].replace("# ", "", 1).replace("\n# ", "\n")
        path = tmp_path / "nuovo.yaml"
        path.write_text(text[:begin] + uncommented + text[end:], encoding="utf-8")
        assert load_desk(path).targets["High"].reaction.amount == 30

    def test_values_that_do_not_fit_are_refused(self) -> None:
        with pytest.raises(DeskFileError) as caught:
            new_desk_text("Nuovo Desk", "Nuovo", "nessuno")
        assert [problem.split(": ")[1] for problem in caught.value.problems] == [
            "code",
            "intake[0].address",
        ]


class TestSchema:
    def test_it_describes_every_key(self) -> None:
        schema = desk_schema()
        assert json.loads(json.dumps(schema)) == schema
        silent = [
            (name, key)
            for name, part in schema["$defs"].items()
            for key, entry in part["properties"].items()
            if "description" not in entry
        ]
        assert silent == []

    def test_a_whole_desk_or_a_contract_alone(self) -> None:
        forms = [form["$ref"] for form in desk_schema()["anyOf"]]
        assert forms == ["#/$defs/DeskProfile", "#/$defs/DeskHoursAndTargets"]
