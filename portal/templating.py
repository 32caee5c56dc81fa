"""Makes HTML from templates and plain values; knows no request, no store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from portal import moments
from portal.language import gettext, ngettext

HERE = Path(__file__).parent
#: Where the front end's build puts its files, and the address they are served under.
BUILT, STATIC = HERE / "static" / "dist", "/static/"


class Templates:
    """The one Jinja environment, with the names of the built files."""

    def __init__(self, *, built: Path = BUILT) -> None:
        """Read the build's manifest; without a build the pages come without style and script."""
        manifest = built / "manifest.json"
        self.assets: Mapping[str, str] = (
            json.loads(manifest.read_text("utf-8")) if manifest.is_file() else {}
        )
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        install: Any = self._environment
        install.install_gettext_callables(gettext, ngettext, newstyle=True)
        self._environment.globals["asset"] = self.asset
        self._environment.filters.update(
            moment=moments.moment,
            clock=moments.clock_time,
            stamp=moments.stamp,
            filesize=moments.filesize,
        )

    def asset(self, name: str) -> str:
        """Return the address of a built file by its plain name, as `site.css`."""
        return STATIC + self.assets.get(name, name)

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """Return a template's text; raises on a name that the context lacks."""
        return self._environment.get_template(template).render(context)
