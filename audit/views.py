"""The pages of the trail, for administrators; to everybody else they do not exist."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import export as exporting
from audit.filters import Filters, entries_or_404
from audit.page import AccessThen, TrailPage, machine_named
from machines.refused import Refused


@never_cache
@require_safe
@login_required
def trail(request: HttpRequest) -> HttpResponse:
    """Show what happened."""
    found = entries_or_404(request)
    try:
        return render(request, "audit/trail.html", {"trail": TrailPage(found, request.GET)})
    except Refused as refused:
        return _bad_filter(request, refused)


@never_cache
@require_safe
@login_required
def export(request: HttpRequest) -> HttpResponseBase:
    """Send what matches the filters as a file; a person opens a table in a spreadsheet."""
    found = entries_or_404(request)
    try:
        return exporting.export(found, Filters.parse(request.GET), request.GET.get("format", "csv"), bom=True)
    except Refused as refused:
        return _bad_filter(request, refused)


@never_cache
@require_safe
@login_required
def access(request: HttpRequest) -> HttpResponse:
    """Show who could see or control a machine at a moment."""
    entries_or_404(request)
    if not request.GET.get("machine"):
        return render(request, "audit/access.html", {})
    try:
        uuid, name = machine_named(request.GET)
        context = {"machine_name": name, "machine_uuid": uuid, "access": AccessThen(uuid, request.GET)}
    except Refused as refused:
        return _bad_filter(request, refused)
    return render(request, "audit/access.html", context)


def _bad_filter(request: HttpRequest, refused: Refused) -> HttpResponse:
    return render(request, "lifecycle/bad_filter.html", {"refused": refused}, status=refused.status)
