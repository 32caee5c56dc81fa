"""`sportello init` and `doctor`: making an installation and looking after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import AsJson, Data, note, say, say_json, settings_of

if TYPE_CHECKING:
    from app.setup import Administrator
    from config.settings import Settings

#: The port of STARTTLS; a server that speaks TLS from the first octet listens elsewhere (RFC 8314).
SUBMISSION = 587


def add_to(app: typer.Typer) -> None:
    """Put these commands at the top level."""
    app.command()(init)
    app.command()(doctor)


def init(
    data: Data = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing: take everything from the environment.")
    ] = False,
) -> None:
    """Make an installation, or change its settings.

    Data folder, store, first administrator, public URL, outgoing mail.

    With --yes from SPORTELLO_PUBLIC_URL, SPORTELLO_MAIL_HOST, _PORT, _SECURITY (none, starttls,
    tls), _USERNAME, _PASSWORD, SPORTELLO_DATABASE and every other setting, and
    SPORTELLO_ADMIN_NAME, _EMAIL, _PASSWORD. What was set is kept in DATA/settings.toml. A
    password that was not given is made up and printed once. Run it again to change settings.
    """
    from app import setup
    from app.passwords import good

    settings = settings_of(data)
    administrator = setup.administrator_from_environment()
    if not yes:
        settings, administrator = _asked(settings, administrator)
    if administrator.password:
        good(administrator.password)
    made = setup.set_up(settings, administrator)
    _tell(settings, made.administrators, made.password)
    if made.mail_fault:
        note(
            f"Outgoing mail does not work yet: {made.mail_fault}. Answers wait until it does;"
            f" run `sportello init --data {settings.data}` again to change its settings."
        )
    note(f"Now start it: sportello serve --data {settings.data}")


def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Say what is wrong and what to do.

    Looks at data folder, settings, desk files, store, clock, time zones, ports, outgoing mail and
    more. Each line is ok, warn or fail; exit 1 if one is fail.
    """
    from app.doctor import examine
    from app.observability import start_logging

    start_logging(level=50)
    findings = examine(data)
    if as_json:
        say_json([one.plain() for one in findings])
    else:
        for one in findings:
            say(f"{one.level:4}  {one.what:14}  {one.says}")
            if one.do:
                say(f"{'':22}-> {one.do}")
    if any(one.level == "fail" for one in findings):
        raise typer.Exit(1)


def _asked(settings: Settings, offered: Administrator) -> tuple[Settings, Administrator]:
    """Ask for what an installation needs, offering what is known."""
    from app import setup
    from app.asking import ask, ask_hidden

    note("Press Enter to take what stands in brackets.")
    url = ask("Public URL, where people reach the portal", settings.public_url or _here(settings))
    host = ask("Mail server for outgoing mail, - for none", settings.mail_host or "-")
    answers = {"public_url": url.rstrip("/"), "mail_host": "" if host == "-" else host}
    settings = settings.model_copy(update=answers | (_asked_mail(settings) if host != "-" else {}))
    if setup.has_administrator(settings):
        return settings, offered
    name = ask("Administrator's name", offered.name)
    email = ask("Administrator's e-mail, to sign in by", offered.email)
    password = ask_hidden("Administrator's password, Enter to have one made up")
    chosen = password or offered.password
    return settings, setup.Administrator(name=name, email=email, password=chosen)


def _asked_mail(settings: Settings) -> dict[str, Any]:
    from app.asking import ask, ask_hidden

    kinds = ("none", "starttls", "tls")
    kind = _until(
        kinds.__contains__, f"Its protection ({', '.join(kinds)})", settings.mail_security
    )
    usual = 465 if kind == "tls" and settings.mail_port == SUBMISSION else settings.mail_port
    port = _until(_is_port, "Its port", str(usual))
    username = ask("User name there, - for none", settings.mail_username or "-")
    login = {"mail_username": "", "mail_password": ""}
    if username != "-":
        password = ask_hidden("Password there, Enter to keep the one that is set")
        login = {"mail_username": username, "mail_password": password or settings.mail_password}
    return {"mail_security": kind, "mail_port": int(port), **login}


def _until(good: Callable[[str], bool], question: str, offered: str) -> str:
    """Ask until the answer is good."""
    from app.asking import ask

    while not good(answer := ask(question, offered)):
        note("That does not fit here.")
    return answer


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) <= 65535  # noqa: PLR2004 - the last port there is


def _here(settings: Settings) -> str:
    from app.addresses import place

    return f"http://{place(settings.host, settings.port)}"


def _tell(settings: Settings, administrators: tuple[str, ...], password: str | None) -> None:
    out = f"{settings.mail_host}:{settings.mail_port} ({settings.mail_security})"
    say(f"data: {settings.data.resolve()}")
    say(f"public url: {settings.public_url or _here(settings)}")
    say(f"mail out: {out if settings.mail_host else 'not set up'}")
    say(f"administrator: {', '.join(administrators)}")
    if password:
        say(f"password: {password}")
