"""The page of operations: of one machine, or of all that a person sees. Filters live in the URL."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from lifecycle.history import visible_operations
from lifecycle.list_page import Choice, Link
from lifecycle.models import Operation, Status
from machines.access import Person, machine_or_404, visible_machines
from machines.models import Machine
from machines.refused import Refused

LENGTH = 50
WATCHED_BESIDES = 100
"""How many machines that are not on the page it watches too, to notice what is asked of them."""
MINE = "me"


class HistoryPage:
    """One page of operations, newest first, and the links that change it.

    Raises:
        Refused: `bad_filter` (400).
        Http404: the machine in the filter is none that this person may see.
    """

    def __init__(self, person: Person, query: QueryDict, *, of: Machine | None = None) -> None:
        self.person = person
        self.of = of
        self.statuses = [_status(word) for word in query.getlist("status") if word]
        self.mine = query.get("by") == MINE
        self.machine = of or self._machine(person, query.get("machine", ""))
        found = visible_operations(person)
        if self.machine:
            found = found.filter(machine=self.machine.pk)
        if self.mine:
            found = found.filter(requested_by=person.pk)
        if self.statuses:
            found = found.filter(status__in=self.statuses)
        self.rows, self.next_before = self._page(found, query.get("before", ""))
        self.at_start = not query.get("before")

    @property
    def next(self) -> str | None:
        """Return the query of the older page."""
        return self._query(before=str(self.next_before)) if self.next_before else None

    @property
    def first(self) -> str | None:
        """Return the query of the newest page, when this is not it."""
        return None if self.at_start else self._query()

    @property
    def status_choices(self) -> list[Choice]:
        """Return the statuses to choose from."""
        return [Choice(status.value, str(status.label), status in self.statuses) for status in Status]

    @property
    def narrowed(self) -> bool:
        """Whether a filter is in force."""
        return bool(self.statuses or self.mine or (self.machine and not self.of))

    @property
    def chips(self) -> list[Link]:
        """Return each filter in force, with the query that removes it."""
        chips = [Link(str(status.label), self._query(without=status.value)) for status in self.statuses]
        if self.mine:
            chips.append(Link(_("asked by me"), self._query(without="by")))
        if self.machine and not self.of:
            word = _("machine: %(name)s") % {"name": self.machine.name}
            chips.append(Link(word, self._query(without="machine")))
        return chips

    @property
    def watch(self) -> dict[str, object]:
        """Return what the page's socket watches."""
        machines = {row.machine_id for row in self.rows}
        if self.machine:
            machines.add(self.machine.uuid)
        else:
            lately = visible_machines(self.person).order_by("-state_since").values_list("uuid", flat=True)
            machines.update(lately[:WATCHED_BESIDES])
        return {"besides": sorted(map(str, machines))}

    def _machine(self, person: Person, text: str) -> Machine | None:
        if not text:
            return None
        try:
            uuid = UUID(text)
        except ValueError as error:
            raise Refused("bad_filter", _("“machine” is not a UUID."), status=400) from error
        return machine_or_404(person, uuid)

    def _page(self, found: QuerySet[Operation], before: str) -> tuple[list[Operation], int | None]:
        if before:
            if not (before.isascii() and before.isdigit() and len(before) < 19):
                raise Refused("bad_filter", _("“before” is not a place in this list."), status=400)
            found = found.filter(pk__lt=int(before))
        rows = list(found[: LENGTH + 1])
        return rows[:LENGTH], rows[LENGTH - 1].pk if len(rows) > LENGTH else None

    def _query(self, *, without: str = "", before: str = "") -> str:
        query = QueryDict(mutable=True)
        query.setlist("status", [status.value for status in self.statuses if status != without])
        if self.mine and without != "by":
            query["by"] = MINE
        if self.machine and not self.of and without != "machine":
            query["machine"] = str(self.machine.uuid)
        if before:
            query["before"] = before
        return f"?{query.urlencode()}"


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError as error:
        known = ", ".join(Status.values)
        raise Refused("bad_filter", _("“status” may be %(known)s.") % {"known": known}, status=400) from error
