"""Pages of the trail: all of it for administrators, one machine's for its owners. Filters live in the URL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import access_then
from audit.access_then import AtScreen, Holder
from audit.filters import NAMES, Filters, after
from audit.kinds import FAMILIES, KINDS
from audit.models import Batch, Entry
from audit.words import told, what
from machines.models import Machine
from machines.page_links import Choice, Link
from machines.query_words import LATELY, bad_filter, moment, text

LENGTH = 100
FOR_OWNERS = ("who", "kind", "last", "since", "until")
"""What a machine's timeline can be filtered by: where people were is for administrators."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry, in words."""

    entry: Entry
    what: str
    told: str


class TrailPage:
    """One page of entries, newest first, and the links that change it.

    Raises:
        Refused: `bad_filter` (400).
    """

    names: tuple[str, ...] = NAMES

    def __init__(self, found: QuerySet[Entry], query: QueryDict) -> None:
        self._query_given = _only(query, self.names)
        self.filters = Filters.parse(self._query_given)
        matching = self.filters.apply(found)
        entries = list(after(matching, query.get("before", ""))[: LENGTH + 1])
        self.rows = [Line(entry, what(entry), told(entry)) for entry in entries[:LENGTH]]
        self._more = len(entries) > LENGTH
        self._at_start = not query.get("before")

    @property
    def next(self) -> str | None:
        """Return the query of the older page."""
        return self._with(before=str(self.rows[-1].entry.pk)) if self._more else None

    @property
    def first(self) -> str | None:
        """Return the query of the newest page, when this is not it."""
        return None if self._at_start else self._with()

    @property
    def narrowed(self) -> bool:
        """Whether a filter is in force."""
        return self.filters.narrowed

    @property
    def family_choices(self) -> list[Choice]:
        """Return what entries may be about."""
        return [Choice(name, str(word), name in self.filters.kinds) for name, word in FAMILIES.items()]

    @property
    def last_choices(self) -> list[Choice]:
        """Return the times back from now to choose from."""
        return [Choice(name, str(words), name == self.filters.last) for name, (_length, words) in LATELY.items()]

    @property
    def since(self) -> str:
        """Return the begin of the time in question as a form's field has it."""
        return written(self.filters.since)

    @property
    def until(self) -> str:
        """Return the end of the time in question as a form's field has it."""
        return written(self.filters.until)

    @property
    def chips(self) -> list[Link]:
        """Return each filter in force, with the query that removes it."""
        filters = self.filters
        words = [("who", filters.who), ("machine", filters.machine), ("address", filters.address)]
        chips = [Link(f"{_LABELS[name]}: {word}", self._without(name)) for name, word in words if word]
        for kind in filters.kinds:
            chips.append(Link(str(KINDS.get(kind, FAMILIES.get(kind, kind))), self._without("kind", kind)))
        if filters.last:
            chips.append(Link(str(LATELY[filters.last][1]), self._without("last")))
        if filters.since:
            chips.append(Link(_("since %(when)s") % {"when": _for_people(self.since)}, self._without("since")))
        if filters.until:
            chips.append(Link(_("until %(when)s") % {"when": _for_people(self.until)}, self._without("until")))
        return chips

    @property
    def downloads(self) -> dict[str, str]:
        """Return the query of each download."""
        return {wanted: self._with(format=wanted) for wanted in ("csv", "json")}

    @property
    def last_batch(self) -> Batch | None:
        """Return what was sealed last."""
        return Batch.objects.order_by("-number").defer("leaves").first()

    def _with(self, **more: str) -> str:
        query = self._query_given.copy()
        for name, value in more.items():
            query[name] = value
        return f"?{query.urlencode()}"

    def _without(self, name: str, value: str = "") -> str:
        query = self._query_given.copy()
        kept = [one for one in query.getlist(name) if value and one != value]
        query.setlist(name, kept)
        return f"?{query.urlencode()}"


class Timeline(TrailPage):
    """What happened to one machine, for its owners; and who could see or control it at a moment that they name.

    Raises:
        Refused: `bad_filter` (400).
    """

    names = FOR_OWNERS

    def __init__(self, of: Machine, query: QueryDict) -> None:
        self.of = of
        super().__init__(of_machine(of), query)
        self.access = AccessThen(of.uuid, query)


class AccessThen:
    """Who could see or control a machine at a moment, and who was at its screen.

    Raises:
        Refused: `bad_filter` (400); it is no moment.
    """

    def __init__(self, machine: UUID, query: QueryDict) -> None:
        self.at = moment(query, "at")
        self.written = written(self.at)
        self.reaches_back_to = access_then.reaches_back_to()
        self.holders: list[Holder] = access_then.holders(machine, self.at) if self.at else []
        self.at_screen: list[AtScreen] = access_then.at_screen(machine, self.at) if self.at else []

    @property
    def too_early(self) -> bool:
        """Whether the trail does not reach back so far."""
        return bool(self.at and (self.reaches_back_to is None or self.at < self.reaches_back_to))


def of_machine(machine: Machine) -> QuerySet[Entry]:
    """Return a machine's part of the trail, newest first."""
    return Entry.objects.filter(machine=machine.pk).order_by("-pk")


def machine_named(query: QueryDict) -> tuple[UUID, str]:
    """Return the machine that an administrator means by a UUID or a name, also one that is gone: UUID and name.

    Raises:
        Refused: `bad_filter` (400); the portal has and had none.
    """
    wanted = text(query, "machine")
    try:
        now, then = Q(pk=UUID(wanted)), Q(machine=UUID(wanted))
    except ValueError:
        now, then = Q(name=wanted), Q(machine_name=wanted)
    if machine := Machine.objects.only("pk", "name").filter(now).order_by("name").first():
        return machine.pk, machine.name
    if entry := Entry.objects.filter(then).exclude(machine=None).order_by("-pk").first():
        return cast(UUID, entry.machine), entry.machine_name
    raise bad_filter("machine", _("there is and was none of this name or UUID"))


def written(when: datetime | None) -> str:
    """Write a moment in the portal's time zone, as datetime-local fields have it."""
    if when is None:
        return ""
    local = timezone.localtime(when)
    return local.strftime("%Y-%m-%dT%H:%M:%S" if local.second else "%Y-%m-%dT%H:%M")


_LABELS = {"who": gettext_lazy("who"), "machine": gettext_lazy("machine"), "address": gettext_lazy("from")}


def _only(query: QueryDict, names: tuple[str, ...]) -> QueryDict:
    kept = QueryDict(mutable=True)
    for name in names:
        if values := [value for value in query.getlist(name) if value]:
            kept.setlist(name, values)
    return kept


def _for_people(moment_written: str) -> str:
    return moment_written.replace("T", " ")
