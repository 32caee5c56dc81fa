"""Names of attachments as people may see and save them; storage never uses them.

Source: mail.md 2.7 (bidi controls, separators, leading dots, Windows device names, 150 characters).
"""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 150
#: Longest ending that is kept when a name is cut.
MAX_ENDING = 20

_SEPARATORS = re.compile(r"[/\\]")
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_SPACE = re.compile(r"\s+")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)

#: Endings for parts that come without a name.
_ENDINGS = {
    "application/json": ".json",
    "application/msword": ".doc",
    "application/ms-tnef": ".dat",
    "application/pdf": ".pdf",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-mime": ".p7m",
    "application/x-pkcs7-signature": ".p7s",
    "application/pgp-signature": ".asc",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/xml": ".xml",
}


def clean_name(name: str) -> str:
    """A name that is safe to show and to save under; empty when nothing of it is left."""
    last = _SEPARATORS.split(name)[-1] or _SEPARATORS.sub("_", name).strip("_")
    # Category C is controls, formats (bidi and zero-width among them), surrogates, unassigned.
    kept = "".join(
        c for c in last[: MAX_NAME * 8] if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    plain = _SPACE.sub(" ", _FORBIDDEN.sub("_", kept)).strip().strip(".").strip()
    if _DEVICE.match(plain):
        plain = "_" + plain
    return _cut(plain)


def name_for(content_type: str, stem: str = "allegato") -> str:
    """A name for a part that has none."""
    return clean_name(stem) + _ENDINGS.get(content_type, ".bin")


def _cut(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) < MAX_ENDING:
        return stem[: MAX_NAME - len(ending) - 1] + dot + ending
    return name[:MAX_NAME]
