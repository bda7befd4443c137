"""How one reading of a domain changes a machine's row: pure, no database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from hypervisor.readings import Address, Capacity, Definition, Reading
from hypervisor.states import REASONS, DomainState, PortalFacts, State, Verdict, reason_word, state_of
from machines.models import Machine

UNSEEN = frozenset(
    {"domain_state", "domain_id", "runs", "shutdown_asked_at", "overdue_since", "quiet_since", "rebooted_at"},
)
"""Columns that no payload shows: a change of these alone makes no new version."""

_MOST_VCPUS, _MOST_BYTES = 2**31 - 1, 2**63 - 1
"""What columns hold: a definition that libvirt will refuse may say anything."""
_OFF = frozenset({DomainState.SHUTOFF, DomainState.CRASHED})


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known beside the reading: the time, how long quiet makes idle, and what was noticed since the last.

    - rebooted: the guest rebooted or was reset.
    - quiet: next to no vCPU time was used lately; None where nobody measured.
    - started: a run of it began; it may have ended since.
    - away: nobody has looked for so long that it may have run and stopped meanwhile.
    """

    now: datetime
    idle_after: timedelta
    rebooted: bool = False
    quiet: bool | None = None
    away: bool = False
    started: bool = False


def reflect(machine: Machine, reading: Reading, moment: Moment) -> set[str]:
    """Write a reading into the row object; return the names of the fields that changed."""
    changed = _assign(machine, _plain_values(machine, reading))
    changed |= _assign(machine, _run(machine, reading, moment))
    changed |= _assign(machine, _notes(machine, reading, moment))
    verdict = _verdict(machine, reading, moment)
    if machine.state != verdict.state:
        changed |= _assign(machine, {"state_since": moment.now})
    return changed | _assign(
        machine,
        {"state": verdict.state.value, "state_reason": verdict.reason, "domain_state": int(reading.state)},
    )


def forget(machine: Machine, now: datetime, *, away: bool = False) -> set[str]:
    """Make the row one that libvirt does not know (any more); its last XML stays.

    Where nobody looked for long (`away`), it may have run for once meanwhile, and gone again.
    """
    changed = _assign(machine, {"runs": machine.runs + away})
    if machine.state == State.UNDEFINED:
        return changed
    return changed | _assign(
        machine,
        {
            "state": State.UNDEFINED.value,
            "state_reason": "unknown",
            "state_since": now,
            "domain_state": int(DomainState.NOSTATE),
            "domain_id": None,
            "autostart": False,
            "has_saved_image": False,
            "snapshot_count": 0,
            "agent_connected": False,
            "addresses": [],
            "shutdown_asked_at": None,
            "overdue_since": None,
            "quiet_since": None,
        },
    )


def describe(machine: Machine, definition: Definition) -> set[str]:
    """Write what its definition says into the row object; return the names of the fields that changed."""
    return _assign(machine, _definition_values(definition))


def address_values(addresses: Iterable[Address]) -> list[dict[str, Any]]:
    """Return addresses as the row keeps them, in an order that does not depend on the agent's."""
    return sorted((asdict(address) for address in addresses), key=lambda one: (one["interface"], one["address"]))


def disk_bytes(present: int, capacity: Capacity) -> int:
    """Return what a row keeps of a machine's disks: what is not completely known lowers nothing."""
    found = min(capacity.bytes, _MOST_BYTES)
    return found if capacity.complete else max(present, found)


def _assign(machine: Machine, values: dict[str, Any]) -> set[str]:
    changed = {name for name, value in values.items() if getattr(machine, name) != value}
    for name in changed:
        setattr(machine, name, values[name])
    return changed


def _plain_values(machine: Machine, reading: Reading) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": reading.name,
        "persistent": reading.persistent,
        "autostart": reading.autostart,
        "has_saved_image": reading.has_saved_image,
        "snapshot_count": reading.snapshot_count,
    }
    if reading.definition:
        values |= _definition_values(reading.definition)
    if reading.state in _OFF:
        values |= {"agent_connected": False, "addresses": []}
    elif reading.agent_connected is not None:
        values["agent_connected"] = reading.agent_connected
    return values


def _definition_values(definition: Definition) -> dict[str, Any]:
    return {
        "title": definition.title[:255],
        "description": definition.description,
        "vcpus": min(definition.vcpus, _MOST_VCPUS),
        "memory_bytes": min(definition.memory_bytes, _MOST_BYTES),
        "video_model": definition.video_model[:32],
        "graphics": list(definition.graphics),
        "has_serial": definition.has_serial,
        "definition_xml": definition.xml,
    }


def _run(machine: Machine, reading: Reading, moment: Moment) -> dict[str, Any]:
    """Count the runs: another number of libvirt's is another run, and so is an end that nobody saw coming.

    After a while in which nobody looked the same number says nothing: a host that was restarted counts from one again.
    """
    begun = reading.domain_id is not None and (moment.away or reading.domain_id != machine.domain_id)
    missed = _may_have_run(machine, reading, moment)
    return {"domain_id": reading.domain_id, "runs": machine.runs + (begun or missed)}


def _may_have_run(machine: Machine, reading: Reading, moment: Moment) -> bool:
    """Say whether it was off or undefined before, is off now, and something tells of a run between.

    A reason that libvirt has forgotten tells nothing while somebody looked (libvirtd was restarted, or it was defined
    just now), and everything is possible when nobody did (the host was restarted).
    """
    reason = reason_word(reading.state, reading.reason)
    undefined = machine.domain_state == DomainState.NOSTATE
    if reading.state != DomainState.SHUTOFF or not (undefined or machine.domain_state == DomainState.SHUTOFF):
        return False
    if moment.started:
        return True
    if reason == "unknown":
        return moment.away
    return undefined or machine.state_reason not in {reason, "unknown"}


def _notes(machine: Machine, reading: Reading, moment: Moment) -> dict[str, Any]:
    """Return the portal's own facts after this reading: an off or rebooted machine is no longer on its way down."""
    values: dict[str, Any] = {}
    if reading.state in _OFF or moment.rebooted:
        values |= {"shutdown_asked_at": None, "overdue_since": None}
    if moment.rebooted:
        values["rebooted_at"] = moment.now
    if moment.quiet is False or reading.state is not DomainState.RUNNING:
        values["quiet_since"] = None
    elif moment.quiet:
        values["quiet_since"] = machine.quiet_since or moment.now
    return values


def _verdict(machine: Machine, reading: Reading, moment: Moment) -> Verdict:
    facts = PortalFacts(
        shutdown_asked=machine.shutdown_asked_at is not None,
        overdue=machine.overdue_since is not None,
        quiet=machine.quiet_since is not None and moment.now - machine.quiet_since >= moment.idle_after,
        saved_file=machine.saved_at_run == machine.runs,
    )
    reason = _remembered_reason(machine, reading)
    return state_of(reading.state, reason, has_saved_image=reading.has_saved_image, facts=facts)


def _remembered_reason(machine: Machine, reading: Reading) -> int:
    """Return the reason's number; the stored one where libvirt has forgotten it (its restart forgets: tried).

    libvirt also forgets how a machine ended that is undefined and defined again. One that was saved to a file and has
    not run since is still saved.
    """
    known = REASONS[reading.state]
    forgotten = reason_word(reading.state, reading.reason) == "unknown"
    defined_again = machine.state == State.UNDEFINED and reading.state == DomainState.SHUTOFF
    if forgotten and defined_again and machine.saved_at_run == machine.runs:
        return known.index("saved")
    if forgotten and machine.domain_state == reading.state and machine.state_reason in known:
        return known.index(machine.state_reason)
    return reading.reason
