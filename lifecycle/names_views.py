"""The page of names, and its downloads."""

from __future__ import annotations

from itertools import chain

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from lifecycle.names import Format, csv_lines, download, text_lines
from lifecycle.names_page import NamesPage, format_of
from machines.downloads import BOM
from machines.refused import Refused


@never_cache
@require_safe
@login_required
def names(request: HttpRequest) -> HttpResponseBase:
    """Show the machines that match as lines to copy, or send them as a file."""
    try:
        page = NamesPage(request.user, request.GET)
        if wanted := request.GET.get("download"):
            return _file(page, format_of(wanted))
    except Refused as refused:
        return render(request, "lifecycle/bad_filter.html", {"refused": refused}, status=refused.status)
    return render(request, "lifecycle/names.html", {"page": page})


def _file(page: NamesPage, kind: Format) -> StreamingHttpResponse:
    """Send the file; a person opens a CSV in a spreadsheet, which wants to be told that it is UTF-8."""
    if kind is Format.TEXT:
        return download(text_lines(page.person, page.filters, page.field), kind)
    return download(chain([BOM], csv_lines(page.person, page.filters)), kind)
