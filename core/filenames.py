"""Names of attachments as people may see and save them; storage never uses them.

Source: mail.md 2.7 (bidi controls, separators, leading dots, Windows device names, 150 characters).
"""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 150
#: Longest ending that is kept when a name is cut.
MAX_ENDING = 20

_SEPARATORS = re.compile(r"[/\\]")
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_SPACE = re.compile(r"\s+")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)


def clean_name(name: str) -> str:
    """A name that is safe to show and to save under; empty when nothing of it is left."""
    last = _SEPARATORS.split(name)[-1] or _SEPARATORS.sub("_", name).strip("_")
    # Category C is controls, formats (bidi and zero-width among them), surrogates, unassigned.
    kept = "".join(
        c for c in last[: MAX_NAME * 8] if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    composed = unicodedata.normalize("NFC", kept)
    plain = _SPACE.sub(" ", _FORBIDDEN.sub("_", composed)).strip().strip(".").strip()
    if _DEVICE.match(plain):
        plain = "_" + plain
    return _cut(plain)


def _cut(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) < MAX_ENDING:
        return stem[: MAX_NAME - len(ending) - 1] + dot + ending
    return name[:MAX_NAME]
