"""Logging: facts with keys on standard error, people's addresses cut out; it keeps no log file."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from config.settings import Settings

# Bounded repeats: a log line may quote a stranger, and must not cost more than its length.
_ADDRESS = re.compile(r"([^\s@<>\"'(),;:=\[\]]{1,64})@((?:[\w-]{1,63}\.){1,8}[\w-]{2,63})")

#: Libraries whose INFO speaks of each connection or command.
_TALKATIVE = ("mail.log", "alembic", "uvicorn.error", "amqp", "kombu", "celery")


def start_logging(settings: Settings | None = None, *, level: int = logging.INFO) -> None:
    """Send all logs of this process to standard error, as the settings' `log` says.

    `text` is for people (`time [level] event key=value`), `json` for programs, one object a line.
    A repeat replaces the former arrangement.
    """
    as_json = settings is not None and settings.log == "json"
    shared = _shared()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact,
            _renderer(as_json=as_json),
        ],
    )
    handler = _ToStandardError()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def redact_email(text: str) -> str:
    """Return `text` with each mail address cut to its first letter: `g…@comune.example`.

    The domain stays: it is what a person who looks after mail needs, and names nobody.
    """
    return _ADDRESS.sub(lambda found: f"{found[1][0]}…@{found[2]}", text)


class _ToStandardError(logging.StreamHandler[Any]):
    """Write to what standard error is now, not to what it was when logging started."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _stream: object) -> None:
        """Leave it: there is only one."""


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        # As text in both forms: a structured traceback would carry local variables, secrets too.
        structlog.processors.format_exc_info,
    ]


def _renderer(*, as_json: bool) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        timestamp_key="at",
        pad_event_to=0,
        pad_level=False,
    )


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact_email(value) if "@" in value else value
    if isinstance(value, Mapping):
        return {key: _redacted(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redacted(one) for one in value]
    return value if isinstance(value, (int, float, type(None))) else _redacted(str(value))
