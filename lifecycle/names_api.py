"""API: the list of machines as a file of names, UUIDs or a table."""

from __future__ import annotations

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Query, Router

from lifecycle.api import MachineFilters
from lifecycle.names import csv_lines, download, text_lines
from lifecycle.names_page import field_of, format_of
from machines.listing import Filters

router = Router()


class NamesQuery(MachineFilters):
    """The filters of the list, and what is wanted of the machines that match."""

    format: str = Field("text", description="text (a line for each machine) or csv (a table)")
    field: str = Field("name", description="what a line of the text has: name, uuid, or both with a tab between")


@router.get("/machines/names", summary="Download names, UUIDs or a table", tags=["machines"])
def names(request: HttpRequest, query: Query[NamesQuery]) -> StreamingHttpResponse:
    """Send every machine that matches, in the order of the list, as a file."""
    kind, field = format_of(query.format), field_of(query.field)
    filters = Filters.parse(request.GET)
    lines = text_lines(request.user, filters, field) if kind == "text" else csv_lines(request.user, filters)
    return download(lines, kind)
