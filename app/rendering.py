"""Renders notices: a template of config/notices in the reader's language becomes a mail."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound

from core.desk_profile import DeskProfile
from core.errors import SetupError
from core.ports import Rendered

FOLDER = Path(__file__).parent.parent / "config" / "notices"
#: A notice that exists in no other language is sent in this one.
FALLBACK = "it"

_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")


class Notices:
    """The Render port on Jinja templates: first line the subject, an empty line, then the text."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read templates from `folder`/`language`/`id`.txt; autoescape is off, it is plain text."""
        self._environment = Environment(  # noqa: S701 - plain text; the HTML form escapes below
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def __call__(self, template: str, context: Mapping[str, Any], *, language: str) -> Rendered:
        """See core.ports.Render."""
        names = [f"{language}/{template}.txt", f"{FALLBACK}/{template}.txt"]
        whole = self._environment.select_template(names).render(context)
        subject, _, text = whole.partition("\n\n")
        subject = " ".join(subject.split())
        text = text.strip() + "\n"
        return Rendered(subject, text, as_html(text))

    def check(self, desks: Iterable[DeskProfile]) -> None:
        """Raise SetupError unless every template that a desk file names exists."""
        for desk in desks:
            for rule in desk.notices:
                if not rule.enabled or rule.channel != "email":
                    continue
                try:
                    self._environment.get_template(f"{FALLBACK}/{rule.template}.txt")
                except TemplateNotFound as fault:
                    raise SetupError(
                        f"desk {desk.code}: the notice `{rule.event}` names the template"
                        f" `{rule.template}`, which is not in config/notices/{FALLBACK}."
                    ) from fault


def as_html(text: str) -> str:
    """Return plain text as simple HTML: paragraphs, line breaks, links; nothing else."""
    paragraphs = (html.escape(one.strip()) for one in re.split(r"\n{2,}", text.strip()))
    body = "\n".join(
        "<p>" + _LINK.sub(r'<a href="\g<0>">\g<0></a>', one).replace("\n", "<br>\n") + "</p>"
        for one in paragraphs
    )
    return f'<!doctype html>\n<html lang="it"><body>\n{body}\n</body></html>\n'
