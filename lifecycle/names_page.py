"""The page of names: the machines that match as lines of text, to copy and to download."""

from __future__ import annotations

from functools import cached_property
from itertools import islice

from django.http import QueryDict
from django.utils.translation import gettext as _

from lifecycle.list_page import FilteredPage
from lifecycle.names import Field, Format, text_lines
from machines.access import Person
from machines.listing import NAMES, matching
from machines.page_links import Choice
from machines.refused import Refused

SHOWN = 10_000
"""Lines on the page; a download has them all."""


class NamesPage(FilteredPage):
    """The names of all machines that match, without pages."""

    kept = (*NAMES, "field")

    def __init__(self, person: Person, query: QueryDict) -> None:
        super().__init__(person, query)
        self.field = field_of(query.get("field", ""))

    @cached_property
    def lines(self) -> list[str]:
        """Return the lines that are shown."""
        return list(islice(text_lines(self.person, self.filters, self.field), SHOWN))

    @property
    def text(self) -> str:
        """Return them as one text."""
        return "".join(self.lines)

    @cached_property
    def total(self) -> int:
        """Return how many machines match."""
        return len(self.lines) if len(self.lines) < SHOWN else matching(self.person, self.filters).count()

    @property
    def fields(self) -> list[Choice]:
        """Return what a line may have."""
        words = {Field.NAME: _("Names"), Field.UUID: _("UUIDs"), Field.BOTH: _("Both")}
        return [Choice(field.value, word, field is self.field) for field, word in words.items()]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """Return the filters in force as the fields of a form."""
        return [(name, value) for name, values in self._kept().lists() if name != "field" for value in values]

    @property
    def downloads(self) -> dict[str, str]:
        """Return the query of each download."""
        return {kind.value: self._with(download=kind.value) for kind in Format}

    @property
    def list_query(self) -> str:
        """Return the query of the list itself."""
        return self._without("field")


def field_of(word: str) -> Field:
    """Return what a line is to have, names unless it says otherwise.

    Raises:
        Refused: `bad_filter` (400).
    """
    if word and word not in set(Field):
        raise _bad("field", ", ".join(Field))
    return Field(word or Field.NAME)


def format_of(word: str) -> Format:
    """Return what is to be downloaded.

    Raises:
        Refused: `bad_filter` (400).
    """
    if word not in set(Format):
        raise _bad("format", ", ".join(Format))
    return Format(word)


def _bad(name: str, words: str) -> Refused:
    sentence = _("“%(name)s” may be %(values)s.") % {"name": name, "values": words}
    return Refused("bad_filter", sentence, status=400, details={"parameter": name})
