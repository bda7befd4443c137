"""The demo's machines: three domains that exist on the host while the demo runs. No other domain is touched.

The demo knows its own by the metadata that it writes into their definitions: the path of its state directory. Their
definitions are kept in that directory while the demo does not run, so that an edited machine comes back as it was.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from lxml import etree

from demo import acceleration, guest
from demo.guest_xml import NAMESPACE, guest_xml
from demo.libvirtd import LibvirtFailed, virsh
from demo.state import StateDirectory

AGENT_LIMIT = 90.0  # seconds until both guests' agents should answer; 10 on a quiet machine without KVM
PING = '{"execute": "guest-ping"}'

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """What one machine is in the demo."""

    name: str
    title: str
    graphics: Literal["vnc", "spice"]
    video: str
    runs: bool


CAST = (
    Part("demo-vnc", "Small Linux, VNC", "vnc", "vga", True),
    Part("demo-spice", "Small Linux, SPICE", "spice", "qxl", True),
    Part("demo-off", "Small Linux, switched off", "vnc", "vga", False),
)
VIEWED = "demo-vnc"
"""The machine that `viewer` may view."""


class DemoMachines:
    """The three machines on the host at `uri`; a context manager: there inside of it, gone after it.

    `domain_type` says whether KVM runs guests here, once they were started.
    """

    def __init__(self, uri: str, state: StateDirectory, say: Say) -> None:
        self.uri = uri
        self.state = state
        self._say = say
        self._made_by = str(state.path)
        self.domain_type: Literal["qemu", "kvm"] = "qemu"
        self._ids = {part.name: uuid.uuid5(state.identity, part.name) for part in CAST}

    @property
    def uuids(self) -> list[str]:
        """The machines' UUIDs, which stay the same as long as the state directory does."""
        return [str(each) for each in self._ids.values()]

    @property
    def viewed(self) -> str:
        """The UUID of the machine that `viewer` may view."""
        return str(self._ids[VIEWED])

    def start(self) -> None:
        """Define all three, and start those that run.

        Raises:
            GuestNotBuilt: the guest image could not be made.
            LibvirtFailed: libvirt refused a definition or a start.
        """
        cache = cache_directory()
        self._say(f"Guests: kernel and system image in {cache} (made once from Debian's packages)")
        image = guest.build(cache)
        kind = self.domain_type = acceleration.domain_type(image, cache)
        self._say(f"Guests: running under {'KVM' if kind == 'kvm' else 'QEMU emulation, as KVM runs no guest here'}")
        for part in CAST:
            self._define(part, image, kind)
        for part in CAST:
            if part.runs and self._state_of(part) != "running":
                self._start(part)

    def wait_for_agents(self) -> None:
        """Wait until the guest agents of the running machines answer; say so if they do not in time."""
        until = time.monotonic() + AGENT_LIMIT
        silent = {part.name for part in CAST if part.runs}
        while silent and time.monotonic() < until:
            silent = {name for name in silent if not self._agent_answers(name)}
            time.sleep(0.2 if silent else 0)
        if silent:
            self._say(
                f"Note: the guest agent of {', '.join(sorted(silent))} has not answered yet; this machine is slow."
            )

    def remove(self) -> None:
        """Keep the definitions in the state directory, and take the machines off the host."""
        for part in CAST:
            if self._exists(part):
                (self.state.machines / f"{part.name}.xml").write_text(self._virsh("dumpxml", "--inactive", part))
                self._undefine(str(self._ids[part.name]))

    def __enter__(self) -> Self:
        """Define and start."""
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take them off the host."""
        self.remove()

    def _define(self, part: Part, image: guest.GuestImage, kind: Literal["qemu", "kvm"]) -> None:
        if self._exists(part):
            return
        name = self._free_name(part.name)
        kept = self.state.machines / f"{part.name}.xml"
        if not (kept.exists() and _still_fits(kept, image, kind, name)):
            xml = guest_xml(
                name,
                image,
                uuid=self._ids[part.name],
                title=part.title,
                domain_type=kind,
                graphics=(part.graphics,),
                video=part.video,
                made_by=self._made_by,
            )
            kept.write_text(xml)
        virsh(self.uri, "define", str(kept))

    def _free_name(self, name: str) -> str:
        """Return the name, with a number when somebody else's domain has it; remove it from a demo that is no more."""
        for number in range(1, 100):
            candidate = name if number == 1 else f"{name}-{number}"
            other = self._uuid_of(candidate)
            if other and self._is_left_behind(other):
                self._undefine(other)
                other = ""
            if not other:
                if candidate != name:
                    self._say(f"Guests: the host has another {name}, so this one is called {candidate}")
                return candidate
        raise LibvirtFailed(f"A hundred domains on {self.uri} are called {name}.")

    def _is_left_behind(self, domain: str) -> bool:
        """Say whether a domain belongs to this demo, or to one whose state directory has been removed."""
        try:
            made_by = etree.fromstring(virsh(self.uri, "metadata", domain, "--uri", NAMESPACE)).get("by", "")
        except LibvirtFailed:
            return False
        return made_by == self._made_by or (made_by.startswith("/") and not Path(made_by).exists())

    def _start(self, part: Part) -> None:
        if self._state_of(part) == "paused":
            self._virsh("resume", part)
        elif self._state_of(part) == "shut off":
            self._virsh("start", part)
        else:  # crashed, asleep or dying, left so by a demo that was killed
            self._virsh("destroy", part)
            self._virsh("start", part)

    def _undefine(self, domain: str) -> None:
        with contextlib.suppress(LibvirtFailed):  # it may be off
            virsh(self.uri, "destroy", domain)
        virsh(self.uri, "undefine", domain, "--managed-save", "--snapshots-metadata", "--nvram")

    def _exists(self, part: Part) -> bool:
        try:
            self._virsh("domname", part)
        except LibvirtFailed:
            return False
        return True

    def _uuid_of(self, name: str) -> str:
        try:
            return virsh(self.uri, "domuuid", name)
        except LibvirtFailed:
            return ""

    def _state_of(self, part: Part) -> str:
        return self._virsh("domstate", part)

    def _agent_answers(self, name: str) -> bool:
        try:
            virsh(self.uri, "qemu-agent-command", str(self._ids[name]), PING, "--timeout", "2")
        except LibvirtFailed:
            return False
        return True

    def _virsh(self, command: str, *options_and_part: str | Part) -> str:
        words = [str(self._ids[word.name]) if isinstance(word, Part) else word for word in options_and_part]
        return virsh(self.uri, command, *words)


def cache_directory() -> Path:
    """Return where guest images are kept: QEMU's own user must be able to read them, so not below /root."""
    if os.geteuid() == 0:
        return Path("/var/lib/kvmportal-demo")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmportal-demo"


def _still_fits(kept: Path, image: guest.GuestImage, kind: str, name: str) -> bool:
    """Say whether a definition kept from the last run can be used again as it is."""
    domain = etree.fromstring(kept.read_bytes())
    facts = (domain.get("type"), domain.findtext("name"), domain.findtext("os/kernel"))
    return facts == (kind, name, str(image.kernel))
