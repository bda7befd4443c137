"""Whether pictures of a machine's screen may be taken and shown: the policies of machines and of groups."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from redis import RedisError

from consoles import picture_shelf
from consoles.models import ConsolePolicy
from consoles.picture_shelf import Wishes
from consoles.picture_sizes import THUMBNAILS, Size
from consoles.tickets import has_picture
from machines import push
from machines.models import Grant, Machine

logger = logging.getLogger(__name__)

GONE = 0
"""The version that pages are told when a picture may not be shown any more, or may be again."""


def switched_off(machines: Collection[UUID]) -> set[UUID]:
    """Return which of these machines no picture may be taken or shown of (one query).

    One policy is enough: the machine's own, that of a group its owner is in, or that of a group it is granted to.
    """
    off = ConsolePolicy.objects.filter(thumbnails=False)
    groups = off.filter(machine=None).values("group")
    return _of_groups_or(Q(pk__in=off.filter(group=None).values("machine")), groups, machines)


def by_group(machine: Machine) -> bool:
    """Return whether a group's policy forbids pictures of this machine, so that its owner cannot allow them."""
    groups = ConsolePolicy.objects.filter(thumbnails=False, machine=None).values("group")
    return bool(_of_groups_or(Q(), groups, [machine.pk]))


def has_screen(machine: Machine) -> bool:
    """Return whether the machine has a display that shows something now."""
    return bool(machine.graphics) and machine.host.enabled and has_picture(machine)


def takeable(wishes: Wishes, machines: Iterable[Machine]) -> Wishes:
    """Return what of these wishes may be fulfilled now, for these machines (one query; `host` is read of each)."""
    with_screens = [machine.pk for machine in machines if has_screen(machine)]
    off = switched_off(with_screens) if with_screens else set()
    allowed = {machine: wishes[machine] - (THUMBNAILS if machine in off else set()) for machine in with_screens}
    return {machine: sizes for machine, sizes in allowed.items() if sizes}


def switch(machine: Machine, *, on: bool) -> None:
    """Allow pictures of a machine's screen, or forbid them and throw away those that are there."""
    ConsolePolicy.objects.update_or_create(machine=machine, defaults={"thumbnails": on})


@receiver([post_save, post_delete], sender=ConsolePolicy)
def on_policy_changed(instance: ConsolePolicy, **_: Any) -> None:
    """Throw old pictures away, whichever way it changed: one of the time before is not for later."""
    machines = [instance.machine_id] if instance.machine_id else _machines_of(instance.group)
    transaction.on_commit(lambda: _forget(machines))


def _of_groups_or(own: Q, groups: Any, machines: Collection[UUID]) -> set[UUID]:
    """Return those of the machines for which `own` holds, whose owner is in the groups, or that are granted to one."""
    members = User.groups.through.objects.filter(group__in=groups).values("user")
    granted = Grant.objects.filter(group__in=groups).values("machine")
    found = Machine.objects.order_by().filter(own | Q(owner__in=members) | Q(pk__in=granted), pk__in=machines)
    return set(found.values_list("pk", flat=True))


def _machines_of(group: Group | None) -> list[UUID]:
    held = Q(owner__groups=group) | Q(grants__group=group)
    return list(Machine.objects.order_by().filter(held).values_list("pk", flat=True).distinct())


def _forget(machines: list[UUID]) -> None:
    try:
        picture_shelf.forget(machines)
    except RedisError as error:  # they are not served where they may not be, and are gone within minutes
        logger.warning("old pictures of screens could not be thrown away: %s", error)
    for machine in machines:
        push.picture(machine, Size.SMALL, GONE)
