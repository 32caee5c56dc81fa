"""Turn what is wrong with a desk file into lines a person can act on: file, line, field, advice."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from core.desk_hours import DeskHoursAndTargets
from core.desk_profile import DeskProfile

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]
Schema = dict[str, Any]

# What pydantic says, said for somebody who edits a desk file.
ADVICE = {
    "missing": "is missing: add it",
    "string_type": "must be text: put it in quotes",
    "string_too_short": "is empty: fill it in",
    "too_short": "is empty: give at least one entry",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list: one `- ` line for each entry",
    "mapping_type": "must be a group of `key: value` lines",
    "model_type": "must be a group of `key: value` lines",
    "date_from_datetime_parsing": "must be a day: write `YYYY-MM-DD`",
    "date_type": "must be a day: write `YYYY-MM-DD`",
}


@cache
def desk_schema() -> Schema:
    """Return the JSON Schema of a desk file: a whole desk, or hours and targets alone."""
    schema = TypeAdapter(DeskProfile | DeskHoursAndTargets).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sportello desk file",
        **schema,
    }


def problem_line(path: Path, line: int, field: str, what: str) -> str:
    """Write one problem as `file:line: field: what is wrong and what to do`."""
    return f"{path}:{line}: {field}: {what}" if field else f"{path}:{line}: {what}"


def problems_of(
    path: Path, document: object, error: ValidationError, model: type[DeskHoursAndTargets]
) -> list[str]:
    """Write every problem pydantic found in a document, in the order of its lines."""
    found = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # only the echo of entries that are themselves told as wrong
        location = tuple(part for part in detail["loc"] if part != "[key]")
        advice = _advice(detail, location, model)
        found.append((line_of(document, location), field_path(location), advice))
    return [problem_line(path, *entry) for entry in sorted(set(found))]


def line_of(document: object, location: Location) -> int:
    """Return the line of a field, counted from 1; of what would hold it where it is missing."""
    node, line = document, 1
    for part in location:
        if not isinstance(node, CommentedMap | CommentedSeq) or part not in node.lc.data:
            break
        line = node.lc.data[part][0] + 1
        node = node[part]
    return line


def field_path(location: Location) -> str:
    """Write a field's place as `intake[0].address`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _advice(detail: ErrorDetails, location: Location, model: type[DeskHoursAndTargets]) -> str:
    kind = detail["type"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return _unknown_key(location, model)
    if kind == "literal_error":
        return f"`{detail['input']}` is not known here: use {detail['ctx']['expected']}"
    if kind == "string_pattern_mismatch":
        return f"`{detail['input']}` has not the right form. {_description(location, model)}"
    return ADVICE.get(kind) or detail["msg"].replace("Input should", "must")


def _unknown_key(location: Location, model: type[DeskHoursAndTargets]) -> str:
    parent, _ = _schema_at(location[:-1], model)
    close = difflib.get_close_matches(str(location[-1]), parent.get("properties", ()), n=1)
    return "unknown key" + (f": did you mean `{close[0]}`?" if close else ": take it out")


def _description(location: Location, model: type[DeskHoursAndTargets]) -> str:
    return _schema_at(location, model)[1]


def _schema_at(location: Location, model: type[DeskHoursAndTargets]) -> tuple[Schema, str]:
    """Return the schema of a field and the nearest description on the way to it."""
    node: Schema = desk_schema()["$defs"][model.__name__]
    description = ""
    for part in location:
        found = node.get("items") if isinstance(part, int) else _property(node, str(part))
        if not found:
            return {}, description
        description = found.get("description", description)
        node = _structured(found)
    return node, description


def _property(node: Schema, name: str) -> Schema | None:
    found: Schema | None = node.get("properties", {}).get(name) or node.get("additionalProperties")
    return found


def _structured(node: Schema) -> Schema:
    """Follow a reference; of several forms take the one with keys of its own."""
    for form in node.get("anyOf", (node,)):
        if "$ref" in form:
            followed: Schema = desk_schema()["$defs"][form["$ref"].rpartition("/")[2]]
            return followed
    return node
