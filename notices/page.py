"""The page of notices: one page of them, newest first, and the links to the others."""

from __future__ import annotations

from functools import cached_property

from django.utils.translation import gettext as _

from machines.access import Person
from machines.refused import Refused
from notices.models import Notice
from notices.reading import shown_to, unread_count

LENGTH = 50


class NoticesPage:
    """One page of notices.

    Raises:
        Refused: `bad_filter` (400), when `before` is not the number of a notice.
    """

    def __init__(self, person: Person, before: str) -> None:
        self.person = person
        self.at_start = not before
        found = shown_to(person)
        if before:
            if not (before.isascii() and before.isdigit() and len(before) < 19):
                raise Refused("bad_filter", _("“before” is not a place in this list."), status=400)
            found = found.filter(pk__lt=int(before))
        rows = list(found[: LENGTH + 1])
        self.rows: list[Notice] = rows[:LENGTH]
        self.next_before = self.rows[-1].pk if len(rows) > LENGTH else None

    @cached_property
    def unread(self) -> int:
        """How many are unread, on all pages."""
        return unread_count(self.person)

    @property
    def newest(self) -> int | None:
        """The newest that this page shows: what came after it is not marked read with the others."""
        return self.rows[0].pk if self.rows else None
