"""HTML of a mail: made safe to show, and made text to read.

Neither function raises. Remote images are taken out (they tell the sender who reads when); images
of the mail itself (`cid:`) stay and are resolved where the page is made. Source: mail.md 2.7, 6.4.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nh3

#: Longest HTML that is sanitised or laid out; above it the text is cut out roughly.
MAX_HTML = 1 << 20
#: Open elements above which the sanitiser's time grows with their square.
MAX_NESTING = 1000
#: Markup above which tags are measured, and the longest that passes: attributes cost their square.
MEASURED = 16_000
MAX_TAG = 4000
#: Tags from which the layout's parser may have lost what lies too deep.
MANY_TAGS = 200

_TAG = re.compile(r"<[^<>]*>")
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/li|/h[1-6]|/blockquote)\b[^<>]*>", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style|title|head)\b[^<>]*>", re.IGNORECASE)
_NAME = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:]*)")
_IN_TAG = re.compile(r"""=\s*(?:"[^"]*"|'[^']*')|[^>=]+|=|>""")
#: Elements that hold nothing or that the next of their kind closes.
_FLAT = {
    "area",
    "base",
    "br",
    "col",
    "dd",
    "dt",
    "embed",
    "hr",
    "img",
    "input",
    "li",
    "link",
    "meta",
    "option",
    "p",
    "source",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "wbr",
}  # fmt: skip - one tag a line would hide the list
_BLANK_LINES = re.compile(r"\n{3,}")
_END_BLANKS = re.compile(r"[ \t\r\f\v\xa0]+\n")
_EMBEDDED = re.compile(r"data:image/(?:png|gif|jpe?g|webp);base64,", re.IGNORECASE)

_TAGS = {
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
}  # fmt: skip - one tag a line would hide the list
#: Elements whose content is no text of the letter.
_DROPPED = {
    "script",
    "style",
    "title",
    "template",
    "noscript",
    "iframe",
    "object",
    "embed",
    "svg",
    "math",
    "select",
    "textarea",
    "audio",
    "video",
    "noembed",
    "noframes",
    "xmp",
}  # fmt: skip - one tag a line would hide the list
_CELL = {"align", "valign", "width", "height", "bgcolor", "colspan", "rowspan"}
_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "blockquote": {"type"},
    "col": {"span", "width"},
    "div": {"align"},
    "font": {"color", "face", "size"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start", "type"},
    "p": {"align"},
    "table": {"align", "bgcolor", "border", "cellpadding", "cellspacing", "width"},
    "td": _CELL,
    "th": _CELL,
    "tr": {"align", "valign", "bgcolor"},
}
_SCHEMES = {"http", "https", "mailto", "tel", "cid", "data"}
_LINKS = ("http:", "https:", "mailto:", "tel:")


def sanitise(markup: str) -> str | None:
    """Markup that can be shown in a sandboxed frame; None when it is too much to be made safe."""
    if not can_sanitise(markup):
        return None
    return _cleaner().clean(markup)


@cache
def _cleaner() -> nh3.Cleaner:
    """Return the sanitiser; its rules take as long to read as a mail."""
    import nh3  # noqa: PLC0415 - loaded with the first mail that has HTML

    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_DROPPED,
        attributes=_ATTRIBUTES,
        attribute_filter=_filter_attribute,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def can_sanitise(markup: str) -> bool:
    """False for markup built to keep the sanitiser busy: too long, too deep, endless tags."""
    if len(markup) > MAX_HTML:
        return False
    if markup.count("<") > MAX_NESTING and _is_deep(markup):
        return False
    return not _has_endless_tag(markup)


def _is_deep(markup: str) -> bool:
    """Counts elements left open; a closing tag counts only against its own kind."""
    opened: Counter[str] = Counter()
    depth = 0
    for found in _NAME.finditer(markup):
        name = found[2].lower()
        if name in _FLAT:
            continue
        if not found[1]:
            opened[name] += 1
            depth += 1
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
        if depth > MAX_NESTING:
            return True
    return False


def _has_endless_tag(markup: str) -> bool:
    """Measures each tag without its quoted values, as the sanitiser reads it."""
    start = _NAME.search(markup) if len(markup) > MEASURED else None
    while start is not None:
        position = start.end()
        length = 0
        for token in _IN_TAG.finditer(markup, position):
            position = token.end()
            if token[0] == ">":
                break
            length += 1 if token[0].endswith(("'", '"')) else len(token[0])
            if length > MAX_TAG:
                return True
        start = _NAME.search(markup, position)
    return False


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if name == "src":
        inside = value.lower().startswith("cid:") or (tag == "img" and _EMBEDDED.match(value))
        return value if inside else None
    if name == "href":
        return value if value.strip().lower().startswith(_LINKS) else None
    return value


def to_text(markup: str) -> str:
    """The text a reader would see, with line breaks where the layout has them."""
    markup = markup.replace("\x00", "\ufffd")
    fits = len(markup) <= MAX_HTML and not _has_endless_tag(markup)
    laid_out = _lay_out(markup) if fits else ""
    if laid_out and markup.count("<") < MANY_TAGS:
        return laid_out
    # The parser below the layout drops what is nested too deep, without a word.
    cut_out = _cut_out(markup)
    return laid_out if _letters(laid_out) * 10 >= _letters(cut_out) * 9 else cut_out


def _lay_out(markup: str) -> str:
    from inscriptis import get_text  # noqa: PLC0415 - brings lxml: loaded when needed

    try:
        return _tidy(get_text(markup))
    except Exception:  # noqa: BLE001 - whatever the layout cannot take is cut out roughly
        return ""


def _letters(text: str) -> int:
    return sum(map(len, text.split()))


def _cut_out(markup: str) -> str:
    """Text between the tags; linear, for what the layout cannot take."""
    kept: list[str] = []
    position = 0
    for found in _UNSEEN.finditer(markup):
        if found.start() < position:
            continue
        end = markup.find(f"</{found[1]}", found.end())
        if end < 0:  # not closed: rather show it than lose what follows
            break
        kept.append(markup[position : found.start()])
        position = end
    kept.append(markup[position:])
    text = _TAG.sub(" ", _BREAK.sub("\n", "".join(kept)))
    return _tidy(html.unescape(text))


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return _BLANK_LINES.sub("\n\n", _END_BLANKS.sub("\n", text + "\n")).strip()


def as_html(text: str) -> str:
    """Plain text as markup, for a mail that mixes both."""
    return '<div dir="auto">' + html.escape(text.strip("\n")).replace("\n", "<br>") + "</div>"
