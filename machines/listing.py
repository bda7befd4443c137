"""The list of machines a person sees: filters, search and keyset pages, for the page and the API alike."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from hypervisor.states import State
from machines.access import Person, visible_machines
from machines.models import SHOWN_WITH, Machine
from machines.refused import Refused

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_SEARCH = 200
NOBODY = "-"
"""As `owner`: machines that neither a person nor a project owns."""

SORTS = {
    "name": "name",
    "state": "state",
    "since": "state_since",
    "owner": "owner_key",
    "host": "host__name",
    "memory": "memory_bytes",
}
FLAGS = ("has_snapshot", "has_saved_image", "autostart", "persistent")
FILTER_NAMES = ("q", "state", "owner", "host", *FLAGS)
NAMES = (*FILTER_NAMES, "sort")
"""What a query string may say of which machines are meant, and in which order."""
_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}
_ADDRESS = re.compile(r"[0-9a-f.:/]*[.:][0-9a-f.:/]*", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f][0-9a-f-]{3,35}", re.IGNORECASE)
_ALSO_IDLE = {State.RUNNING: (State.RUNNING, State.IDLE)}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked of the list. Empty or None means: everything."""

    states: tuple[State, ...] = ()
    q: str = ""
    host: str = ""
    owner: str = ""
    has_snapshot: bool | None = None
    has_saved_image: bool | None = None
    autostart: bool | None = None
    persistent: bool | None = None
    sort: str = "name"
    limit: int = DEFAULT_LIMIT
    cursor: Cursor | None = None

    @classmethod
    def parse(cls, query: QueryDict) -> Filters:
        """Read filters from a query string; parameters that are not of the list are left alone.

        Raises:
            Refused: `bad_filter` (400), naming the parameter and what it may be.
        """
        sort = _choice(query, "sort", {*SORTS, *(f"-{name}" for name in SORTS)}) or "name"
        return cls(
            states=tuple(dict.fromkeys(State(_known_state(word)) for word in query.getlist("state") if word)),
            q=_text(query, "q"),
            host=_text(query, "host"),
            owner=_text(query, "owner"),
            sort=sort,
            limit=_limit(query.get("limit", "")),
            cursor=Cursor.parse(cursor, sort) if (cursor := query.get("cursor")) else None,
            **{name: _flag(query, name) for name in FLAGS},
        )

    @classmethod
    def given(cls, values: Mapping[str, Any]) -> Filters:
        """Read filters from JSON. What is no filter is refused: a slip would mean every machine.

        Raises:
            Refused: `bad_filter` (400), naming the parameter and what it may be.
        """
        query = QueryDict(mutable=True)
        for name, value in values.items():
            if name not in NAMES:
                raise _bad(name[:40], _("it may be %(words)s") % {"words": ", ".join(NAMES)})
            query.setlist(
                name, [_word(name, each) for each in (value if isinstance(value, list) else [value]) or [None]]
            )
        return cls.parse(query)

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out of the list."""
        return bool(self.states or self.q or self.host or self.owner) or any(
            getattr(self, name) is not None for name in FLAGS
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: the sort key, name and UUID of the row beside it, and which way the page goes on."""

    sort: str
    key: Any
    name: str
    uuid: UUID
    backwards: bool = False

    @classmethod
    def parse(cls, text: str, sort: str) -> Cursor:
        """Read a cursor of this sort order.

        Raises:
            Refused: `bad_filter` (400): it is not one, or of another order.
        """
        try:
            made_for, key, name, uuid, backwards = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            key = _key_of(made_for, key)
            cursor = cls(made_for, key, _clean(str(name)), UUID(uuid), bool(backwards))
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise _bad("cursor", _("it is not one of this list")) from error
        if cursor.sort != sort:
            raise _bad("cursor", _("it belongs to another order"))
        return cursor

    @classmethod
    def beside(cls, machine: Machine, sort: str, *, backwards: bool) -> Cursor:
        """Make the cursor that goes on after (or, backwards, before) this row."""
        field = SORTS[sort.removeprefix("-")]
        key = machine.host.name if field == "host__name" else getattr(machine, field)
        return cls(sort, key, machine.name, machine.uuid, backwards)

    def __str__(self) -> str:
        key = self.key.isoformat() if isinstance(self.key, datetime) else self.key
        packed = json.dumps([self.sort, key, self.name, self.uuid.hex, int(self.backwards)], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list; the cursors are None at its ends. `total` counts all pages."""

    items: Sequence[Machine]
    next_cursor: str | None
    previous_cursor: str | None
    total: int


def page(person: Person, filters: Filters) -> Page:
    """Return one page of the machines this person sees: two queries, however many machines there are.

    A cursor whose rows are gone, or that leads before the first page, gives the first page.
    """
    found = matching(person, filters)
    total = found.aggregate(total=Count("pk"))["total"]
    rows = _ordered(found, filters, backwards=False)
    cursor = filters.cursor
    if cursor is None:
        return _page(list(rows[: filters.limit + 1]), filters, total, first=True)
    rows = _ordered(found, filters, backwards=cursor.backwards).filter(_beyond(cursor))
    items = list(rows[: filters.limit + 1])
    if not items or (cursor.backwards and len(items) <= filters.limit):
        return _page(list(_ordered(found, filters, backwards=False)[: filters.limit + 1]), filters, total, first=True)
    if cursor.backwards:
        return _page_before(items, filters, total)
    return _page(items, filters, total, first=False)


def matching(person: Person, filters: Filters) -> QuerySet[Machine]:
    """Return the machines this person sees that match, in no order."""
    found = visible_machines(person)
    if filters.states:
        wanted = {state for word in filters.states for state in _ALSO_IDLE.get(word, (word,))}
        found = found.filter(state__in=sorted(wanted))
    if filters.host:
        found = found.filter(host__name=filters.host)
    if filters.owner:
        theirs = Q(owner__username=filters.owner) | Q(project__name=filters.owner)
        found = found.filter(owner=None, project=None) if filters.owner == NOBODY else found.filter(theirs)
    if filters.has_snapshot is not None:
        found = found.filter(snapshot_count__gt=0) if filters.has_snapshot else found.filter(snapshot_count=0)
    for name in ("has_saved_image", "autostart", "persistent"):
        if (wanted_flag := getattr(filters, name)) is not None:
            found = found.filter(**{name: wanted_flag})
    return _searched(found, filters.q)


def in_order(person: Person, filters: Filters) -> QuerySet[Machine]:
    """Return the machines this person sees that match, all pages of them, in the order of the list."""
    return _ordered(matching(person, filters), filters, backwards=False)


def _searched(found: QuerySet[Machine], text: str) -> QuerySet[Machine]:
    """Keep machines in which every word occurs: name, title, owner, host; addresses or UUID for what looks like one."""
    words = text.split()
    if any(_ADDRESS.fullmatch(word) for word in words):
        found = found.alias(address_text=Cast("addresses", TextField()))
    for word in words:
        anywhere = Q(name__icontains=word) | Q(title__icontains=word)
        anywhere |= Q(owner__username__icontains=word) | Q(project__name__icontains=word)
        anywhere |= Q(host__name__icontains=word)
        if _ADDRESS.fullmatch(word):
            anywhere |= Q(address_text__icontains=word)
        if _UUID.fullmatch(word):
            digits = word.replace("-", "")[:32]
            anywhere |= Q(uuid__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
        found = found.filter(anywhere)
    return found


def _ordered(found: QuerySet[Machine], filters: Filters, *, backwards: bool) -> QuerySet[Machine]:
    """Order by the sort key, ties by name and UUID (always ascending), all turned round when going backwards."""
    field, descending = SORTS[filters.sort.removeprefix("-")], filters.sort.startswith("-")
    if field == "owner_key":
        found = found.annotate(owner_key=Coalesce("owner__username", "project__name", Value("")))
    keys = [(field, descending), ("name", False), ("uuid", False)]
    if field == "name":
        keys = [("name", descending), ("uuid", False)]
    order = [F(name).desc() if down != backwards else F(name).asc() for name, down in keys]
    return found.select_related(*SHOWN_WITH).defer("definition_xml", "description").order_by(*order)


def _beyond(cursor: Cursor) -> Q:
    """Return the condition for rows after the cursor in its direction.

    The leading `>=` repeats what the rest says, so that the database may enter an index there.
    """
    field, descending = SORTS[cursor.sort.removeprefix("-")], cursor.sort.startswith("-")
    first = "lt" if descending != cursor.backwards else "gt"
    tie = "lt" if cursor.backwards else "gt"
    after_tie = Q(**{f"uuid__{tie}": cursor.uuid})
    if field != "name":
        after_tie = Q(**{f"name__{tie}": cursor.name}) | (Q(name=cursor.name) & after_tie)
    entry = Q(**{f"{field}__{first}e": cursor.key})
    return entry & (Q(**{f"{field}__{first}": cursor.key}) | (Q(**{field: cursor.key}) & after_tie))


def _page(items: list[Machine], filters: Filters, total: int, *, first: bool) -> Page:
    more = len(items) > filters.limit
    items = items[: filters.limit]
    following = str(Cursor.beside(items[-1], filters.sort, backwards=False)) if more else None
    before = str(Cursor.beside(items[0], filters.sort, backwards=True)) if items and not first else None
    return Page(items, following, before, total)


def _page_before(items: list[Machine], filters: Filters, total: int) -> Page:
    items = items[: filters.limit][::-1]
    following = str(Cursor.beside(items[-1], filters.sort, backwards=False))
    return Page(items, following, str(Cursor.beside(items[0], filters.sort, backwards=True)), total)


def _key_of(sort: str, key: Any) -> Any:
    """Return a cursor's key as the type its column has. Raises KeyError-free ValueError or TypeError when it is not."""
    field = SORTS.get(str(sort).removeprefix("-"))
    if field == "state_since":
        if (when := parse_datetime(key)) is None or when.tzinfo is None:
            raise ValueError(key)
        return when
    if field == "memory_bytes":
        if not isinstance(key, int) or not 0 <= key < 2**63:
            raise ValueError(key)
        return key
    if field is None or not isinstance(key, str):
        raise ValueError(key)
    return _clean(key)


def _bad(parameter: str, why: str) -> Refused:
    sentence = _("The filter “%(parameter)s” cannot be used: %(why)s.") % {"parameter": parameter, "why": why}
    return Refused("bad_filter", sentence, status=400, details={"parameter": parameter})


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if not isinstance(value, str) or not value:
        raise _bad(name, _("write a word, true or false"))
    return value


def _clean(text: str) -> str:
    return text.replace("\0", "")


def _text(query: QueryDict, name: str) -> str:
    text = _clean(query.get(name, "")).strip()
    if len(text) > MAX_SEARCH:
        raise _bad(name, _("it is longer than %(limit)s characters") % {"limit": MAX_SEARCH})
    return text


def _known_state(word: str) -> str:
    if word not in set(State):
        raise _bad("state", _("it may be %(words)s") % {"words": ", ".join(State)})
    return word


def _choice(query: QueryDict, name: str, known: set[str]) -> str:
    value = query.get(name, "")
    if value and value not in known:
        raise _bad(name, _("it may be %(words)s") % {"words": ", ".join(sorted(known))})
    return value


def _flag(query: QueryDict, name: str) -> bool | None:
    value = query.get(name, "").lower()
    if value and value not in _YES | _NO:
        raise _bad(name, _("write 1 or 0"))
    return value in _YES if value else None


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise _bad("limit", _("write a number from 1 to %(limit)s") % {"limit": MAX_LIMIT})
    return int(text)
