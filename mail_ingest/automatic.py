"""Was a mail written by a machine? One table, first row that fits; it decides nothing.

Source: RFC 3834, mail.md 2.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mail_ingest.headers import Headers

#: The header that our own automatic mail carries.
LOOP_HEADER = "X-Sportello-Loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the rules look at."""

    headers: Headers
    content_type: str
    report_type: str
    from_address: str
    subject: str
    #: Reverse path of the envelope: empty for a bounce, None where it is not known.
    envelope_from: str | None


_OUT_OF_OFFICE = re.compile(
    r"""^\s*(?:(?:re|r|fwd?|i)\s*:\s*)*
    (?: risposta\ automatica | automatic\ reply | auto(?:matic)?[ -]?reply | autoreply
      | out\ of\ (?:the\ )?office | fuori\ (?:ufficio|sede) | assente\ dall'ufficio
      | (?:avviso|messaggio|notifica)\ (?:di|automatico\ di)\ assenza
      | messaggio\ automatico\ di\ risposta | abwesenheits | automatische\ antwort
      | r[ée]ponse\ automatique | absence\ du\ bureau | respuesta\ autom[aá]tica
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_MACHINE = re.compile(r"^(?:mailer-daemon|postmaster|mail-daemon|mdaemon)(?:@|$)", re.IGNORECASE)
_NO_REPLY = re.compile(
    r"^(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|non[-_.]?rispondere)\b", re.IGNORECASE
)
_REPLY_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-mail-autoreply")
_LIST_HEADERS = ("list-id", "list-post", "list-unsubscribe", "list-help", "x-mailing-list")
_BULK = {"bulk", "junk", "list"}


def automatic_reason(signs: Signs) -> str | None:
    """Short English code of why the mail counts as automatic, or None for one of a person."""
    return next((code for code, fits in RULES if fits(signs)), None)


def wants_no_reply(signs: Signs) -> bool:
    """True when no automatic mail may answer this one, even if a person wrote it."""
    suppress = signs.headers.text("x-auto-response-suppress").lower()
    asked = {word.strip() for word in suppress.split(",")} & {"all", "dr", "autoreply", "oof"}
    return bool(asked) or bool(_NO_REPLY.match(signs.from_address))


def _is_bounce(signs: Signs) -> bool:
    if signs.content_type == "multipart/report":
        return signs.report_type != "disposition-notification"
    return "x-failed-recipients" in signs.headers


def _is_receipt(signs: Signs) -> bool:
    return signs.report_type == "disposition-notification"


def _is_out_of_office(signs: Signs) -> bool:
    return any(name in signs.headers for name in _REPLY_HEADERS)


def _is_auto_submitted(signs: Signs) -> bool:
    return signs.headers.token("auto-submitted") not in ("", "no")


def _has_null_sender(signs: Signs) -> bool:
    if signs.envelope_from is not None:
        return signs.envelope_from in ("", "<>")
    return signs.headers.first("return-path").strip() == b"<>"


def _is_from_list(signs: Signs) -> bool:
    return any(name in signs.headers for name in _LIST_HEADERS)


def _is_bulk(signs: Signs) -> bool:
    return signs.headers.token("precedence") in _BULK


def _sounds_away(signs: Signs) -> bool:
    return bool(_OUT_OF_OFFICE.match(signs.subject))


def _is_named_as_machine(signs: Signs) -> bool:
    return bool(_MACHINE.match(signs.from_address))


Rule = Callable[[Signs], bool]

#: Order matters: the code that says most comes first.
RULES: tuple[tuple[str, Rule], ...] = (
    ("bounce", _is_bounce),
    ("read-receipt", _is_receipt),
    ("out-of-office", _is_out_of_office),
    ("auto-submitted", _is_auto_submitted),
    ("null-sender", _has_null_sender),
    ("list", _is_from_list),
    ("precedence", _is_bulk),
    ("subject", _sounds_away),
    ("machine-name", _is_named_as_machine),
)

#: Reasons that a person's mail may have as well: somebody asks how a "Fuori ufficio" is set up,
#: or writes as postmaster. It is read like any mail, but nothing automatic answers it.
WRITTEN_BY_PEOPLE = frozenset({"list", "precedence", "subject", "machine-name"})
