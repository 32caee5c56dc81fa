"""The one Settings object: the environment and the folder's settings.toml, read once, frozen."""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.db import sqlite_url
from core.errors import SetupError

#: What a line of settings.toml may hold.
Saved: TypeAlias = str | int | bool | Sequence[str]

#: Octets of a reply key.
MIN_KEY = 16
#: The five example desks, which an installation starts with.
EXAMPLE_DESKS = Path(__file__).parent / "desks"


class Settings(BaseSettings):
    """Everything that differs from one installation to another, desks apart.

    Each field is an environment variable `SPORTELLO_…`; the environment wins over the file.
    """

    model_config = SettingsConfigDict(
        env_prefix="SPORTELLO_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    data: Path = Field(default=Path("var"), description="Folder of all that is kept.")
    database: str = Field(default="", description="Store URL; empty: SQLite in the data folder.")
    broker: str = Field(default="", description="RabbitMQ URL; empty: worker threads.")
    desks: Path | None = Field(default=None, description="Folder of the desk files.")
    public_url: str = Field(default="", description="Where people reach the portal.")
    host: str = Field(default="127.0.0.1", description="Address the portal listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Its port; 0: any free one.")
    smtp_host: str = Field(default="127.0.0.1", description="Address mail is received on.")
    smtp_port: int = Field(default=8025, ge=0, le=65535, description="Its port; 0: any free one.")
    lmtp_port: int | None = Field(default=None, ge=0, le=65535, description="LMTP; empty: off.")
    mail_limit: int = Field(default=30 * 1024 * 1024, gt=0, description="Bytes of one mail.")
    mail_host: str = Field(default="", description="Server that outgoing mail is handed to.")
    mail_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    mail_security: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="How the connection to it is protected."
    )
    mail_username: str = Field(default="", description="Login there; empty: none.")
    mail_password: str = Field(default="", repr=False, description="Password there.")
    mail_ca_file: Path | None = Field(default=None, description="Own CA of that server.")
    demo: bool = Field(default=False, description="Show the mail catcher and the demo's words.")
    workers: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="Worker processes; 0: everything in one process; empty: by the cores.",
    )
    queue: str = Field(default="sportello", description="Queue on the broker.")
    log: Literal["text", "json"] = Field(
        default="text", description="Form of the logs: for people, or one JSON object a line."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Proxies whose X-Forwarded-* headers are believed."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes all by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over what `load` hands in from the file."""
        return env_settings, init_settings

    def environment(self) -> dict[str, str]:
        """Return these settings as the environment of a child process."""
        prefix = str(self.model_config["env_prefix"])
        values = self.model_dump(mode="json", exclude_none=True)
        return {
            f"{prefix}{name}".upper(): json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in values.items()
        }

    @property
    def store_url(self) -> str:
        """The store's URL for SQLAlchemy."""
        return self.database or sqlite_url(self.data)

    @property
    def desk_folder(self) -> Path:
        """The installation's own desk files, or the examples."""
        own = self.desks or self.data / "desks"
        return own if own.is_dir() else EXAMPLE_DESKS

    @property
    def secure(self) -> bool:
        """Whether people come by https, so that cookies may say so."""
        return self.public_url.startswith("https://")


def load(data: Path | None = None, **explicit: Any) -> Settings:
    """Read settings: arguments that are not None, the environment, then DATA/settings.toml.

    Raises SetupError naming each wrong setting and where it comes from.
    """
    given = {name: value for name, value in explicit.items() if value is not None}
    try:
        folder = data or Settings().data
        settings = Settings(**{"data": folder, **_file(folder)})
        # What was said on the command line is said last.
        return settings.model_copy(update=given | {"data": folder})
    except ValidationError as fault:
        raise SetupError(_in_words(fault)) from fault


def save(folder: Path, values: Mapping[str, Saved]) -> Path:
    """Write DATA/settings.toml, readable by its owner only (it may hold a password)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.toml"
    path.touch(mode=0o600)
    lines = [f"{name} = {_toml(value)}" for name, value in sorted(values.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def reply_keys(folder: Path) -> tuple[bytes, ...]:
    """Return the keys of reply tokens, newest first; makes the first one.

    One hex key a line in DATA/reply.keys; to change keys put a new line at the top and drop the
    last one when old mails need no answer any more.
    """
    path = folder / "reply.keys"
    if not path.exists():
        # Whole or not at all: another process may look for it right now.
        aside = folder / f".reply.keys.{secrets.token_hex(4)}"
        aside.touch(mode=0o600)
        aside.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        with suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    try:
        keys = tuple(bytes.fromhex(line) for line in path.read_text("ascii").split())
    except ValueError:
        keys = ()
    if not keys or any(len(key) < MIN_KEY for key in keys):
        raise SetupError(f"{path}: needs one key of at least 32 hex digits a line.")
    return keys


def _file(folder: Path) -> dict[str, Any]:
    path = folder / "settings.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as fault:
        raise SetupError(f"{path}: {fault}") from fault


def _toml(value: Saved) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # A JSON text is a TOML text, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(_toml(one) for one in value)}]"


def _in_words(fault: ValidationError) -> str:
    return "; ".join(
        f"setting `{'.'.join(str(part) for part in error['loc'])}`"
        f" (SPORTELLO_{'_'.join(str(part) for part in error['loc']).upper()}): {error['msg']}"
        for error in fault.errors()
    )
