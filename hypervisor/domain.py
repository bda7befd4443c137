"""What can be done to one domain: verbs of a few lines, each one libvirt call."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from itertools import islice
from typing import Any
from uuid import UUID

import libvirt
import libvirt_qemu

from hypervisor.calls import Calls
from hypervisor.definition import domain_element, graphics_devices
from hypervisor.errors import DomainInWrongState, NotSupported
from hypervisor.readings import Address, JobProgress
from hypervisor.translation import AGENT, SAVING, STARTING

MOST_ADDRESSES = 64
MOST_NAME = 64
"""Characters of an interface's name."""
AGENT_SECONDS = 5
"""How long libvirt waits for a guest agent's answer to a question for addresses."""

_SHUTDOWN_FLAGS = {
    "default": libvirt.VIR_DOMAIN_SHUTDOWN_DEFAULT,
    "acpi": libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
}
_REBOOT_FLAGS = {
    "default": libvirt.VIR_DOMAIN_REBOOT_DEFAULT,
    "acpi": libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT,
}
_CRASHED_ALIVE = frozenset(
    {
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_UNKNOWN),
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED),
    }
)
"""States and reasons of a guest that crashed while its QEMU process stayed."""

_RUNNING_JOBS = frozenset({libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED})
_JOBS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_START: "start",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE: "save",
    libvirt.VIR_DOMAIN_JOB_OPERATION_RESTORE: "restore",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN: "migration in",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: "migration out",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: "snapshot",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: "revert",
    libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP: "dump",
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: "backup",
}


class Domain:
    """A domain to act on. Threads may share it.

    Every verb raises HostUnreachable, HostBusy, DomainNotFound; DomainInWrongState where the domain's state does not
    allow it; DomainBusy where its QEMU process does not answer or another verb on it has not returned. A verb may hang
    as long as the QEMU process does not answer; `destroy` ends that.
    """

    def __init__(self, uuid: UUID, name: str, calls: Calls) -> None:
        """Take its name and the turns of its connection. Made by `Connection.domain`."""
        self.uuid = uuid
        self.name = name
        self._calls = calls

    def start(self) -> None:
        """Start it, from its managed-save image where it has one (virDomainCreate).

        A guest that crashed and whose QEMU process was kept is destroyed first.

        Raises:
            DomainInWrongState: it runs; or it crashed and is transient, so that destroying it would lose it.
        """
        with self._calls.verb(self.uuid, STARTING) as domain:
            if tuple(domain.state()) in _CRASHED_ALIVE:
                _clear(domain)
            domain.create()

    def shutdown(self, mode: str = "default") -> None:
        """Ask the guest to shut down; returns when it was asked, not when it is off (virDomainShutdownFlags).

        Args:
            mode: "acpi" presses the power button; "agent" asks the guest agent (waits up to a minute for it);
                "default" lets libvirt choose: the agent, and where there is none the button.

        Raises:
            AgentUnavailable: mode is "agent" and it is not there.
        """
        with self._calls.verb(self.uuid, AGENT if mode == "agent" else None) as domain:
            domain.shutdownFlags(_SHUTDOWN_FLAGS[mode])

    def reboot(self, mode: str = "default") -> None:
        """Ask the guest to reboot; returns when it was asked (virDomainReboot).

        No state changes meanwhile; REBOOTED events (two or three) tell that it happened, then AGENT ones. That is so in
        each mode: by ACPI libvirt lets the guest power off and resets it, by the agent the guest reboots itself.
        A guest that ignores the button keeps the reboot owed: when it powers itself off later it is reset instead,
        until a `shutdown` is asked (tried with libvirt 9.0).

        Args:
            mode: as in `shutdown`.

        Raises:
            AgentUnavailable: mode is "agent" and it is not there.
        """
        with self._calls.verb(self.uuid, AGENT if mode == "agent" else None) as domain:
            domain.reboot(_REBOOT_FLAGS[mode])

    def reset(self) -> None:
        """Press the reset button; a paused guest stays paused (virDomainReset). REBOOTED events tell of it."""
        with self._calls.verb(self.uuid) as domain:
            domain.reset()

    def suspend(self) -> None:
        """Stop its vCPUs (virDomainSuspend)."""
        with self._calls.verb(self.uuid) as domain:
            domain.suspend()

    def resume(self) -> None:
        """Let its vCPUs go on (virDomainResume)."""
        with self._calls.verb(self.uuid) as domain:
            domain.resume()

    def save_managed(self) -> None:
        """Write its memory to a managed-save image and stop it; returns when that is done (virDomainManagedSave).

        Watch it by `job_progress` and end it by `abort_job`, on this or on another connection.

        Raises:
            OperationAborted: it was ended by `abort_job`; the guest goes on.
            HypervisorError: it failed, on a full disk for example; the guest goes on.
        """
        with self._calls.verb(self.uuid, SAVING) as domain:
            domain.managedSave()

    def remove_saved_image(self) -> None:
        """Delete its managed-save image; having none is fine (virDomainManagedSaveRemove)."""
        with self._calls.verb(self.uuid) as domain:
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

    def destroy(self) -> None:
        """Kill its QEMU process; already off is fine (virDomainDestroy).

        It waits for no other verb on the domain: those come back with an error of their own. A process that does not
        answer is killed after 10 s, one that does within half a second.
        """
        try:
            with self._calls.read(self.uuid) as domain:
                domain.destroy()
        except DomainInWrongState:
            return

    def abort_job(self) -> None:
        """End its running job (a save, a migration); no job is fine (virDomainAbortJob)."""
        try:
            with self._calls.read(self.uuid) as domain:
                domain.abortJob()
        except (DomainInWrongState, NotSupported):
            return

    def job_progress(self) -> JobProgress | None:
        """Say how far its running job is, None when there is none (virDomainGetJobStats)."""
        try:
            with self._calls.job_query(self.uuid) as domain:
                statistics = domain.jobStats()
        except (DomainInWrongState, NotSupported):
            return None
        return _progress(statistics)

    def open_graphics(self, protocol: str) -> socket.socket:
        """Return a new connection to its display, past any password (virDomainOpenGraphicsFD).

        Only for hosts reached by a local socket.

        Args:
            protocol: "vnc" or "spice".

        Raises:
            DomainInWrongState: it does not run.
            NotSupported: it has no such display, or the host is remote.
        """
        with self._calls.verb(self.uuid) as domain:
            index = _graphics_index(domain.XMLDesc(0), protocol)
            fd = domain.openGraphicsFD(index, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
        return socket.socket(fileno=fd)

    def addresses(self) -> list[Address]:
        """Return its addresses as its agent reports them, without the loopback's (virDomainInterfaceAddresses).

        Raises:
            AgentUnavailable: there is none, or no answer came within AGENT_SECONDS.
        """
        with self._calls.verb(self.uuid, AGENT) as domain:
            domain.agentSetResponseTimeout(AGENT_SECONDS)
            interfaces = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return list(_addresses(interfaces))

    def agent_command(self, command: Mapping[str, Any], timeout: int = AGENT_SECONDS) -> Any:
        """Have the guest agent do something and return its answer's "return" (virDomainQemuAgentCommand).

        Args:
            command: for example {"execute": "guest-info"}.
            timeout: seconds.

        Raises:
            AgentUnavailable: it is not there, or did not answer in time.
        """
        with self._calls.verb(self.uuid, AGENT) as domain:
            answer = libvirt_qemu.qemuAgentCommand(domain, json.dumps(command), timeout, 0)
        return json.loads(answer).get("return")

    def xml(self) -> str:
        """Return its XML without secrets: the inactive definition where it is persistent (virDomainGetXMLDesc)."""
        with self._calls.read(self.uuid) as domain:
            return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0))

    def live_xml(self) -> str:
        """Return its XML without secrets as it runs now (virDomainGetXMLDesc)."""
        with self._calls.read(self.uuid) as domain:
            return str(domain.XMLDesc(0))

    def is_active(self) -> bool:
        """Say whether it has a QEMU process (virDomainIsActive)."""
        with self._calls.read(self.uuid) as domain:
            return bool(domain.isActive())

    def undefine(self, *, saved_image: bool = False, snapshots: bool = False) -> None:
        """Forget its definition; a running one goes on as transient (virDomainUndefineFlags).

        Args:
            saved_image: delete its managed-save image with it.
            snapshots: forget its snapshots with it.

        Raises:
            DomainInWrongState: it has an image or snapshots that are not to go with it.
        """
        flags = (libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if saved_image else 0) | (
            libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA if snapshots else 0
        )
        with self._calls.verb(self.uuid) as domain:
            domain.undefineFlags(flags)

    def set_autostart(self, autostart: bool) -> None:
        """Have it started with its host, or not (virDomainSetAutostart)."""
        with self._calls.verb(self.uuid) as domain:
            domain.setAutostart(autostart)


def _clear(crashed: Any) -> None:
    if not crashed.isPersistent():
        raise DomainInWrongState(
            "The machine has crashed and is not defined on its host: starting it again would lose it. Reset it."
        )
    crashed.destroy()


def _graphics_index(xml: str, protocol: str) -> int:
    devices = graphics_devices(domain_element(xml))
    if protocol not in devices:
        raise NotSupported(f"The machine has no {protocol.upper()} display.")
    return devices.index(protocol)


def _progress(statistics: Mapping[str, Any]) -> JobProgress | None:
    if statistics.get("type", libvirt.VIR_DOMAIN_JOB_NONE) not in _RUNNING_JOBS:
        return None
    total = statistics.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL, 0)
    return JobProgress(
        operation=_JOBS.get(statistics.get("operation", 0), "unknown"),
        # not libvirt's "processed", which leaves out empty pages and so ends at a third
        processed_bytes=max(0, total - statistics.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING, total)),
        total_bytes=total,
    )


def _addresses(interfaces: Mapping[str, Any]) -> list[Address]:
    """Return what a guest says of its addresses, cut to what is plausible: its agent may say anything."""
    found = (
        Address(name[:MOST_NAME], (interface["hwaddr"] or "")[:MOST_NAME], entry["addr"], entry["prefix"])
        for name, interface in interfaces.items()
        for entry in interface["addrs"] or ()
        if _is_worth_showing(entry["addr"])
    )
    return list(islice(found, MOST_ADDRESSES))


def _is_worth_showing(text: str) -> bool:
    try:
        return not ip_address(text).is_loopback
    except ValueError:
        return False
