"""What can be done to one domain: verbs of a few lines, each one libvirt call."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import libvirt
import libvirt_qemu

from hypervisor import answers, flags, screenshots
from hypervisor.calls import Calls
from hypervisor.console import OnEnd, OnOutput, SerialConsole
from hypervisor.definition import domain_element, graphics_devices, has_serial
from hypervisor.errors import DomainInWrongState, NotSupported
from hypervisor.readings import Address, JobProgress
from hypervisor.translation import (
    AGENT,
    AUTOSTARTING,
    OPENING_CONSOLE,
    PRESSING_KEYS,
    SAVING,
    SAVING_TO_FILE,
    SCREENSHOTTING,
    SLEEPING,
    STARTING,
    UNDEFINING,
    WAKING,
)

SLEEP_SECONDS = 30
"""How long libvirt waits for a guest to fall asleep; right after waking it might wait for ever (tried)."""
AGENT_SECONDS = 5
"""How long libvirt waits for a guest agent's answer to a question for addresses."""


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

    def start(self, *, fresh: bool = False) -> None:
        """Start it, from its managed-save image where it has one (virDomainCreateWithFlags).

        A guest that crashed and whose QEMU process was kept is destroyed first.

        Args:
            fresh: boot it, and drop its managed-save image: what its memory held is lost.

        Raises:
            DomainInWrongState: it runs; or it crashed and is transient, so that destroying it would lose it.
        """
        with self._calls.verb(self.uuid, STARTING) as domain:
            if tuple(domain.state()) in flags.CRASHED_ALIVE:
                _clear(domain)
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_FORCE_BOOT if fresh else 0)

    def shutdown(self, mode: str = "default") -> None:
        """Ask the guest to shut down; returns when it was asked, not when it is off (virDomainShutdownFlags).

        Args:
            mode: "acpi" presses the power button; "agent" asks the guest agent (waits up to a minute for it);
                "default" lets libvirt choose: the agent, and where there is none the button.

        Raises:
            AgentUnavailable: mode is "agent" and it is not there.
        """
        with self._calls.verb(self.uuid, AGENT if mode == "agent" else None) as domain:
            domain.shutdownFlags(flags.SHUTDOWN[mode])

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
            domain.reboot(flags.REBOOT[mode])

    def reset(self) -> None:
        """Press the reset button; a paused guest stays paused (virDomainReset). REBOOTED events tell of it.

        A sleeping guest is woken first: QEMU 7.2 resets one into a stop that libvirt calls sleep for ever (tried).
        """
        with self._calls.verb(self.uuid) as domain:
            if domain.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED:
                domain.pMWakeup(0)
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

    def save_to(self, path: str) -> None:
        """Write its memory to a file on its host and stop it; returns when that is done (virDomainSaveFlags).

        An existing file is overwritten. A transient domain is gone when this returns; `Connection.restore_from` brings
        it back. Watch and end it as `save_managed`; when it fails or is ended, libvirt removes what it wrote.

        Raises:
            OperationAborted: it was ended by `abort_job`; the guest goes on.
            HypervisorError: it failed, on a full disk for example; the guest goes on.
        """
        with self._calls.verb(self.uuid, SAVING_TO_FILE) as domain:
            domain.saveFlags(path, None, 0)

    def remove_saved_image(self) -> None:
        """Delete its managed-save image; having none is fine (virDomainManagedSaveRemove)."""
        with self._calls.verb(self.uuid) as domain:
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

    def pm_suspend(self, target: str) -> None:
        """Have its guest go to sleep; returns when the agent took it (virDomainPMSuspendForDuration).

        Args:
            target: "mem" (S3), "disk" (S4: it is off afterwards) or "hybrid" (both).

        Raises:
            AgentUnavailable: it is not there, or neither slept nor answered within SLEEP_SECONDS.
            NotSupported: its definition or its guest has no such sleep.
        """
        with self._calls.verb(self.uuid, SLEEPING) as domain:
            domain.agentSetResponseTimeout(SLEEP_SECONDS)
            domain.pMSuspendForDuration(flags.SLEEP[target], 0, 0)

    def pm_wakeup(self) -> None:
        """Wake its guest from sleep (virDomainPMWakeup)."""
        with self._calls.verb(self.uuid, WAKING) as domain:
            domain.pMWakeup(0)

    def inject_nmi(self) -> None:
        """Interrupt its guest's kernel as the NMI button does (virDomainInjectNMI)."""
        with self._calls.verb(self.uuid) as domain:
            domain.injectNMI(0)

    def send_keys(self, codes: Sequence[int], hold_ms: int = 100) -> None:
        """Press keys at once on its keyboard, and let them go (virDomainSendKey).

        Args:
            codes: Linux's key codes (linux/input-event-codes.h), at most flags.MOST_KEYS.
            hold_ms: milliseconds that they are held.

        Raises:
            NotSupported: none or too many, or the host or the machine does not know them.
        """
        if not 0 < len(codes) <= flags.MOST_KEYS:  # libvirt's own error for these is that of a broken call
            raise NotSupported("Between one and sixteen keys can be pressed at once.", text=f"{len(codes)} keys")
        with self._calls.verb(self.uuid, PRESSING_KEYS) as domain:
            domain.sendKey(libvirt.VIR_KEYCODE_SET_LINUX, hold_ms, list(codes), len(codes), 0)

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
        return answers.progress(statistics)

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

    def open_console(self, on_output: OnOutput, on_end: OnEnd, *, take_over: bool = False) -> SerialConsole:
        """Open its serial console, for as long as it runs and nobody takes it over (virDomainOpenConsole).

        It has a libvirt connection of its own. Works for remote hosts too.

        Args:
            on_output: called in the event loop's thread with what the machine says; it must not block.
            on_end: called there, once, when the console ends by itself.
            take_over: throw out the program that has it open.

        Raises:
            ConsoleHeld: another program has it open.
            DomainInWrongState: it does not run.
            NotSupported: it has none.
        """
        with self._calls.line_of_its_own(self.uuid, OPENING_CONSOLE) as domain:
            if not has_serial(domain_element(domain.XMLDesc(0))):
                raise NotSupported("The machine has no serial console.")
            return SerialConsole(domain, on_output, on_end, take_over=take_over)

    def screenshot(self, screen: int = 0, *, within: float = screenshots.SECONDS) -> bytes:
        """Return a picture of one of its screens as QEMU makes it: PNG, from old ones PPM (virDomainScreenshot).

        Args:
            screen: 0 is the first.
            within: seconds that it may take. A call that takes longer goes on in the background and keeps its line;
                until it returns, every verb on this domain raises DomainBusy.

        Raises:
            DomainInWrongState: it does not run, or has no such screen.
            NotSupported: it has no screen at all, or the picture is larger than screenshots.MOST_BYTES.
            DomainBusy: it did not answer in time.
        """
        return screenshots.within(within, lambda: self._screenshot(screen))

    def _screenshot(self, screen: int) -> bytes:
        with self._calls.verb(self.uuid, SCREENSHOTTING) as domain:
            return screenshots.take(domain, screen)

    def addresses(self) -> list[Address]:
        """Return its addresses as its agent reports them, without the loopback's (virDomainInterfaceAddresses).

        Raises:
            AgentUnavailable: there is none, or no answer came within AGENT_SECONDS.
        """
        with self._calls.verb(self.uuid, AGENT) as domain:
            domain.agentSetResponseTimeout(AGENT_SECONDS)
            interfaces = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return answers.addresses(interfaces)

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

    def undefine(
        self, *, saved_image: bool = False, snapshots: bool = False, nvram: bool = False, checkpoints: bool = False
    ) -> None:
        """Forget its definition; a running one goes on as transient (virDomainUndefineFlags).

        Args:
            saved_image: delete its managed-save image with it.
            snapshots: forget its snapshots with it.
            nvram: delete the file of its firmware's variables with it; it stays otherwise.
            checkpoints: forget its checkpoints with it.

        Raises:
            DomainInWrongState: it has an image, snapshots or checkpoints that are not to go with it.
        """
        with self._calls.verb(self.uuid, UNDEFINING) as domain:
            domain.undefineFlags(
                flags.undefining(
                    domain, saved_image=saved_image, snapshots=snapshots, nvram=nvram, checkpoints=checkpoints
                )
            )

    def set_autostart(self, autostart: bool) -> None:
        """Have it started with its host, or not (virDomainSetAutostart)."""
        with self._calls.verb(self.uuid, AUTOSTARTING) as domain:
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
