"""The one family of errors, split by whose fault it is; a docstring is the default message."""

from __future__ import annotations

import inspect


class SportelloError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        """Take `message`, or the docstring of the class where none is given."""
        super().__init__(message or inspect.getdoc(type(self)) or type(self).__name__)


class CallerError(SportelloError):
    """La richiesta non è valida."""


class NotAllowed(CallerError):
    """Non hai i permessi per questa operazione."""


class NotFound(CallerError):
    """Non trovato: forse l'indirizzo è sbagliato, oppure non è tuo."""


class Conflict(CallerError):
    """Nel frattempo qualcosa è cambiato: ricarica la pagina e riprova."""


class NotPossible(CallerError):
    """In questo stato l'operazione non è possibile."""


class SetupError(SportelloError):
    """The installation is incomplete: run `sportello doctor`."""


class Transient(SportelloError):
    """A passing fault of ours or of a peer: try again later."""

    def __init__(self, message: str | None = None, *, channel_down: bool = False) -> None:
        """With `channel_down` the whole channel is out of reach and no attempt is counted."""
        super().__init__(message)
        self.channel_down = channel_down


class Permanent(SportelloError):
    """Trying again would not help: set it aside and show it."""
