"""What pages with filters draw: links that change the filters, and values to choose from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A word with the query string it leads to."""

    word: str
    query: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter."""

    value: str
    word: str
    chosen: bool
