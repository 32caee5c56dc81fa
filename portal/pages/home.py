"""The public pages: all desks, one desk."""

from __future__ import annotations

from starlette.responses import Response

from core.errors import NotFound
from portal.desks import desk_card, desk_page
from portal.frame import portal_page
from portal.visit import Visit


def home(visit: Visit) -> Response:
    """Show the desks of this installation."""
    desks = [desk_card(desk, visit.now) for desk in visit.site.desks.values()]
    return visit.page("portal/home.html", portal_page(visit, current="/", desks=desks))


def desk(visit: Visit) -> Response:
    """Show one desk."""
    profile = visit.site.desks.get(visit.request.path_params["desk"])
    if profile is None:
        raise NotFound
    shown = desk_page(profile, visit.now)
    return visit.page("portal/desk.html", portal_page(visit, desk=shown))
