"""The list of machines to copy and to download, every row that matches: names or UUIDs as lines, or a table as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models.functions import Coalesce
from django.http import StreamingHttpResponse

from machines import downloads, listing
from machines.access import Person
from machines.downloads import ROWS
from machines.listing import Filters

COLUMNS: dict[str, str | Coalesce] = {
    "uuid": "uuid",
    "name": "name",
    "title": "title",
    "state": "state",
    "state_reason": "state_reason",
    "since": "state_since",
    "host": "host__name",
    "owner": Coalesce("owner__username", "project__name"),
    "vcpus": "vcpus",
    "memory_bytes": "memory_bytes",
    "disk_bytes": "disk_bytes",
    "addresses": "addresses",
    "persistent": "persistent",
    "autostart": "autostart",
    "has_saved_image": "has_saved_image",
    "snapshot_count": "snapshot_count",
}
"""The columns of the CSV, and where each is read."""


class Field(StrEnum):
    """What a line of the text has."""

    NAME = "name"
    UUID = "uuid"
    BOTH = "both"


class Format(StrEnum):
    """What can be downloaded."""

    TEXT = "text"
    CSV = "csv"


def text_lines(person: Person, filters: Filters, field: Field) -> Iterator[str]:
    """Yield a line for each machine that matches, in the order of the list; UUID and name stand a tab apart."""
    for uuid, name in listing.in_order(person, filters).values_list("uuid", "name").iterator(ROWS):
        words = {Field.NAME: (name,), Field.UUID: (str(uuid),), Field.BOTH: (str(uuid), name)}[field]
        yield "\t".join(" ".join(word.split("\n")) for word in words) + "\n"


def csv_lines(person: Person, filters: Filters) -> Iterator[str]:
    """Yield the head and a line for each machine that matches."""
    rows = listing.in_order(person, filters).values_list(*COLUMNS.values()).iterator(ROWS)
    return downloads.csv_lines(COLUMNS, ([_text(value) for value in row] for row in rows))


def download(lines: Iterator[str], kind: Format) -> StreamingHttpResponse:
    """Answer the lines as a file, which is sent while it is read."""
    return downloads.download(lines, "machines", {Format.TEXT: "txt", Format.CSV: "csv"}[kind])


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, list):
        return " ".join(str(entry.get("address", "")) for entry in value)
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)
