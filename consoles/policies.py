"""What administrators laid down for the consoles of machines and groups."""

from __future__ import annotations

from django.db.models import Q

from consoles.models import ConsolePolicy, Protocol
from machines.access import Person
from machines.models import Machine

RECORDED = frozenset({Protocol.VNC})
"""What can be recorded: the RFB stream."""


def is_recorded(machine: Machine, person: Person, protocol: Protocol) -> bool:
    """Return whether this person's console of the machine is recorded: by its policy or by one of a group.

    A group's policy holds for its members, and for the machines granted to it.
    """
    if protocol not in RECORDED:
        return False
    of_group = Q(group__user=person.pk) | Q(group__machine_grants__machine=machine)
    return ConsolePolicy.objects.filter(Q(machine=machine) | of_group, record=True).exists()
