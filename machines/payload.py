"""What a machine and a host look like to whoever may see them: one shape for sockets, API and pages."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from hypervisor.states import State
from machines.models import Host, Machine
from machines.state_words import STATE_MEANINGS


class MachinePayload(TypedDict):
    """The small state of a machine, the same for every viewer. Times in ISO 8601, memory in bytes."""

    uuid: str
    name: str
    title: str
    description: str
    host: str
    host_id: int
    host_reachable: bool
    seen_at: str | None
    state: str
    state_meaning: str
    state_reason: str
    state_since: str
    persistent: bool
    autostart: bool
    has_saved_image: bool
    saved_file_count: int
    snapshot_count: int
    vcpus: int
    memory_bytes: int
    disk_bytes: int
    video_model: str
    graphics: list[str]
    consoles: list[str]
    agent_connected: bool
    addresses: list[dict[str, str | int]]
    owner: str | None
    project: str | None
    conflict: str
    version: int


class HostPayload(TypedDict):
    """What people who see a machine on this host may know of it (its URI and errors are for administrators)."""

    id: int
    name: str
    reachable: bool
    seen_at: str | None


def machine_payload(machine: Machine) -> MachinePayload:
    """Describe a machine. Reads `host`, `owner` and `project`: fetch it with select_related, or each costs a query."""
    return {
        "uuid": str(machine.uuid),
        "name": machine.name,
        "title": machine.title,
        "description": machine.description,
        "host": machine.host.name,
        "host_id": machine.host_id,
        "host_reachable": machine.host.reachable,
        "seen_at": iso(machine.host.seen_at),
        "state": machine.state,
        "state_meaning": str(STATE_MEANINGS[State(machine.state)]),
        "state_reason": machine.state_reason,
        "state_since": machine.state_since.isoformat(),
        "persistent": machine.persistent,
        "autostart": machine.autostart,
        "has_saved_image": machine.has_saved_image,
        "saved_file_count": machine.saved_file_count,
        "snapshot_count": machine.snapshot_count,
        "vcpus": machine.vcpus,
        "memory_bytes": machine.memory_bytes,
        "disk_bytes": machine.disk_bytes,
        "video_model": machine.video_model,
        "graphics": list(machine.graphics),
        "consoles": machine.consoles,
        "agent_connected": machine.agent_connected,
        "addresses": list(machine.addresses),
        "owner": machine.owner.get_username() if machine.owner else None,
        "project": machine.project.name if machine.project else None,
        "conflict": machine.conflict,
        "version": machine.version,
    }


def host_payload(host: Host) -> HostPayload:
    """Describe a host to people who see a machine on it."""
    return {"id": host.pk, "name": host.name, "reachable": host.reachable, "seen_at": iso(host.seen_at)}


def iso(moment: datetime | None) -> str | None:
    """Write a moment as scripts read it, null where there is none."""
    return moment.isoformat() if moment else None
