"""The lists of help: what waits and goes on, and what was; a user's own, and everybody's for those who help."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from assist.models import OPEN, Assist, State
from assist.parties import Move, helps, moves_of
from machines.access import Person, Right, rights_over

LATELY = 30
"""How many that are over the page shows, newest first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One assist, and what its reader may do with it now."""

    assist: Assist
    moves: list[Move]


class Queue:
    """The page's lists, each a query of its own."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.helps = helps(person)
        self._rows = visible_assists(person).defer("picture", "facts", "machine__definition_xml")

    @property
    def waiting(self) -> list[Row]:
        """Return what nobody took yet, longest waiting first."""
        return self._with_moves(self._rows.filter(state=State.WAITING).order_by("pk"))

    @property
    def at_work(self) -> list[Row]:
        """Return what somebody took or works on."""
        return self._with_moves(self._rows.filter(state__in=(State.TAKEN, State.ACTIVE)).order_by("pk"))

    @property
    def over(self) -> list[Row]:
        """Return what is over."""
        return [Row(assist, []) for assist in self._rows.exclude(state__in=OPEN)[:LATELY]]

    def _with_moves(self, rows: QuerySet[Assist]) -> list[Row]:
        found = list(rows)
        rights = rights_over(self.person, {assist.machine_id for assist in found})
        return [
            Row(assist, moves_of(self.person, assist, rights.get(assist.machine_id, Right.NONE))) for assist in found
        ]


def visible_assists(person: Person) -> QuerySet[Assist]:
    """Return all to those who help; to others those of theirs and of their machines. Newest first, without pictures."""
    rows = Assist.objects.select_related("machine__host", "machine__owner", "user", "helper")
    rows = rows.defer("picture", "machine__definition_xml")
    if helps(person):
        return rows
    return rows.filter(Q(user=person.pk) | Q(helper=person.pk) | Q(machine__owner=person.pk))


def waiting_count() -> int:
    """Return how many requests wait for a helper."""
    return Assist.objects.filter(state=State.WAITING).count()
