"""Room in a quota for the disks of a machine that is about to be defined: only its host knows what they can hold."""

from __future__ import annotations

import logging

from hypervisor import definition
from hypervisor.errors import HypervisorError
from hypervisor.states import State
from lifecycle.connections import Purpose, connection_of
from lifecycle.definition_acts import xml_of
from lifecycle.models import Operation
from lifecycle.quota_demands import MAKING, over_with_disks
from machines import quotas

log = logging.getLogger(__name__)


def lacking(operation: Operation) -> str:
    """Have the worker ask the host, where disks are limited, and say that they would go over; empty where not.

    Disks in no storage pool count once the machine is defined, and whoever defines it again with its last definition is
    held to what they were then. A host that does not answer is the operation's own business.
    """
    machine, holder = operation.machine, quotas.holder_of(operation.machine)
    if operation.kind not in MAKING or machine.state != State.UNDEFINED or holder is None:
        return ""
    if not holder.quotas.filter(disk_gib__isnull=False).exists():
        return ""
    try:
        disks = definition.parse(xml_of(operation)).disks
        capacity = connection_of(machine, Purpose.LONG).capacity_in_pools(disks)
    except HypervisorError as error:
        log.info("Operation %s: what its disks can hold is not known: %s", operation.pk, error)
        return ""
    known = 0 if "xml" in operation.parameters else machine.disk_bytes
    return over_with_disks(operation, max(capacity, known))
