"""The new part of a reply: the text without the quoted tail and the signature.

Conservative: it cuts only at a form it knows, keeps interleaved answers and forwards whole, and
never returns nothing for something. One pass over the lines. Source: mail.md 5.9 and 5.10.
"""

from __future__ import annotations

import re

#: A line longer than this is a paragraph, never a mark; it also bounds each pattern's work.
MAX_MARK = 500
#: Lines over which a mailer wraps one attribution.
MAX_WRAP = 4
#: Lines below `-- ` that still make a signature.
MAX_SIGNATURE = 15

_OPENING = re.compile(r"\s*(?:-{3,}\s*)?(?:il|in data|on|am|le|el|em|op)\s", re.IGNORECASE)
_WROTE = r"(?:ha\s+scritto|hanno\s+scritto|wrote|a\s+[ée]crit|escribi[óo]|escreveu|schreef)"
_CLOSING = re.compile(
    rf"(?:\b{_WROTE}|\bschrieb\b[^:]{{0,200}}|\bschreef\b[^:]{{0,200}})\s*:\s*(?:-{{3,}})?\s*$",
    re.IGNORECASE,
)
#: What an attribution holds and a sentence that merely sounds like one mostly does not.
_PRECISE = re.compile(r"\d{1,2}[:.]\d{2}|@")
_ORIGINAL = re.compile(
    r"\s*-{2,}\s*(?:messaggio originale|original message|original-nachricht|"
    r"urspr[üu]ngliche nachricht|message d'origine|mensaje original)\s*-{2,}\s*$",
    re.IGNORECASE,
)
_FORWARD = re.compile(
    r"\s*(?:-{3,}\s*)?(?:messaggio inoltrato|forwarded message|inizio messaggio inoltrato|"
    r"begin forwarded message|weitergeleitete nachricht|message transf[ée]r[ée])",
    re.IGNORECASE,
)
_RULE = re.compile(r"\s*(?:_{10,}|-{10,})\s*$")
_FROM = re.compile(r"[\s*]*(?:da|from|von|de)\s*:[\s*]*\S", re.IGNORECASE)
_LABEL = re.compile(
    r"[\s*]*(inviato|data|sent|date|gesendet|envoy[ée]|a|to|an|[àá]|cc|ccn|"
    r"oggetto|subject|betreff|objet|asunto)\s*:",
    re.IGNORECASE,
)
_SUBJECT = {"oggetto", "subject", "betreff", "objet", "asunto"}
_QUOTED = re.compile(r"\s{0,3}>")
_SIGNATURE = re.compile(r"--\s?$")
_MOBILE = re.compile(
    r"\s*(?:inviato (?:da|dal mio|con)\s|sent from (?:my|outlook|yahoo|mail)\b|"
    r"(?:ottieni|scarica) outlook per|get outlook for|inviata da )"
    r"[^.!?<(\[]{0,80}(?:[<(\[]?https?://\S*)?\s*$",
    re.IGNORECASE,
)


def new_part(text: str) -> str:
    """What the sender wrote this time; the whole text where that cannot be told."""
    lines = text.replace("\r\n", "\n").split("\n")
    new = _above_quote(lines)
    new = _without_signature(new)
    return "\n".join(new).strip("\n").rstrip() if _has_text(new) else text.strip()


def _above_quote(lines: list[str]) -> list[str]:
    """The lines before the quoted tail, or below a quote that stands first."""
    for index, line in enumerate(lines):
        if len(line) > MAX_MARK:
            continue
        if _FORWARD.match(line):
            return lines  # a forward is what the sender wants us to read
        if _ORIGINAL.match(line) or _begins_header_block(lines, index):
            return _cut(lines, index)
        end = _attribution_end(lines, index)
        if end:
            return _split_at_attribution(lines, index, end)
    return _without_trailing_quote(lines)


def _cut(lines: list[str], index: int) -> list[str]:
    """The lines above, without the rule that Outlook draws over its quote."""
    above = index
    while above and (not lines[above - 1].strip() or _RULE.match(lines[above - 1])):
        above -= 1
    return lines[:above] if _has_text(lines[:above]) else lines


def _begins_header_block(lines: list[str], index: int) -> bool:
    """`Da: / Inviato: / A: / Oggetto:` in a row, as Outlook quotes."""
    if not _FROM.match(lines[index]):
        return False
    found = [_LABEL.match(line) for line in lines[index + 1 : index + 8] if len(line) <= MAX_MARK]
    labels = {match[1].lower() for match in found if match}
    return len(labels) > 1 and bool(labels & _SUBJECT)


def _attribution_end(lines: list[str], index: int) -> int:
    """The line after an attribution (`Il giorno … ha scritto:`) that begins at `index`, else 0."""
    if not _OPENING.match(lines[index]):
        # `Mario Rossi <…> ha scritto:` before a quote; few lines have a colon, and asking is cheap.
        named = ":" in lines[index] and _CLOSING.search(lines[index])
        return index + 1 if named and _is_quoted_below(lines, index + 1) else 0
    joined = ""
    for end in range(index, min(index + MAX_WRAP, len(lines))):
        if not lines[end].strip() or len(lines[end]) > MAX_MARK:
            return 0
        joined = f"{joined} {lines[end].strip()}"
        if _CLOSING.search(joined):
            sure = _PRECISE.search(joined) or _is_quoted_below(lines, end + 1)
            return end + 1 if sure else 0
    return 0


def _is_quoted_below(lines: list[str], index: int) -> bool:
    below = next((line for line in lines[index : index + 4] if line.strip()), "")
    return bool(_QUOTED.match(below))


def _split_at_attribution(lines: list[str], index: int, end: int) -> list[str]:
    if not _is_quoted_below(lines, end):
        return _cut(lines, index)  # quoted without marks, as from HTML
    kinds = [bool(_QUOTED.match(line)) for line in lines[end:] if line.strip()]
    if all(kinds):
        return _cut(lines, index)
    one_block = kinds == sorted(kinds, reverse=True)
    if one_block and not _has_text(lines[:index]):  # the answer stands below the quote
        last = max(at for at, line in enumerate(lines[end:], end) if _QUOTED.match(line))
        return lines[last + 1 :]
    return lines  # answers between the quoted lines


def _without_trailing_quote(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (not lines[end - 1].strip() or _QUOTED.match(lines[end - 1])):
        end -= 1
    interleaved = any(_QUOTED.match(line) for line in lines[:end])
    return lines if interleaved or not _has_text(lines[:end]) else lines[:end]


def _without_signature(lines: list[str]) -> list[str]:
    end = len(lines)
    for index in range(end - 1, max(end - MAX_SIGNATURE - 2, 0), -1):
        if _SIGNATURE.fullmatch(lines[index]):
            end = index
            break
    while end and (not lines[end - 1].strip() or _is_mobile(lines[end - 1])):
        end -= 1
    return lines[:end] if _has_text(lines[:end]) else lines


def _is_mobile(line: str) -> bool:
    return len(line) <= MAX_MARK and bool(_MOBILE.match(line))


def _has_text(lines: list[str]) -> bool:
    return any(line.strip(" \t>_-\xa0") for line in lines)
