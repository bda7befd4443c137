"""Pages: the list of machines, a machine, the operations asked of it. Views guard, act, answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from audit.page import Timeline
from lifecycle import operations as asking
from lifecycle.form_pages import refused_page
from lifecycle.history import operation_or_404
from lifecycle.history_page import HistoryPage
from lifecycle.list_page import ListPage
from lifecycle.models import Operation, Status
from lifecycle.page_requests import line_ends, next_page, say_on_its_way, user_of
from lifecycle.sight import Sight, sight
from machines.access import Right, machine_or_404
from machines.models import Machine
from machines.operation_table import TABLE, Kind
from machines.refused import Refused
from people.roles import is_administrator


@never_cache
@require_safe
@login_required
def machines(request: HttpRequest) -> HttpResponse:
    """Show the machines this person sees."""
    try:
        context: dict[str, Any] = {"list": ListPage(request.user, request.GET)}
    except Refused as refused:
        return _bad_filter(request, refused)
    return _whole_or_part(request, "lifecycle/machines.html", "lifecycle/machine_table.html", context)


@never_cache
@require_safe
@login_required
def machine(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show a machine: state, operations, facts."""
    return _machine_page(request, uuid, "overview")


@never_cache
@require_safe
@login_required
def machine_history(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show what was asked of a machine."""
    found = machine_or_404(request.user, uuid)
    try:
        history = HistoryPage(request.user, request.GET, of=found)
    except Refused as refused:
        return _bad_filter(request, refused)
    if request.headers.get("HX-Request"):
        return render(request, "lifecycle/operation_table.html", {"history": history})
    return _machine_page(request, uuid, "history", history=history)


@never_cache
@require_safe
@login_required
def machine_timeline(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show what happened to a machine, and by whom, to its owners."""
    found = machine_or_404(request.user, uuid, Right.OWN)
    try:
        timeline = Timeline(found, request.GET)
    except Refused as refused:
        return _bad_filter(request, refused)
    return _machine_page(request, uuid, "timeline", needed=Right.OWN, trail=timeline)


@never_cache
@require_safe
@login_required
def machine_consoles(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show who was at a machine's screen, and what was recorded of that."""
    return _machine_page(request, uuid, "consoles", needed=Right.VIEW)


@never_cache
@require_safe
@login_required
def machine_definition(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show a machine's definition to its owners."""
    return _machine_page(request, uuid, "definition", needed=Right.OWN)


@require_POST
@login_required
def request_operation(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """Ask for an operation; one that destroys something is confirmed first."""
    wanted = _kind_or_404(kind)
    found = machine_or_404(request.user, uuid, wanted.right)
    if wanted.loses and "confirm" not in request.POST:
        return _ask_first(request, found, wanted)
    try:
        asked = asking.request(found, kind, by=user_of(request), parameters=_parameters(request, wanted))
        say_on_its_way(request, asked, _("%(machine)s: “%(operation)s” is on its way.") % _names(found, wanted))
    except Refused as refused:
        if page := refused_page(request, found, kind, refused):
            return page
        messages.error(request, f"{found.name}: {refused.sentence}")
    return redirect(next_page(request, found.get_absolute_url()))


@never_cache
@require_safe
@login_required
def operations(request: HttpRequest) -> HttpResponse:
    """Show the operations of the machines this person sees."""
    try:
        context = {"history": HistoryPage(request.user, request.GET)}
    except Refused as refused:
        return _bad_filter(request, refused)
    return _whole_or_part(request, "lifecycle/operations.html", "lifecycle/operation_table.html", context)


@never_cache
@require_safe
@login_required
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one operation: how it goes, or how it ended."""
    found = operation_or_404(request.user, pk)
    seen = sight(request.user, found.machine)
    urls = {"bulk_url": _bulk_url(request, found), "edit_url": _edit_url(found, seen)}
    return render(request, "lifecycle/operation.html", {"operation": found, "sight": seen, **urls})


@require_POST
@login_required
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel an operation."""
    found = operation_or_404(request.user, pk)
    try:
        asking.cancel(found, user_of(request))
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect(next_page(request, found.get_absolute_url()))


def _machine_page(
    request: HttpRequest, uuid: UUID, tab: str, *, needed: Right = Right.SEE, **context: Any
) -> HttpResponse:
    found = machine_or_404(request.user, uuid, needed)
    return render(
        request, f"lifecycle/machine_{tab}.html", {"sight": sight(request.user, found), "tab": tab, **context}
    )


def _bulk_url(request: HttpRequest, operation: Operation) -> str:
    """Return the page of the bulk operation that it was part of, for those who may see that."""
    asked_by_them = operation.requested_by_id == request.user.pk or is_administrator(request.user)
    return reverse("lifecycle:bulk", args=[operation.bulk_id]) if operation.bulk_id and asked_by_them else ""


def _edit_url(operation: Operation, seen: Sight) -> str:
    """Return where the definition that failed can be edited and tried again, for those who may."""
    failed = operation.status in {Status.FAILED, Status.INTERRUPTED} and operation.kind in {"define", "create"}
    page = reverse("lifecycle:define", args=[operation.machine_id])
    return f"{page}?operation={operation.pk}" if failed and seen.administers else ""


def _bad_filter(request: HttpRequest, refused: Refused) -> HttpResponse:
    """Say what is wrong with a filter, on a page or, for a script, where the list was."""
    template = "bad_filter_panel" if request.headers.get("HX-Request") else "bad_filter"
    return render(request, f"lifecycle/{template}.html", {"refused": refused}, status=refused.status)


def _whole_or_part(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    """Answer the page, or only its list when a script on it asks for that."""
    response = render(request, part if request.headers.get("HX-Request") else whole, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _ask_first(request: HttpRequest, found: Machine, kind: Kind) -> HttpResponse:
    context = {
        "machine": found,
        "kind": kind,
        "loses": str(kind.loses) % {"name": found.name},
        "file": request.POST.get("file", ""),
        "fields": [(each.name, value) for each in kind.parameters for value in request.POST.getlist(each.name)],
        "next": next_page(request, found.get_absolute_url()),
    }
    return render(request, "lifecycle/confirm.html", context)


def _kind_or_404(name: str) -> Kind:
    if kind := TABLE.get(name):
        return kind
    raise Http404(_("There is no such operation."))


def _parameters(request: HttpRequest, kind: Kind) -> dict[str, Any]:
    """Return the operation's parameters from the form."""
    given = {each.name: [line_ends(value) for value in request.POST.getlist(each.name)] for each in kind.parameters}
    values = {each.name: each.from_form(given[each.name]) for each in kind.parameters}
    return {name: value for name, value in values.items() if value is not None}


def _names(found: Machine, kind: Kind) -> dict[str, str]:
    return {"machine": found.name, "operation": str(kind.label)}
