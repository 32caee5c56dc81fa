"""Read desk files into profiles, or tell each mistake with its file, line and field."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from config.desk_problems import desk_schema, field_path, line_of, problem_line, problems_of
from core.desk_hours import DeskHoursAndTargets
from core.desk_profile import DeskProfile, Desks, base_address
from core.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from config.desk_problems import Location

__all__ = [
    "DeskFileError",
    "desk_schema",
    "load_contract",
    "load_desk",
    "load_desks",
    "new_desk_text",
]

NEW_DESK = Path(__file__).parent / "new_desk.yaml"

Contract = TypeVar("Contract", bound=DeskHoursAndTargets)


class DeskFileError(SetupError):
    """A desk file is wrong: each problem names file, line, field and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Take the problems, one line each; the message is all of them."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class _Constructor(RoundTripConstructor):
    """Leave days as text: a day that does not exist is then told with its line."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_yaml_str)


@dataclass(frozen=True)
class _Desk:
    """A profile with the document it came from, for the lines of later complaints."""

    path: Path
    document: CommentedMap
    profile: DeskProfile


def load_desks(folder: Path) -> Desks:
    """Read every `*.yaml` of a folder; raise DeskFileError with the problems of all files."""
    desks: list[_Desk] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            desks.append(_read_desk(path))
        except DeskFileError as error:
            problems += error.problems
    problems += _clashes(desks)
    if not desks and not problems:
        problems.append(f"{folder}: no desk file here: make one with `sportello desk new`")
    if problems:
        raise DeskFileError(problems)
    return Desks(desk.profile for desk in desks)


def load_desk(path: Path) -> DeskProfile:
    """Read one whole desk; raise DeskFileError with all its problems."""
    return _read_desk(path).profile


def load_contract(path: Path) -> DeskHoursAndTargets:
    """Read hours and targets from any desk file, also from one that has only those keys."""
    document = _read_document(path)
    if set(document) <= set(DeskHoursAndTargets.model_fields):
        return _validated(path, document, DeskHoursAndTargets)
    return _validated(path, document, DeskProfile)


def new_desk_text(code: str, name: str, address: str) -> str:
    """Write the commented file of a new desk; raise DeskFileError where a value does not fit."""
    values = {"code": code, "name": name, "intake": [{"address": address}]}
    try:
        DeskProfile.model_validate(values)
    except ValidationError as error:
        raise DeskFileError(problems_of(Path(f"{code}.yaml"), None, error, DeskProfile)) from error
    texts = {"code": code, "name": name, "address": address, "mail_line": f"E-mail: {address}"}
    # A text in JSON is the same text in YAML, whatever quotes and colons it holds.
    quoted = {key: json.dumps(text, ensure_ascii=False) for key, text in texts.items()}
    return string.Template(NEW_DESK.read_text(encoding="utf-8")).substitute(quoted)


def _read_desk(path: Path) -> _Desk:
    document = _read_document(path)
    return _Desk(path, document, _validated(path, document, DeskProfile))


def _read_document(path: Path) -> CommentedMap:
    yaml = YAML(typ="rt")
    yaml.Constructor = _Constructor
    try:
        document = yaml.load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DeskFileError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DeskFileError(
            [problem_line(path, line, "", "not UTF-8: save it as UTF-8")]
        ) from error
    except MarkedYAMLError as error:
        raise DeskFileError([_syntax_problem(path, error)]) from error
    except YAMLError as error:
        raise DeskFileError([f"{path}: not YAML: {_first_line(error)}"]) from error
    if not isinstance(document, CommentedMap):
        what = "the file must be `key: value` lines: begin from `sportello desk new`"
        raise DeskFileError([problem_line(path, 1, "", what)])
    return document


def _syntax_problem(path: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    what = _first_line(error.problem or error.context or "not understood")
    return problem_line(path, line, "", f"not valid YAML: {what}")


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]


def _validated(path: Path, document: CommentedMap, model: type[Contract]) -> Contract:
    try:
        return model.model_validate(_plain(document))
    except ValidationError as error:
        raise DeskFileError(problems_of(path, document, error, model)) from error


def _plain(node: object) -> object:
    """Strip what the YAML library adds for round trips: plain dicts, lists, texts and numbers."""
    if isinstance(node, CommentedMap):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _clashes(desks: Iterable[_Desk]) -> Iterator[str]:
    """Yield what two desks may not share: a code, a mailbox."""
    codes: dict[str, Path] = {}
    addresses: dict[str, Path] = {}
    for desk in desks:
        yield from _clash(codes, desk.profile.code, desk, ("code",))
        for index, intake in enumerate(desk.profile.intake):
            address = base_address(intake.address)
            yield from _clash(addresses, address, desk, ("intake", index, "address"))


def _clash(seen: dict[str, Path], value: str, desk: _Desk, location: Location) -> Iterator[str]:
    if value in seen:
        what = f"`{value}` is already that of {seen[value]}: choose another"
        yield problem_line(desk.path, line_of(desk.document, location), field_path(location), what)
    seen.setdefault(value, desk.path)
