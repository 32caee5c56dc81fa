"""Sending mail over SMTP on a kept connection; each sending ends in one of four outcomes.

It neither retries later nor records anything: that is the outbox's. TLS is always verified.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")

Security = Literal["none", "starttls", "tls"]

#: After so many idle seconds the kept connection is asked whether it still lives.
ASK_AFTER = 30.0
#: Longest answer of a server that is kept.
MAX_TEXT = 500

OK = 250
RECIPIENT_OK = (250, 251, 252)
SEND_DATA = 354
CLOSING = 421
#: 4xx is for now, 5xx for good.
TEMPORARY, PERMANENT, BEYOND = 400, 500, 600
#: Answers to MAIL that say we are not let in: the channel's fault, not the mail's.
NOT_LET_IN = (530, 534, 535, 538)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOut:
    """Where outgoing mail is handed over."""

    host: str
    port: int = 587
    security: Security = "starttls"
    username: str | None = None
    password: str | None = None
    #: Certificates to trust beside the system's, as a PEM file.
    ca_file: Path | None = None
    #: Seconds for each step of the dialogue.
    timeout: float = 30.0
    #: Our name in EHLO; the machine's own when not given.
    hello: str | None = None

    def __repr__(self) -> str:
        return f"MailOut({self.host}:{self.port}, {self.security}, username={self.username!r})"


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the mail for this recipient."""

    reply: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server did not take it: for now, or for good."""

    code: int
    text: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The answer after the final dot was lost: the mail may have been taken. Keep its id."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No server, no TLS or no login: the channel's fault, no attempt of the mail counts."""

    reason: str


Outcome = Sent | Refused | Uncertain | Unreachable


@dataclass(frozen=True, slots=True)
class _Stale:
    """The connection ended before MAIL was answered: nothing was handed over."""

    reason: str


class Mailer:
    """Sends one mail at a time over one connection that it keeps; safe to share by threads."""

    def __init__(self, out: MailOut) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._connection: smtplib.SMTP | None = None
        self._used_at = 0.0

    def send(self, envelope_from: str, recipient: str, raw: bytes) -> Outcome:
        """Hand one mail over for one recipient; an empty `envelope_from` is the null sender.

        What goes wrong on the wire is an outcome, not an exception. ValueError: an address with a
        blank, a control character or an angle bracket in it.
        """
        for address in (envelope_from, recipient):
            if any(character <= " " or character in "<>\x7f" for character in address):
                raise ValueError("an envelope address must not hold blanks, controls or brackets")
        with self._lock:
            return self._send(envelope_from, recipient, raw)

    def check(self) -> Unreachable | None:
        """Connect and sign in without sending anything; None when that works."""
        with self._lock:
            self._close()
            try:
                self._open()
            except _NOT_REACHED as error:
                return Unreachable(_why(error, self._out))
            return None

    def close(self) -> None:
        """End the kept connection; the next sending opens another."""
        with self._lock:
            self._close()

    def _send(self, envelope_from: str, recipient: str, raw: bytes) -> Outcome:
        kept = self._alive()
        if kept is not None:
            outcome = self._transact(kept, envelope_from, recipient, raw)
            if not isinstance(outcome, _Stale):
                return outcome
        # No connection, or the server closed the kept one meanwhile: once more on a fresh one.
        try:
            fresh = self._open()
        except _NOT_REACHED as error:
            return Unreachable(_why(error, self._out))
        outcome = self._transact(fresh, envelope_from, recipient, raw)
        return Unreachable(outcome.reason) if isinstance(outcome, _Stale) else outcome

    def _alive(self) -> smtplib.SMTP | None:
        """The kept connection, asked first when it has been idle for long."""
        connection = self._connection
        if connection is None or monotonic() - self._used_at < ASK_AFTER:
            return connection
        try:
            if connection.noop()[0] == OK:
                return connection
        except OSError:
            pass
        self._drop()
        return None

    def _open(self) -> smtplib.SMTP:
        """Connect, secure and sign in. Raises one of _NOT_REACHED."""
        self._drop()
        out = self._out
        hello = out.hello or _own_name()
        if out.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                out.host, out.port, hello, timeout=out.timeout, context=self._tls()
            )
        else:
            connection = smtplib.SMTP(out.host, out.port, hello, timeout=out.timeout)
        try:
            connection.ehlo_or_helo_if_needed()
            if out.security == "starttls":
                connection.starttls(context=self._tls())
                connection.ehlo()
            if out.username is not None:
                connection.login(out.username, out.password or "")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _tls(self) -> ssl.SSLContext:
        # smtplib verifies nothing without a context.
        context = ssl.create_default_context()
        if self._out.ca_file is not None:
            context.load_verify_locations(cafile=self._out.ca_file)
        return context

    def _transact(
        self, connection: smtplib.SMTP, envelope_from: str, recipient: str, raw: bytes
    ) -> Outcome | _Stale:
        """MAIL, RCPT, DATA, the mail, and the answer that decides."""
        self._used_at = monotonic()
        if not _can_take(connection, envelope_from + recipient):
            return Refused(553, "the server takes no such letters in addresses", permanent=True)
        try:
            code, text = connection.mail(
                envelope_from, _options(connection, envelope_from, recipient, raw)
            )
        except OSError as error:
            self._drop()
            return _Stale(_why(error, self._out))
        if code in (CLOSING, *NOT_LET_IN):
            self._drop()
            said = f"{self._out.host} said {code} {_readable(text)}"
            return _Stale(said) if code == CLOSING else Unreachable(said)
        if code != OK:
            return self._refused(code, text)
        try:
            refused = self._hand_over(connection, recipient, raw)
        except OSError:
            self._drop()
            return Refused(CLOSING, "the connection ended before the mail did", permanent=False)
        return refused or self._verdict(connection)

    def _hand_over(self, connection: smtplib.SMTP, recipient: str, raw: bytes) -> Refused | None:
        """RCPT, DATA and the mail up to its final dot; OSError when the connection ends before."""
        code, text = connection.rcpt(recipient)
        if code not in RECIPIENT_OK:
            return self._refused(code, text)
        code, text = connection.docmd("DATA")
        if code != SEND_DATA:
            return self._refused(code, text)
        connection.send(_dotted(raw))
        return None

    def _verdict(self, connection: smtplib.SMTP) -> Outcome:
        """The answer to the final dot."""
        try:
            code, text = connection.getreply()
        except OSError as error:
            self._drop()
            return Uncertain(f"no answer after the mail: {_why(error, self._out)}")
        if code == OK:
            return Sent(f"{code} {_readable(text)}")
        if not TEMPORARY <= code < BEYOND:
            self._drop()
            return Uncertain(f"the answer after the mail makes no sense: {code} {_readable(text)}")
        return self._refused(code, text)

    def _refused(self, code: int, text: bytes) -> Refused:
        """Make the connection ready for the next mail and say what the server said."""
        if code == CLOSING or not self._reset():
            self._drop()
        return Refused(code, _readable(text), permanent=PERMANENT <= code < BEYOND)

    def _reset(self) -> bool:
        try:
            return self._connection is not None and self._connection.rset()[0] == OK
        except OSError:
            return False

    def _close(self) -> None:
        """End the dialogue politely."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.quit()
        self._drop()

    def _drop(self) -> None:
        """Forget the connection without a word."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _own_name() -> str:
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _can_take(connection: smtplib.SMTP, addresses: str) -> bool:
    return addresses.isascii() or connection.has_extn("smtputf8")


def _options(connection: smtplib.SMTP, envelope_from: str, recipient: str, raw: bytes) -> list[str]:
    options: list[str] = []
    if connection.has_extn("size"):
        options.append(f"SIZE={len(raw)}")
    if not raw.isascii() and connection.has_extn("8bitmime"):
        options.append("BODY=8BITMIME")
    if not (envelope_from + recipient).isascii():
        options.append("SMTPUTF8")
    return options


def _dotted(raw: bytes) -> bytes:
    """The mail as DATA wants it: CRLF everywhere, dots doubled, the final dot."""
    lines = _BARE.sub(b"\r\n", raw)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return (b"\r\n" + lines).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def _readable(text: bytes | str) -> str:
    """An answer of the server on one line, not endless."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(words.split())[:MAX_TEXT]


#: What connecting, TLS and login can end in. smtplib's own errors are OSErrors; UnicodeError is a
#: host name or a password that cannot be put on the wire.
_NOT_REACHED = (OSError, UnicodeError)


def _why(error: Exception, out: MailOut) -> str:
    """What to tell the person who looks after the channel; never holds the password."""
    where = f"{out.host}:{out.port}"
    if isinstance(error, smtplib.SMTPException):
        return f"{where} {_what_smtp(error)}"
    if isinstance(error, ssl.SSLError):
        return f"{where} {_what_tls(error)}"
    if isinstance(error, socket.gaierror):
        return f"the host name {out.host} is not known"
    if isinstance(error, TimeoutError):
        return f"{where} did not answer within {out.timeout:g} seconds"
    if isinstance(error, OSError):
        return f"{where} cannot be reached: {error.strerror or type(error).__name__}"
    return f"the host name or the login for {where} has letters that SMTP does not take"


def _what_smtp(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"refused the login: {error.smtp_code} {_readable(error.smtp_error)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"said {error.smtp_code} {_readable(error.smtp_error)}"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "ended the connection"
    return f"does not offer what the settings ask for: {_readable(str(error))}"


def _what_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"shows a certificate that does not verify: {error.verify_message}"
    return f"cannot speak TLS with us: {error.reason or 'no reason given'}"
