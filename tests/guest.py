"""A real guest of the tests, driven and witnessed by virsh, never by the code under test."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import Any, Self

from demo.guest import GuestImage
from demo.guest_xml import guest_xml
from demo.libvirtd import LibvirtFailed, PrivateLibvirtd

PREFIX = "kvmportal-test-"
BOOT_LIMIT = 180.0  # seconds; it takes 4, with a dozen of guests beside it on two cores two minutes
_count = itertools.count(1)


def unused_name() -> str:
    """Return a name that no other guest of this run has."""
    return f"{PREFIX}{os.getpid()}-{next(_count)}"


@dataclass
class Guest:
    """One domain of a private libvirt."""

    libvirtd: PrivateLibvirtd
    name: str
    uuid: uuid.UUID

    @classmethod
    def define(cls, libvirtd: PrivateLibvirtd, name: str, image: GuestImage, **options: Any) -> Self:
        """Define it; `options` are those of guest_xml."""
        identity = options.pop("uuid", None) or uuid.uuid4()
        with NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(guest_xml(name, image, uuid=identity, made_by="tests", **options))
            file.flush()
            libvirtd.virsh("define", file.name)
        return cls(libvirtd, name, identity)

    def virsh(self, command: str, *arguments: str) -> str:
        """Run a virsh command about this guest."""
        return self.libvirtd.virsh(command, self.name, *arguments)

    @property
    def state(self) -> str:
        """Virsh's word: running, paused, shut off, ..."""
        return self.virsh("domstate")

    @property
    def reason(self) -> str:
        """Virsh's word for why: booted, crashed, saved, ..."""
        return self.virsh("domstate", "--reason").partition("(")[2].rstrip(")")

    @property
    def qemu_pid(self) -> int:
        """Its QEMU process."""
        return self.libvirtd.qemu_pid(self.name)

    def wait_for_state(self, word: str, limit: float = 30) -> None:
        """Wait until virsh gives this word."""
        _until(lambda: self.state == word, limit, f"{self.name} is not {word}")

    def wait_for_agent(self, limit: float = BOOT_LIMIT) -> None:
        """Wait until the agent answers, which it does when all of the guest is up."""
        _until(self.agent_answers, limit, f"the agent of {self.name} does not answer")

    def agent_answers(self) -> bool:
        """Say whether the agent answers a ping."""
        with suppress(LibvirtFailed):
            return self.agent("guest-ping") == {}
        return False

    def agent(self, command: str, **arguments: Any) -> Any:
        """Ask the guest's agent; at most 2 s."""
        said = self.virsh(
            "qemu-agent-command", json.dumps({"execute": command, "arguments": arguments}), "--timeout", "2"
        )
        return json.loads(said)["return"]

    def run(self, command: str, limit: float = 20) -> str:
        """Run a shell command in the guest and return what it prints, errors included, stripped."""
        run = {"path": "/bin/sh", "arg": ["-c", f"{command} 2>&1"], "capture-output": True}
        pid = self.agent("guest-exec", **run)["pid"]
        answer: dict[str, Any] = {}

        def ended() -> bool:
            answer.update(self.agent("guest-exec-status", pid=pid))
            return answer["exited"]

        _until(ended, limit, f"{command} in {self.name} does not end")
        return base64.b64decode(answer.get("out-data", "")).decode().strip()

    def remove(self) -> None:
        """Leave nothing of it, whatever its state, also when its QEMU is stopped or it is undefined already."""
        with suppress(LookupError, ProcessLookupError):
            os.kill(self.qemu_pid, signal.SIGKILL)
        with suppress(LibvirtFailed):
            self.virsh("destroy")
        with suppress(LibvirtFailed):
            self.virsh("undefine", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata", "--nvram")


def _until(what: Any, limit: float, otherwise: str) -> None:
    end = time.monotonic() + limit
    while not what():
        if time.monotonic() > end:
            raise AssertionError(f"{otherwise} after {limit:.0f} s")
        time.sleep(0.05)
