"""How much of their quota a person or project uses: what a machine counts for, and whether there is room for more.

A machine counts against the quota of the project that owns it, or else of the person. One that its host has forgotten
counts for nothing. `lifecycle.quota_demands` refuses what would go over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from hypervisor.states import ACTIVE_STATES, State
from machines.models import Machine
from machines.state_words import Words
from people.models import Quota


class Resource(StrEnum):
    """What a quota limits, named like its field there (but for memory and disk, which are in bytes here)."""

    MACHINES = "machines"
    VCPUS = "vcpus"
    MEMORY = "memory"
    DISK = "disk"
    SNAPSHOTS = "snapshots"
    RUNNING = "running"


RESOURCE_WORDS: dict[Resource, Words] = {
    Resource.MACHINES: gettext_lazy("Machines"),
    Resource.VCPUS: gettext_lazy("vCPUs"),
    Resource.MEMORY: gettext_lazy("Memory"),
    Resource.DISK: gettext_lazy("Disk"),
    Resource.SNAPSHOTS: gettext_lazy("Snapshots"),
    Resource.RUNNING: gettext_lazy("Running at once"),
}
OVER = gettext_noop("The quota of %(whose)s does not allow it: %(resource)s would be %(wanted)s of %(limit)s.")
Amounts = Mapping[Resource, int]
"""How much of each; memory and disk in bytes."""
_SIZES: dict[Resource, tuple[str, int]] = {Resource.MEMORY: ("memory_mib", 2**20), Resource.DISK: ("disk_gib", 2**30)}
"""What is measured in bytes: its field in a quota, and the bytes that are one there."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who owns machines: a project or a person, by id."""

    project: int | None = None
    user: int | None = None

    @property
    def machines(self) -> QuerySet[Machine]:
        """Its machines."""
        return Machine.objects.order_by().filter(self.owning())

    @property
    def quotas(self) -> QuerySet[Quota]:
        """Its quota, if it has one."""
        return Quota.objects.filter(project=self.project) if self.project else Quota.objects.filter(user=self.user)

    def owning(self, prefix: str = "") -> Q:
        """Return the condition for its machines, reached over this prefix."""
        return Q(**{f"{prefix}project": self.project} if self.project else {f"{prefix}owner": self.user})


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one resource is used, and the most there may be (None: no limit)."""

    resource: Resource
    used: int
    limit: int | None

    @property
    def label(self) -> str:
        """What it is, in words."""
        return str(RESOURCE_WORDS[self.resource])

    @property
    def full(self) -> bool:
        """Whether there is room for nothing more."""
        return self.limit is not None and self.used >= self.limit


def holder_of(machine: Machine) -> Holder | None:
    """Return whose quota a machine counts against; None where nobody owns it."""
    if machine.project_id:
        return Holder(project=machine.project_id)
    return Holder(user=machine.owner_id) if machine.owner_id else None


def amounts_of(machine: Machine) -> dict[Resource, int]:
    """Return what a machine counts for as it is now."""
    if machine.state == State.UNDEFINED:
        return {}
    running = int(machine.state in ACTIVE_STATES)
    return definition_amounts(machine) | {Resource.SNAPSHOTS: machine.snapshot_count, Resource.RUNNING: running}


def definition_amounts(machine: Machine) -> dict[Resource, int]:
    """Return what a machine counts for by being defined."""
    sizes = {Resource.MEMORY: machine.memory_bytes, Resource.DISK: machine.disk_bytes}
    return {Resource.MACHINES: 1, Resource.VCPUS: machine.vcpus} | sizes


def used_by(holder: Holder, *, but: Machine | None = None) -> dict[Resource, int]:
    """Return how much a person or project uses now, perhaps leaving one machine out (one query)."""
    machines = holder.machines.exclude(state=State.UNDEFINED)
    if but:
        machines = machines.exclude(pk=but.pk)
    found = machines.aggregate(
        machines=Count("pk"),
        vcpus=Sum("vcpus"),
        memory=Sum("memory_bytes"),
        disk=Sum("disk_bytes"),
        snapshots=Sum("snapshot_count"),
        running=Count("pk", filter=Q(state__in=ACTIVE_STATES)),
    )
    return {resource: found[resource] or 0 for resource in Resource}


def limit_of(quota: Quota, resource: Resource) -> int | None:
    """Return the most a quota allows, None for no limit; memory and disk in bytes."""
    field, unit = _SIZES.get(resource, (resource.value, 1))
    limit: int | None = getattr(quota, field)
    return None if limit is None else limit * unit


def set_limit(quota: Quota, resource: Resource, limit: int) -> None:
    """Have a quota allow so much (memory and disk in bytes, rounded up to whole MiB and GiB)."""
    field, unit = _SIZES.get(resource, (resource.value, 1))
    setattr(quota, field, -(-limit // unit))
    quota.save(update_fields=[field])


def uses_of(holder: Holder | None) -> list[Use]:
    """Return how much of its quota a person or project uses: only what is limited, nothing without a quota."""
    quota = holder.quotas.first() if holder else None
    if holder is None or quota is None:
        return []
    used = used_by(holder)
    uses = [Use(resource, used[resource], limit_of(quota, resource)) for resource in Resource]
    return [use for use in uses if use.limit is not None]


def first_over(quota: Quota, used: Amounts, more: Amounts) -> Use | None:
    """Return the first resource that would go over with so much more, with what would be used then."""
    for resource, amount in more.items():
        limit = limit_of(quota, resource)
        if limit is not None and amount and used.get(resource, 0) + amount > limit:
            return Use(resource, used.get(resource, 0) + amount, limit)
    return None


def full_of_running(machines: Iterable[Machine]) -> dict[Holder, Use]:
    """Return the owners of these machines that may start none more, and how many of theirs run.

    One query where quotas came with the machines (`SHOWN_WITH`) and one of them limits it, none otherwise.
    """
    limits = dict(filter(None, map(_running_limit, machines)))
    if not limits:
        return {}
    owning = Q()
    for holder in limits:
        owning |= holder.owning()
    running = Machine.objects.order_by().filter(owning, state__in=ACTIVE_STATES)
    counts = {
        Holder(project=project) if project else Holder(user=owner): count
        for project, owner, count in running.values_list("project", "owner").annotate(Count("pk"))
    }
    uses = {holder: Use(Resource.RUNNING, counts.get(holder, 0), limit) for holder, limit in limits.items()}
    return {holder: use for holder, use in uses.items() if use.full}


def _running_limit(machine: Machine) -> tuple[Holder, int] | None:
    owner, holder = machine.project or machine.owner, holder_of(machine)
    quota: Quota | None = getattr(owner, "quota", None)
    if holder is None or quota is None or quota.running is None:
        return None
    return holder, quota.running


def over_sentence(over: Use, whose: str) -> str:
    """Say what would go over, with the figures."""
    return _(OVER) % {
        "whose": whose,
        "resource": over.label,
        "wanted": amount_words(over.resource, over.used),
        "limit": amount_words(over.resource, over.limit or 0),
    }


def amount_words(resource: Resource, amount: int) -> str:
    """Write an amount with its unit."""
    if resource not in _SIZES:
        return str(amount)
    unit, size = ("TiB", 2**40) if amount >= 2**40 else ("GiB", 2**30)
    return f"{amount / size:.4g} {unit}"
