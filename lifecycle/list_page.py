"""The page of machines: one page of the list with the links and controls that change it. Filters live in the URL."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from lifecycle.bulk_bar import BulkBar
from lifecycle.sight import Sight, sights
from machines.access import Person, sees_everything, visible_machines
from machines.listing import FILTER_NAMES, FLAGS, NAMES, NOBODY, Filters, Page, page
from machines.models import Host, Machine
from machines.page_links import Choice, Link
from machines.state_words import STATE_WORDS
from people.models import Project

COLUMNS: tuple[tuple[str, str | Promise], ...] = (
    ("state", gettext_lazy("State")),
    ("name", gettext_lazy("Name")),
    ("owner", gettext_lazy("Owner")),
    ("host", gettext_lazy("Host")),
    ("addresses", gettext_lazy("Addresses")),
    ("memory", gettext_lazy("vCPU / memory")),
    ("since", gettext_lazy("Since")),
)
UNSORTABLE = {"addresses"}
OFFERED_OWNERS = 100
"""How many names the filter of owners offers; any other may be typed."""
FLAG_WORDS: dict[str, tuple[str | Promise, str | Promise]] = {
    "has_saved_image": (gettext_lazy("with a saved image"), gettext_lazy("without a saved image")),
    "has_snapshot": (gettext_lazy("with snapshots"), gettext_lazy("without snapshots")),
    "autostart": (gettext_lazy("autostart"), gettext_lazy("no autostart")),
    "persistent": (gettext_lazy("persistent"), gettext_lazy("transient")),
}

FLAG_LABELS: dict[str, str | Promise] = {
    "has_saved_image": gettext_lazy("Saved image"),
    "has_snapshot": gettext_lazy("Snapshots"),
    "autostart": gettext_lazy("Autostart"),
    "persistent": gettext_lazy("Definition"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head: what a click sorts by (empty when nothing), and how it is sorted now."""

    name: str
    word: str | Promise
    query: str
    direction: str


class FilteredPage:
    """A page of those machines this person sees that match the filters in its address, and the links that change them.

    Raises:
        Refused: `bad_filter` (400).
    """

    kept: ClassVar[tuple[str, ...]] = NAMES
    """What of its address its links keep."""

    def __init__(self, person: Person, query: QueryDict) -> None:
        self.person = person
        self.query = query
        self.filters: Filters = Filters.parse(query)

    @property
    def here(self) -> str:
        """Return the query that says which machines are meant, without the place in the list."""
        return self._with()

    @property
    def chips(self) -> list[Link]:
        """Return each filter in force, with the query that removes it."""
        filters, chips = self.filters, []
        if filters.q:
            chips.append(Link(f"“{filters.q}”", self._without("q")))
        chips += [Link(str(STATE_WORDS[state]), self._without("state", value=state.value)) for state in filters.states]
        if filters.owner:
            owner = _("nobody") if filters.owner == NOBODY else filters.owner
            chips.append(Link(_("owner: %(name)s") % {"name": owner}, self._without("owner")))
        if filters.host:
            chips.append(Link(_("host: %(name)s") % {"name": filters.host}, self._without("host")))
        for name in FLAGS:
            if (flag := getattr(filters, name)) is not None:
                chips.append(Link(str(FLAG_WORDS[name][not flag]), self._without(name)))
        return chips

    @property
    def without_filters(self) -> str:
        """Return the query that keeps everything but the filters."""
        return self._without(*FILTER_NAMES)

    def _with(self, **changes: str | None) -> str:
        """Return the present query with these parameters; the place in the list is forgotten unless given."""
        query = self._kept()
        for name, value in changes.items():
            query[name] = value or ""
        return f"?{query.urlencode()}"

    def _without(self, *names: str, value: str = "") -> str:
        query = self._kept()
        for name in names:
            query.setlist(name, [other for other in query.getlist(name) if value and other != value])
        return f"?{query.urlencode()}"

    def _kept(self) -> QueryDict:
        query = QueryDict(mutable=True)
        for name in self.kept:
            if values := [value for value in self.query.getlist(name) if value]:
                query.setlist(name, values)
        return query


class ListPage(FilteredPage):
    """One page of the list, as templates draw it."""

    kept = (*NAMES, "limit")

    def __init__(self, person: Person, query: QueryDict) -> None:
        super().__init__(person, query)
        self.page: Page = page(person, self.filters)
        self.rows: list[Sight] = sights(person, self.page.items)

    @property
    def total(self) -> int:
        """Return how many machines match, on all pages."""
        return self.page.total

    @property
    def next(self) -> str | None:
        """Return the query of the next page."""
        return self._with(cursor=self.page.next_cursor) if self.page.next_cursor else None

    @property
    def previous(self) -> str | None:
        """Return the query of the page before."""
        return self._with(cursor=self.page.previous_cursor) if self.page.previous_cursor else None

    @cached_property
    def bulk(self) -> BulkBar | None:
        """Return what may be asked of many of its machines; None when this person may ask nothing."""
        return BulkBar.over(self.rows, total=self.total)

    @property
    def columns(self) -> list[Column]:
        """Return the heads of the table; a click on the sorted one turns the order round."""
        return [self._column(name, word) for name, word in COLUMNS]

    @property
    def orders(self) -> list[Choice]:
        """Return the orders to choose from, for screens on which the table has no heads."""
        now = self.filters.sort
        pairs = [(name, word) for name, word in COLUMNS if name not in UNSORTABLE]
        pairs.sort(key=lambda pair: pair[0] != "name")
        rising = [Choice("" if name == "name" else name, str(word), name == now) for name, word in pairs]
        falling = [
            Choice(f"-{name}", _("%(column)s, descending") % {"column": word}, f"-{name}" == now)
            for name, word in pairs
        ]
        return [choice for pair in zip(rising, falling, strict=True) for choice in pair]

    @property
    def states(self) -> list[Choice]:
        """Return the states to choose from."""
        return [Choice(state, str(word), state in self.filters.states) for state, word in STATE_WORDS.items()]

    @cached_property
    def hosts(self) -> list[Choice]:
        """Return the hosts to choose from: those on which this person sees a machine; none where there is no choice."""
        hosts = (
            Host.objects.values_list("name", flat=True) if self.all else sorted({host for host, _owner in self._places})
        )
        return self._choices([(name, name) for name in hosts], self.filters.host)

    @cached_property
    def owners(self) -> list[Choice]:
        """Return owners to choose from, and nobody; none where there is no choice."""
        if self.all:
            some = Exists(Machine.objects.filter(owner=OuterRef("pk")))
            owning = User.objects.order_by().filter(some).values_list("username", flat=True)
            together = Exists(Machine.objects.filter(project=OuterRef("pk")))
            projects = Project.objects.order_by().filter(together).values_list("name", flat=True)
            found = list(owning.union(projects).order_by("username")[:OFFERED_OWNERS])
            nobodys = Machine.objects.filter(owner=None, project=None).exists()
        else:
            found = sorted({owner for _host, owner in self._places if owner})
            nobodys = any(owner is None for _host, owner in self._places)
        names = [(name, name) for name in found[:OFFERED_OWNERS]]
        return self._choices(names + [(NOBODY, _("nobody"))] * nobodys, self.filters.owner)

    @cached_property
    def _places(self) -> list[tuple[str, str | None]]:
        """Host, and owner or project, of the machines this person sees, each pair once."""
        holder = Coalesce("owner__username", "project__name")
        return list(self._visible().order_by().values_list("host__name", holder).distinct())

    @property
    def flags(self) -> list[tuple[str, str | Promise, list[Choice]]]:
        """Return the yes-or-no filters, each with its label."""
        return [(name, FLAG_LABELS[name], self._flag_choices(name)) for name in FLAGS]

    @cached_property
    def all(self) -> bool:
        """Whether this person sees every machine."""
        return sees_everything(self.person)

    @cached_property
    def any_at_all(self) -> bool:
        """Whether there would be a row without any filter."""
        return bool(self.rows) or self._visible().exists()

    @property
    def sensitive(self) -> bool:
        """Whether a changed state or fact can change which machines are on this page."""
        return self.filters.narrowed or self.filters.sort.removeprefix("-") != "name"

    def _choices(self, pairs: list[tuple[str, str]], now: str) -> list[Choice]:
        """Return them, unless there is one at most and no filter to change."""
        return [Choice(value, word, value == now) for value, word in pairs] if now or len(pairs) > 1 else []

    def _visible(self) -> QuerySet[Machine]:
        return visible_machines(self.person)

    def _column(self, name: str, word: str | Promise) -> Column:
        if name in UNSORTABLE:
            return Column(name, word, "", "")
        now = self.filters.sort
        direction = "descending" if now == f"-{name}" else "ascending" if now == name else ""
        return Column(name, word, self._with(sort=f"-{name}" if now == name else name), direction)

    def _flag_choices(self, name: str) -> list[Choice]:
        now = getattr(self.filters, name)
        yes, no = FLAG_WORDS[name]
        return [Choice("1", str(yes), now is True), Choice("0", str(no), now is False)]
