"""The pages of bulk operations: the question before one that needs it, and the results."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Self
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from lifecycle import bulk, operations
from lifecycle.models import Bulk, Status
from lifecycle.page_requests import user_of
from lifecycle.sight import sights
from machines.access import Person
from machines.listing import Filters
from machines.operation_table import TABLE, Kind, Place
from machines.refused import Refused


@dataclass(frozen=True, slots=True)
class Prospect:
    """One machine of the question: what it would lose, or why it would be refused as things stand."""

    name: str
    loses: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Question:
    """What the form of a list asks: one operation of these machines. `all_that_match` was resolved just now.

    Only the machines that the question names are asked after it was confirmed, whatever matches by then.
    """

    person: User
    kind: Kind
    machines: list[UUID]
    all_that_match: bool
    confirmed: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Read it from the form; the filters of the list are in the form's address.

        Raises:
            Refused: no such operation can be asked of many, or the machines are none or too many.
        """
        person, form = user_of(request), request.POST
        kind = operations.kind_named(form.get("operation", ""))
        if kind.place is Place.FORM:
            sentence = _("“%(operation)s” is asked on a machine's own page.") % {"operation": kind.label}
            raise Refused("bad_parameters", sentence, status=400)
        all_that_match = "matching" in form and "confirm" not in form
        found = bulk.matching(person, Filters.parse(request.GET)) if all_that_match else _uuids(form)
        bulk.refuse_number(len(found))
        return cls(person, kind, found, all_that_match, "confirm" in form)

    @property
    def open(self) -> bool:
        """Whether a person has to answer it first: it loses something, or its machines were not ticked one by one."""
        return not self.confirmed and bool(self.kind.loses or self.all_that_match)

    @cached_property
    def prospects(self) -> list[Prospect]:
        """Return each machine with what would become of it, in the order asked."""
        known = bulk.seen(self.person, self.machines)
        found = {sight.machine.pk: sight for sight in sights(self.person, list(known.values()))}
        prospects = []
        for uuid in self.machines:
            if uuid not in found:
                prospects.append(Prospect(str(uuid), refused=bulk.gone_sentence()))
            elif refusal := found[uuid].button(self.kind).refusal:
                prospects.append(Prospect(known[uuid].name, refused=refusal.sentence))
            else:
                prospects.append(Prospect(known[uuid].name, loses=str(self.kind.loses) % {"name": known[uuid].name}))
        return prospects

    @property
    def accepted(self) -> list[Prospect]:
        """Return those that would be accepted now."""
        return [prospect for prospect in self.prospects if not prospect.refused]

    @property
    def refused(self) -> list[Prospect]:
        """Return those that would be refused now."""
        return [prospect for prospect in self.prospects if prospect.refused]


class ResultPage:
    """The results of a bulk operation, one for each machine, as its page draws them."""

    def __init__(self, found: Bulk, person: Person) -> None:
        self.bulk = found
        self.rows = bulk.results(found, person)

    @property
    def label(self) -> str | Promise:
        """Return the name of what was asked."""
        kind = TABLE.get(self.bulk.kind)
        return kind.label if kind else self.bulk.kind

    @property
    def accepted(self) -> int:
        """Return of how many machines it was accepted."""
        return sum(1 for row in self.rows if row.operation)

    @property
    def refused(self) -> int:
        """Return for how many machines there is no operation."""
        return len(self.rows) - self.accepted

    @property
    def tally(self) -> list[tuple[str, str | Promise, int]]:
        """Return each status with its word and how many operations have it now."""
        counts = Counter(row.operation.status for row in self.rows if row.operation)
        return [(status.value, status.label, counts[status.value]) for status in Status]

    @property
    def watch(self) -> dict[str, object]:
        """Return what the page's socket watches."""
        return {"besides": [row.machine for row in self.rows if row.operation]}


def _uuids(form: QueryDict) -> list[UUID]:
    """Return the ticked machines, each once.

    Raises:
        Refused: `bad_parameters` (400): there is something that no list of ours has.
    """
    try:
        return list(dict.fromkeys(UUID(text) for text in form.getlist("machine")))
    except ValueError as error:
        raise Refused("bad_parameters", _("“machine” is not a UUID."), status=400) from error
