"""The list of machines to copy and to download, every row that matches: names or UUIDs as lines, or a table as CSV."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils import timezone

from machines import listing
from machines.access import Person
from machines.listing import Filters

ROWS = 1000
"""How many rows are read and sent at a time."""
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Tells spreadsheets that a file is UTF-8; scripts would stumble over it."""
COLUMNS = {
    "uuid": "uuid",
    "name": "name",
    "title": "title",
    "state": "state",
    "state_reason": "state_reason",
    "since": "state_since",
    "host": "host__name",
    "owner": "owner__username",
    "vcpus": "vcpus",
    "memory_bytes": "memory_bytes",
    "addresses": "addresses",
    "persistent": "persistent",
    "autostart": "autostart",
    "has_saved_image": "has_saved_image",
    "snapshot_count": "snapshot_count",
}
"""The columns of the CSV, and where each is read."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Field(StrEnum):
    """What a line of the text has."""

    NAME = "name"
    UUID = "uuid"
    BOTH = "both"


class Format(StrEnum):
    """What can be downloaded."""

    TEXT = "text"
    CSV = "csv"


class _Echo:
    """A file for csv.writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def text_lines(person: Person, filters: Filters, field: Field) -> Iterator[str]:
    """Yield a line for each machine that matches, in the order of the list; UUID and name stand a tab apart."""
    for uuid, name in listing.in_order(person, filters).values_list("uuid", "name").iterator(ROWS):
        words = {Field.NAME: (name,), Field.UUID: (str(uuid),), Field.BOTH: (str(uuid), name)}[field]
        yield "\t".join(" ".join(word.split("\n")) for word in words) + "\n"


def csv_lines(person: Person, filters: Filters) -> Iterator[str]:
    """Yield the head and a line for each machine that matches."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in listing.in_order(person, filters).values_list(*COLUMNS.values()).iterator(ROWS):
        yield writer.writerow([_cell(value) for value in row])


def download(lines: Iterator[str], kind: Format) -> StreamingHttpResponse:
    """Answer the lines as a file, which is sent while it is read."""
    ending = {Format.TEXT: "txt", Format.CSV: "csv"}[kind]
    day = timezone.localdate().isoformat()
    return StreamingHttpResponse(
        _parts(lines),
        content_type=f"text/{'csv' if kind is Format.CSV else 'plain'}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="machines-{day}.{ending}"', "Cache-Control": "no-store"},
    )


async def _parts(lines: Iterator[str]) -> AsyncIterator[str]:
    """Read in the request's thread, a thousand rows at a time."""
    while part := await sync_to_async("".join)(islice(lines, ROWS)):
        yield part


def _cell(value: Any) -> str:
    """Write a value so that no spreadsheet takes it for a formula: an apostrophe stands before what looks like one."""
    text = _text(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, list):
        return " ".join(str(entry.get("address", "")) for entry in value)
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)
