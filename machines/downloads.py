"""Lists as files that are sent while they are read: tables that no spreadsheet takes for formulas, and other lines."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils import timezone

ROWS = 1000
"""How many rows are read and sent at a time."""
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Tells spreadsheets that a file is UTF-8; scripts would stumble over it."""
CONTENT_TYPES = {
    "txt": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}
"""What can be downloaded, by the ending of the file's name."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Echo:
    """A file for csv.writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the head and a line for each row, with an apostrophe before every cell that looks like a formula."""
    writer = csv.writer(_Echo())
    yield writer.writerow(head)
    for row in rows:
        yield writer.writerow([_cell(text) for text in row])


def download(lines: Iterator[str], name: str, ending: str) -> StreamingHttpResponse:
    """Answer the lines as a file `<name>-<today>.<ending>`, which is sent while it is read."""
    day = timezone.localdate().isoformat()
    return StreamingHttpResponse(
        _parts(lines),
        content_type=CONTENT_TYPES[ending],
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{day}.{ending}"',
            "Cache-Control": "no-store",
        },
    )


async def _parts(lines: Iterator[str]) -> AsyncIterator[str]:
    """Read in the request's thread, a thousand rows at a time."""
    while part := await sync_to_async("".join)(islice(lines, ROWS)):
        yield part


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
