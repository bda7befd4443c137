"""The pages of hosts, for administrators: what connects the portal to each, what it can do, and what runs there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.states import ACTIVE_STATES, State
from lifecycle import host_tests
from lifecycle.models import OPEN, HostTest, Status
from machines.models import Host, Lease, Machine
from machines.state_words import STATE_WORDS

CONFLICTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Connection:
    """How a host is connected: a word, and the status whose colour it wears."""

    word: str
    status: str
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """How many machines of one state a host has, and the memory and vCPUs of all of them."""

    state: State
    machines: int
    memory_bytes: int
    vcpus: int = 0


@dataclass(frozen=True, slots=True)
class StateLink:
    """A state with the number of machines in it, and the list that shows just these."""

    state: State
    word: str
    number: int
    url: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A machine whose UUID two hosts show; `here` when it is followed on the host whose page this is."""

    machine: Machine
    other: Host | None
    here: bool


@dataclass(frozen=True)
class HostView:
    """One host as administrators see it."""

    host: Host
    lease: Lease | None
    loads: Sequence[Load] = ()
    conflict_count: int = 0
    conflicts: Sequence[Conflict] = ()
    tests: Sequence[HostTest] = field(default_factory=list)

    @property
    def watched(self) -> bool:
        """Whether a watcher follows the host now."""
        return bool(self.lease and self.lease.holder and self.lease.expires_at > timezone.now())

    @property
    def connection(self) -> Connection:
        """Say how the host is connected."""
        if not self.host.enabled:
            return Connection(_("disabled"), Status.CANCELLED)
        if not self.watched:
            return Connection(_("not watched"), Status.INTERRUPTED, alarming=True)
        if self.host.reachable:
            return Connection(_("connected"), Status.SUCCEEDED)
        if not self.host.last_error:
            return Connection(_("connecting"), Status.QUEUED)
        return Connection(_("does not answer"), Status.FAILED, alarming=True)

    @property
    def error(self) -> str:
        """Return our sentence about what is wrong, empty when nothing is."""
        return "" if self.host.reachable else self.host.last_error.partition("\n")[0]

    @property
    def error_words(self) -> str:
        """Return libvirt's own words about it."""
        return "" if self.host.reachable else self.host.last_error.partition("\n")[2]

    @property
    def machines(self) -> int:
        """Return how many machines the portal knows here."""
        return sum(load.machines for load in self.loads)

    @property
    def machines_url(self) -> str:
        """Return the list of this host's machines."""
        return _list_url(self.host)

    @property
    def promised_bytes(self) -> int:
        """Return the memory of the machines that are on."""
        return sum(load.memory_bytes for load in self.loads if load.state in ACTIVE_STATES)

    @property
    def promised_vcpus(self) -> int:
        """Return the vCPUs of the machines that are on."""
        return sum(load.vcpus for load in self.loads if load.state in ACTIVE_STATES)

    @property
    def overcommitted(self) -> bool:
        """Whether more memory is promised than there is."""
        return 0 < self.host.memory_bytes < self.promised_bytes

    @property
    def used_bytes(self) -> int:
        """Return the memory that was in use when the host was last asked."""
        return max(0, self.host.memory_bytes - self.host.free_memory_bytes)

    @property
    def states(self) -> list[StateLink]:
        """Return each state that machines here are in; as in the list, “running” counts the idle ones too."""
        numbers = {load.state: load.machines for load in self.loads}
        if State.IDLE in numbers:
            numbers[State.RUNNING] = numbers.get(State.RUNNING, 0) + numbers[State.IDLE]
        return [
            StateLink(state, str(word), numbers[state], _list_url(self.host, state))
            for state, word in STATE_WORDS.items()
            if numbers.get(state)
        ]

    @property
    def conflicts_left_out(self) -> int:
        """Return how many conflicts are not listed."""
        return self.conflict_count - len(self.conflicts)

    @property
    def testing(self) -> bool:
        """Whether a test of the connection is under way."""
        return any(test.status in OPEN for test in self.tests)


def all_of(hosts: QuerySet[Host]) -> list[HostView]:
    """Return these hosts, in a number of queries that does not grow with them."""
    loads = _loads(Machine.objects.all())
    conflicts = _conflict_counts()
    return [
        HostView(host, _lease(host), loads.get(host.pk, ()), conflicts.get(host.pk, 0))
        for host in hosts.select_related("lease")
    ]


def one(host: Host) -> HostView:
    """Return one host with its conflicts and latest tests."""
    in_conflict = Machine.objects.filter(Q(host=host, conflict_host__isnull=False) | Q(conflict_host=host))
    rows = in_conflict.select_related("host", "conflict_host").defer("definition_xml", "description")
    return HostView(
        host,
        _lease(host),
        _loads(Machine.objects.filter(host=host)).get(host.pk, ()),
        in_conflict.count(),
        [_conflict(host, machine) for machine in rows[:CONFLICTS_SHOWN]],
        host_tests.latest(host),
    )


def _lease(host: Host) -> Lease | None:
    lease: Lease | None = getattr(host, "lease", None)
    return lease


def _loads(machines: QuerySet[Machine]) -> dict[int, list[Load]]:
    rows = machines.order_by().values_list("host_id", "state").annotate(Count("pk"), Sum("memory_bytes"), Sum("vcpus"))
    loads: dict[int, list[Load]] = {}
    for host_id, state, number, memory, vcpus in rows:
        loads.setdefault(host_id, []).append(Load(State(state), number, memory or 0, vcpus or 0))
    return loads


def _conflict_counts() -> dict[int, int]:
    counts: dict[int, int] = {}
    pairs = Machine.objects.filter(conflict_host__isnull=False).order_by().values_list("host_id", "conflict_host_id")
    rows: Iterable[tuple[int, int, int]] = pairs.annotate(Count("pk"))
    for one, other, number in rows:
        for host_id in (one, other):
            counts[host_id] = counts.get(host_id, 0) + number
    return counts


def _conflict(host: Host, machine: Machine) -> Conflict:
    here = machine.host_id == host.pk
    return Conflict(machine, machine.conflict_host if here else machine.host, here)


def _list_url(host: Host, state: State | None = None) -> str:
    query = {"host": host.name} | ({"state": state.value} if state else {})
    return f"/?{urlencode(query)}"
