"""How the addresses that a process listens on are written for people and programs."""

from __future__ import annotations

from config.settings import Settings

#: Listening everywhere is no address to go to; this one reaches it from the same machine.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound


def lines(settings: Settings, *names: str) -> list[str]:
    """Return one `name: address` line for each of `names` (`portal`, `smtp`, `lmtp`) that is on."""
    found = {
        "portal": f"portal: http://{place(settings.host, settings.port)}",
        "smtp": f"smtp: {place(settings.smtp_host, settings.smtp_port)}",
    }
    if settings.lmtp_port is not None:
        found["lmtp"] = f"lmtp: {place(settings.smtp_host, settings.lmtp_port)}"
    return [found[name] for name in names if name in found]


def place(host: str, port: int) -> str:
    """Return `host:port` as one may connect to it from this machine."""
    host = _EVERYWHERE.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
