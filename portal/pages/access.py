"""Sign-in, sign-out and own password, of Requesters and of Operators."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from core import passwords
from core.errors import CallerError
from core.model import Operator, Requester
from portal import auth, frame, queries
from portal.auth import FieldErrors, WrongCredentials
from portal.desks import desk_page
from portal.faults import status_of
from portal.frame import console_page, portal_page
from portal.language import gettext
from portal.visit import Visit, safe_next


def sign_in_form(visit: Visit) -> Response:
    """Show a Requester where to sign in, in the words of the desk they come from."""
    if visit.login:
        return visit.go(safe_next(visit.request.query_params.get("next", ""), "/richieste"))
    return _sign_in_page(visit, next_url=visit.request.query_params.get("next", ""))


def sign_in(visit: Visit) -> Response:
    """Sign a Requester in by any identity of theirs."""
    form = visit.form
    try:
        auth.enter(visit, Requester, name=form.text("login"), password=form.text("password"))
    except CallerError as fault:
        return _sign_in_page(visit, next_url=form.text("next"), fault=fault)
    return visit.go(safe_next(form.text("next"), "/richieste"))


def sign_out(visit: Visit) -> Response:
    """Sign a Requester out."""
    auth.leave(visit, Requester)
    return visit.go("/")


def operator_sign_in_form(visit: Visit) -> Response:
    """Show an Operator where to sign in."""
    if visit.login:
        return visit.go(safe_next(visit.request.query_params.get("next", ""), "/console"))
    return _operator_page(visit, next_url=visit.request.query_params.get("next", ""))


def operator_sign_in(visit: Visit) -> Response:
    """Sign an Operator in."""
    form = visit.form
    try:
        auth.enter(visit, Operator, name=form.text("login"), password=form.text("password"))
    except CallerError as fault:
        return _operator_page(visit, next_url=form.text("next"), fault=fault)
    return visit.go(safe_next(form.text("next"), "/console"))


def operator_sign_out(visit: Visit) -> Response:
    """Sign an Operator out."""
    auth.leave(visit, Operator)
    return visit.go("/console/accedi")


def account(visit: Visit) -> Response:
    """Show a Requester the form for another password."""
    return _account_page(visit, None)


def change_password(visit: Visit) -> Response:
    """Give a Requester another password."""
    person = visit.requester
    try:
        auth.change_password(visit, person, _login_name(person))
    except FieldErrors as fault:
        return _account_page(visit, fault.by_field)
    visit.say(gettext("La password è cambiata. Gli altri dispositivi sono stati scollegati."))
    return visit.go("/richieste")


def operator_account(visit: Visit) -> Response:
    """Show an Operator their account."""
    return _operator_account_page(visit, None)


def change_operator_password(visit: Visit) -> Response:
    """Give an Operator another password."""
    try:
        auth.change_password(visit, visit.operator, visit.operator.email)
    except FieldErrors as fault:
        return _operator_account_page(visit, fault.by_field)
    visit.say(gettext("La password è cambiata. Gli altri dispositivi sono stati scollegati."))
    return visit.go("/console/account")


def _sign_in_page(visit: Visit, *, next_url: str, fault: CallerError | None = None) -> Response:
    code = visit.request.query_params.get("sportello", "")
    desk = visit.site.desks.get(code)
    context = portal_page(
        visit,
        desk=desk_page(desk, visit.now) if desk else None,
        form={
            "action": f"/accedi?sportello={code}" if desk else "/accedi",
            "login": visit.form.text("login"),
            "login_label": desk.login.identifier_label.rstrip(": ") if desk else gettext("E-mail"),
            "next": safe_next(next_url, "/richieste"),
        },
        error=str(fault) if fault else None,
        help=list(desk.login.notes) if desk else [],
    )
    return visit.page("portal/sign_in.html", context, status=_status(fault))


def _operator_page(visit: Visit, *, next_url: str, fault: CallerError | None = None) -> Response:
    form = {
        "action": "/console/accedi",
        "login": visit.form.text("login"),
        "next": safe_next(next_url, "/console"),
    }
    context = console_page(visit, {}, form=form, error=str(fault) if fault else None)
    return visit.page("console/sign_in.html", context, status=_status(fault))


def _account_page(visit: Visit, errors: dict[str, str] | None) -> Response:
    form = {"action": frame.PORTAL["password"], "login": _login_name(visit.requester)}
    context = portal_page(visit, form=form, errors=errors, min_length=passwords.SHORTEST)
    return visit.page("portal/password.html", context, status=400 if errors else 200)


def _operator_account_page(visit: Visit, errors: dict[str, str] | None) -> Response:
    form = {"action": frame.CONSOLE["account"], "login": visit.operator.email}
    figures = queries.counts(visit.session, visit.operator)
    context: dict[str, Any] = console_page(
        visit, figures, form=form, errors=errors, min_length=passwords.SHORTEST
    )
    return visit.page("console/account.html", context, status=400 if errors else 200)


def _login_name(person: Requester) -> str:
    return person.email or next((one.address for one in person.identities), person.name)


def _status(fault: CallerError | None) -> int:
    if fault is None:
        return 200
    return 401 if isinstance(fault, WrongCredentials) else status_of(fault)
