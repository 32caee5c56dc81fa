"""The language of the page being made: gettext by context, Italian being what the sources say."""

from __future__ import annotations

from contextvars import ContextVar
from gettext import NullTranslations

#: The catalogue of this request; without one a text stays as it is written: in Italian.
translations: ContextVar[NullTranslations] = ContextVar("translations", default=NullTranslations())  # noqa: B039 - nobody changes a catalogue


def gettext(text: str) -> str:
    """Return `text` in the page's language."""
    return translations.get().gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """Return the form of a text that fits `number`, in the page's language."""
    return translations.get().ngettext(one, many, number)
