"""One mail that shows whether outgoing mail works, sent past the outbox to see the answer."""

from __future__ import annotations

from dataclasses import dataclass

from app.wiring import loop_stamp, mail_out, public_url
from config.desk_files import load_desks
from config.settings import Settings
from core import clock
from core.desk_profile import DeskProfile
from core.errors import CallerError, SetupError
from core.operators import is_address
from core.references import new_message_id
from mail_ingest.compose import compose
from mail_ingest.sender import Mailer, Outcome, Refused, Sent, Uncertain

SUBJECT = "Prova di invio di Sportello"
TEXT = """\
Questa è una mail di prova dello sportello «{desk}».

Se la leggi, la posta in uscita funziona. Non serve rispondere.

{public_url}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the test mail."""

    sent: bool
    says: str


def send(settings: Settings, address: str, *, desk: str | None = None) -> Answer:
    """Send a test mail from a desk's address (the first desk's by default) and say what happened.

    Raises SetupError where no mail server is set, CallerError on a bad address or desk.
    """
    out = mail_out(settings)
    if out is None:
        raise SetupError(
            "outgoing mail is not set up: run `sportello init`, or set SPORTELLO_MAIL_HOST."
        )
    if not is_address(address):
        raise CallerError(f"`{address}` is no mail address.")
    profile = _desk(settings, desk)
    mailer = Mailer(out)
    try:
        outcome = mailer.send(profile.address, address, _mail(settings, profile, address))
    finally:
        mailer.close()
    return _told(outcome, f"{out.host}:{out.port}", address)


def _desk(settings: Settings, code: str | None) -> DeskProfile:
    desks = load_desks(settings.desk_folder)
    if code is None:
        return next(iter(desks.values()))
    if code not in desks:
        raise CallerError(f"no desk has the code `{code}`: there are {', '.join(desks)}.")
    return desks[code]


def _mail(settings: Settings, desk: DeskProfile, address: str) -> bytes:
    return compose(
        sender=desk.address,
        sender_name=desk.sender_name,
        recipient=address,
        subject=SUBJECT,
        text=TEXT.format(desk=desk.name, public_url=public_url(settings)),
        message_id=new_message_id(desk.address.partition("@")[2]),
        date=clock.now(),
        automatic=True,
        loop_stamp=loop_stamp(settings),
    )


def _told(outcome: Outcome, server: str, address: str) -> Answer:
    if isinstance(outcome, Sent):
        return Answer(
            sent=True, says=f"sent: {server} took the mail for {address}: {outcome.reply}"
        )
    if isinstance(outcome, Refused):
        how = "for good" if outcome.permanent else "for now; try again later"
        return Answer(
            sent=False, says=f"{server} refused the mail ({how}): {outcome.code} {outcome.text}"
        )
    if isinstance(outcome, Uncertain):
        return Answer(sent=False, says=f"nobody knows whether it went out: {outcome.reason}")
    return Answer(
        sent=False,
        says=f"{outcome.reason}: see SPORTELLO_MAIL_HOST, _PORT, _SECURITY, _USERNAME, _PASSWORD.",
    )
