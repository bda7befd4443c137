"""The page of operations: of one machine, or of all that a person sees. Filters live in the URL."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from lifecycle.history import ME, Filters, visible_operations
from lifecycle.models import Operation, Status
from machines.access import Person, sees_everything, visible_machines
from machines.models import Machine
from machines.operation_table import TABLE
from machines.page_links import Choice, Link
from machines.query_words import LATELY
from machines.refused import Refused

LENGTH = 50
WATCHED_BESIDES = 100
"""How many machines that are not on the page it watches too, to notice what is asked of them."""
OFFERED = 200
"""How many names a field offers while one types; any other can be written all the same."""
MINUTES, SECONDS = "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"


class HistoryPage:
    """One page of operations, newest first, and the links that change it.

    Raises:
        Refused: `bad_filter` (400).
        Http404: the machine in the filter is none that this person may see.
    """

    def __init__(self, person: Person, query: QueryDict, *, of: Machine | None = None) -> None:
        self.person = person
        self.of = of
        self.filters = Filters.parse(person, query if of is None else _without_machine(query))
        found = self.filters.apply(person, visible_operations(person))
        if of:
            found = found.filter(machine=of.pk)
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
    def narrowed(self) -> bool:
        """Whether a filter is in force."""
        return self.filters.narrowed

    @property
    def status_choices(self) -> list[Choice]:
        """Return the statuses to choose from."""
        return [Choice(status.value, str(status.label), status in self.filters.statuses) for status in Status]

    @property
    def kind_choices(self) -> list[Choice]:
        """Return the operations to choose from, by their names."""
        choices = [Choice(kind.name, str(kind.label), kind.name in self.filters.kinds) for kind in TABLE.values()]
        return sorted(choices, key=lambda choice: choice.word.casefold())

    @property
    def last_choices(self) -> list[Choice]:
        """Return the times back from now to choose from."""
        return [Choice(name, str(words), name == self.filters.last) for name, (_length, words) in LATELY.items()]

    @property
    def quick(self) -> list[tuple[Link, bool]]:
        """Return what most people look for, one click each, and whether it is chosen; a second click takes it back."""
        mine = self.filters.by == ME
        links = [(Link(_("asked by me"), self._query(without="by") if mine else self._query(by=ME)), mine)]
        for choice in self.last_choices:
            query = self._query(without="last") if choice.chosen else self._query(last=choice.value)
            links.append((Link(choice.word, query), choice.chosen))
        return links

    @property
    def since(self) -> str:
        """Return the begin of the time in question as a form's field has it."""
        return _written(self.filters.since)

    @property
    def until(self) -> str:
        """Return the end of the time in question as a form's field has it."""
        return _written(self.filters.until)

    @property
    def machine_names(self) -> list[str]:
        """Return names to offer while one types: of the machines that something happened to last."""
        rows = visible_machines(self.person).order_by("-state_since").values_list("name", flat=True)
        return sorted(set(rows[:OFFERED]))

    @property
    def people(self) -> list[str]:
        """Return the user names to offer; only those who see every machine are told of everybody."""
        if not sees_everything(self.person):
            return [ME]
        rows = User.objects.order_by("username").values_list("username", flat=True)
        return [ME, *rows[:OFFERED]]

    @property
    def chips(self) -> list[Link]:
        """Return each filter in force, with the query that removes it."""
        filters, chips = self.filters, []
        if filters.by:
            words = _("asked by me") if filters.by == ME else _("asked by %(name)s") % {"name": filters.by}
            chips.append(Link(words, self._query(without="by")))
        chips += [Link(str(TABLE[kind].label), self._query(without="kind", value=kind)) for kind in filters.kinds]
        chips += [
            Link(str(status.label), self._query(without="status", value=status.value)) for status in filters.statuses
        ]
        if filters.named:
            chips.append(Link(_("machine: %(name)s") % {"name": filters.named}, self._query(without="machine")))
        if filters.last:
            chips.append(Link(str(LATELY[filters.last][1]), self._query(without="last")))
        if filters.since:
            chips.append(Link(_("since %(when)s") % {"when": _for_people(self.since)}, self._query(without="since")))
        if filters.until:
            chips.append(Link(_("until %(when)s") % {"when": _for_people(self.until)}, self._query(without="until")))
        return chips

    @property
    def watch(self) -> dict[str, object]:
        """Return what the page's socket watches."""
        machines = {row.machine_id for row in self.rows}
        if chosen := [self.of.uuid] if self.of else self.filters.machines:
            machines.update(chosen)
        else:
            lately = visible_machines(self.person).order_by("-state_since").values_list("uuid", flat=True)
            machines.update(lately[:WATCHED_BESIDES])
        return {"besides": sorted(map(str, machines))}

    def _page(self, found: QuerySet[Operation], before: str) -> tuple[list[Operation], int | None]:
        if before:
            if not (before.isascii() and before.isdigit() and len(before) < 19):
                raise Refused("bad_filter", _("“before” is not a place in this list."), status=400)
            found = found.filter(pk__lt=int(before))
        rows = list(found[: LENGTH + 1])
        return rows[:LENGTH], rows[LENGTH - 1].pk if len(rows) > LENGTH else None

    def _query(self, *, without: str = "", value: str = "", **changes: str) -> str:
        """Return the query of these filters, without a parameter (or one of its values), and with others."""
        filters, query = self.filters, QueryDict(mutable=True)
        present = {
            "by": [filters.by],
            "kind": list(filters.kinds),
            "status": [status.value for status in filters.statuses],
            "machine": [filters.machine],
            "last": [filters.last],
            "since": [self.since],
            "until": [self.until],
        }
        if without:
            present[without] = [other for other in present[without] if value and other != value]
        for name, values in (present | {name: [new] for name, new in changes.items()}).items():
            if kept := [one for one in values if one]:
                query.setlist(name, kept)
        return f"?{query.urlencode()}"


def _without_machine(query: QueryDict) -> QueryDict:
    """Leave out what a machine's own history cannot be filtered by."""
    kept = query.copy()
    kept.pop("machine", None)
    return kept


def _written(when: datetime | None) -> str:
    """Write a moment in the portal's time zone, as datetime-local fields have it."""
    if when is None:
        return ""
    local = timezone.localtime(when)
    return local.strftime(SECONDS if local.second else MINUTES)


def _for_people(text: str) -> str:
    return text.replace("T", " ")
