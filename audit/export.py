"""The trail as a file: a table for spreadsheets, or JSON with everything. Sent while it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from audit import trail
from audit.filters import Filters
from audit.models import Entry
from audit.words import told, what
from machines import downloads
from machines.query_words import bad_filter

HEAD = ("id", "at", "kind", "what", "who", "who_id", "via", "address", "machine", "machine_name", "told", "batch")
"""The columns of the table."""


class Format(StrEnum):
    """What can be downloaded."""

    CSV = "csv"
    JSON = "json"


def export(found: QuerySet[Entry], filters: Filters, wanted: str, *, bom: bool = False) -> StreamingHttpResponse:
    """Answer the entries that match as a file, and write into the trail that this was done.

    Args:
        found: the entries that the person may see.
        filters: which of them.
        wanted: a Format.
        bom: whether a table begins with the mark that spreadsheets want.

    Raises:
        Refused: `bad_filter` (400); there is no such format.
    """
    if wanted not in set(Format):
        raise bad_filter("format", _("it may be %(words)s") % {"words": ", ".join(Format)})
    rows = filters.apply(found).iterator(downloads.ROWS)
    trail.record("audit.exported", format=wanted)
    if wanted == Format.JSON:
        return downloads.download(_json(rows), "audit", "json")
    return downloads.download(chain([downloads.BOM] if bom else [], _csv(rows)), "audit", "csv")


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as exports and the API have it."""
    return {
        "id": entry.pk,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "what": what(entry),
        "who": entry.who,
        "who_id": entry.who_id,
        "via": entry.via,
        "address": entry.address,
        "machine": str(entry.machine) if entry.machine else None,
        "machine_name": entry.machine_name,
        "told": told(entry),
        "detail": entry.detail,
        "batch": entry.batch,
    }


def _csv(rows: Iterator[Entry]) -> Iterator[str]:
    return downloads.csv_lines(HEAD, ([_cell(as_json(row)[name]) for name in HEAD] for row in rows))


def _json(rows: Iterator[Entry]) -> Iterator[str]:
    """Yield one array, an entry on each line."""
    yield "["
    separator = "\n"
    for row in rows:
        yield separator + json.dumps(as_json(row))
        separator = ",\n"
    yield "\n]\n"


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
