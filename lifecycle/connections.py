"""The connections of one process to its hosts, kept apart by purpose: libvirtd serves few calls of each at once."""

from __future__ import annotations

from enum import Enum, auto
from functools import cache

from hypervisor.connection import Connection
from hypervisor.domain import Domain
from hypervisor.pool import Pool
from hypervisor.readings import Reading
from hypervisor.states import PortalFacts, State, Verdict, state_of
from machines.models import Machine


class Purpose(Enum):
    """Why a connection is used: calls that take long never take the places of quick ones."""

    QUICK = auto()
    """Verbs that answer at once, force off, and looking at or aborting the jobs of the long ones."""
    LONG = auto()
    """Calls that move a guest's memory: save and restore."""


@cache
def pool(purpose: Purpose) -> Pool:
    """Return the process-wide pool (threads share it; Celery's threads are never forked)."""
    return Pool()


def connection_of(machine: Machine, purpose: Purpose) -> Connection:
    """Return a live connection to the machine's host.

    Raises:
        HostUnreachable: it does not answer.
    """
    return pool(purpose).connection(machine.host.uri)


def domain_of(machine: Machine, purpose: Purpose) -> Domain:
    """Return the machine's domain.

    Raises:
        HostUnreachable: its host does not answer.
        DomainNotFound: libvirt does not know it.
    """
    return connection_of(machine, purpose).domain(machine.uuid)


def verdict_on_host(machine: Machine) -> Verdict:
    """Return the machine's real state and reason, as its host says now; a stopped QEMU does not hold it up.

    Raises:
        HostUnreachable: its host does not answer.
    """
    return verdict_of(reading_on_host(machine))


def reading_on_host(machine: Machine) -> Reading | None:
    """Return what the machine's host says of it now, None when it does not know it.

    Raises:
        HostUnreachable: its host does not answer.
    """
    return connection_of(machine, Purpose.QUICK).read(machine.uuid)


def verdict_of(reading: Reading | None) -> Verdict:
    """Return the state and reason that a reading shows, without the portal's own facts."""
    if reading is None:
        return Verdict(State.UNDEFINED, "unknown")
    return state_of(reading.state, reading.reason, has_saved_image=reading.has_saved_image, facts=PortalFacts())
