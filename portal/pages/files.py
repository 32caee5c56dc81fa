"""Files of Messages and the HTML of mails, for whoever may read the Message."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote, unquote

from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, Response

from core import contents
from core.errors import NotFound
from portal import reading
from portal.presenters import PICTURES
from portal.readers import Browser
from portal.reading import Reader
from portal.uploads import clean_name, clean_type
from portal.visit import KINDS, Visit

Found = TypeVar("Found")

#: How a picture of each type begins: what only calls itself one is not shown inline.
_BEGINNINGS: Mapping[str, re.Pattern[bytes]] = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
_STYLE = (
    "body{font:16px/1.5 'Titillium Web',system-ui,sans-serif;margin:12px;overflow-wrap:anywhere;"
    "background:#fff;color:#17324d}img{max-width:100%;height:auto}pre{white-space:pre-wrap}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_MAIL_POLICY = (
    "default-src 'none'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'self'; "
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
)
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_CID = re.compile(r'(<img\b[^>]*?\ssrc=")cid:([^"]*)(")', re.IGNORECASE)


def attachment(visit: Visit) -> Response:
    """Hand over one file: pictures to be shown, everything else to be saved."""
    number = visit.number("attachment")
    row = _find(visit, lambda session, reader: reading.attachment(session, reader, number))
    data = contents.get(visit.session, visit.store.ports.files, row.sha256)
    return file_response(row.name, row.content_type, data)


def mail_html(visit: Visit) -> Response:
    """Show the HTML of a mail, which the message's frame asks for."""
    number = visit.number("message")
    row = _find(visit, lambda session, reader: reading.message(session, reader, number))
    if row.body_html_clean is None:
        raise NotFound
    body = _with_pictures(row.body_html_clean, reading.inline(visit.session, row.id))
    page = (
        f'<!doctype html><html lang="it"><head><meta charset="utf-8"><title>Mail</title>'
        f'<base target="_blank"><style>{_STYLE}</style></head><body>{body}</body></html>'
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _MAIL_POLICY})


def file_response(name: str, content_type: str, data: bytes) -> Response:
    """Return a file under a policy of its own, so that nothing in it can run."""
    kind = clean_type(content_type)
    picture = kind in PICTURES and _BEGINNINGS[kind].match(data) is not None
    name = clean_name(name)
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    how = "inline" if picture else "attachment"
    return Response(
        data,
        media_type=kind if picture else _harmless(kind),
        headers={
            "Content-Disposition": f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
            "Content-Security-Policy": _FILE_POLICY,
            "Cache-Control": "private, no-store",
        },
    )


def _harmless(kind: str) -> str:
    """Return a type that no browser runs, even if it opens what it was told to save."""
    active = kind.startswith(("text/html", "image/svg")) or "xml" in kind or "script" in kind
    return "application/octet-stream" if active else kind


def _with_pictures(body: str, inline: Mapping[str, int]) -> str:
    def replaced(found: re.Match[str]) -> str:
        number = inline.get(unquote(html.unescape(found[2])))
        return f"{found[1]}{f'/allegati/{number}' if number else ''}{found[3]}"

    return _CID.sub(replaced, body)


def _find(visit: Visit, find: Callable[[Session, Reader], Found]) -> Found:
    browser = Browser(visit.cookies, tuple(KINDS.values()))
    return browser.find(visit.site, visit.session, find, now=visit.now)[1]
