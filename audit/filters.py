"""Which entries are wanted: filters as they stand in an address, for pages, exports and the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.kinds import known
from audit.models import Entry
from machines.models import Machine
from machines.query_words import LATELY, bad_filter, moment, one_of, several, text
from people.roles import is_administrator

NAMES = ("who", "kind", "machine", "address", "last", "since", "until")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries are wanted. Empty means: all. `until` is not included; `kinds` may be families."""

    who: str = ""
    kinds: tuple[str, ...] = ()
    machine: str = ""
    address: str = ""
    last: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def parse(cls, query: QueryDict) -> Filters:
        """Read filters from a query string; other parameters are left alone.

        Raises:
            Refused: `bad_filter` (400), naming the parameter and what it may be.
        """
        return cls(
            who=text(query, "who"),
            kinds=several(query, "kind", known(), str),
            machine=text(query, "machine"),
            address=_address(query),
            last=one_of(query, "last", LATELY),
            since=moment(query, "since"),
            until=moment(query, "until", end=True),
        )

    def apply(self, found: QuerySet[Entry]) -> QuerySet[Entry]:
        """Return those of these entries that match."""
        if self.who:
            found = found.filter(who=self.who)
        if self.kinds:
            found = found.filter(self._of_kinds())
        if self.machine:
            found = found.filter(_of_machine(self.machine))
        if self.address:
            found = found.filter(address=self.address)
        if self.last:
            found = found.filter(at__gte=timezone.now() - LATELY[self.last][0])
        if self.since:
            found = found.filter(at__gte=self.since)
        if self.until:
            found = found.filter(at__lt=self.until)
        return found

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return self != Filters()

    def _of_kinds(self) -> Q:
        wanted = Q(kind__in=[kind for kind in self.kinds if "." in kind])
        for family in self.kinds:
            if "." not in family:
                wanted |= Q(kind__startswith=f"{family}.")
        return wanted


def entries_or_404(request: HttpRequest) -> QuerySet[Entry]:
    """Return the whole trail, newest first, to an administrator.

    Raises:
        Http404: this person may not know of it.
    """
    if not is_administrator(request.user):
        raise Http404(_("There is nothing at this address."))
    return Entry.objects.order_by("-pk")


def after(found: QuerySet[Entry], before: str) -> QuerySet[Entry]:
    """Return the entries that come after a place in the list, newest first; all, where no place is given.

    Raises:
        Refused: `bad_filter` (400); that is no place.
    """
    if not before:
        return found
    if not (before.isascii() and before.isdigit() and len(before) < 19):
        raise bad_filter("before", _("it is not a place in this list"))
    return found.filter(pk__lt=int(before))


def _of_machine(wanted: str) -> Q:
    """Return what finds a machine by its UUID, or by a name that it has now or, when none has it, had then."""
    try:
        return Q(machine=UUID(wanted))
    except ValueError:
        named = list(Machine.objects.filter(name=wanted).values_list("pk", flat=True)[:100])
        return Q(machine__in=named) if named else Q(machine_name=wanted)


def _address(query: QueryDict) -> str:
    written = text(query, "address")
    try:
        return str(ip_address(written)) if written else ""
    except ValueError:
        raise bad_filter("address", _("write an IP address such as 192.0.2.7")) from None
