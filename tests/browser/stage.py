"""What the browser tests play on: a whole live portal, a private libvirt, two running guests and one that is off."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from demo import accounts
from demo.guest import GuestImage
from demo.guest_xml import DomainType
from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from demo.portal import Portal
from demo.servers import RedisServer
from tests.browser.backstage import Backstage
from tests.guest import Guest

PATIENCE = 30.0  # seconds; generous, because two cores are shared by the portal, two emulated guests and a browser
OFFICE, LAB, SHELF = "office", "lab", "shelf"


def eventually(what: Callable[[], Any], limit: float = PATIENCE, every: float = 0.05) -> Any:
    """Return the first truthy answer.

    Raises:
        AssertionError: there was none in time; it has the last answer.
    """
    until = time.monotonic() + limit
    while not (answer := what()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {limit:.0f} s; at last {answer!r}")
        time.sleep(every)
    return answer


@dataclass
class Stage:
    """The live portal, and beside it virsh and the guests' agents as witnesses.

    `office` is owned by owner, viewed by viewer, and goes through everything; `lab` is owned by owner too; both run.
    `shelf` is owner's and off. No test leaves another machine.
    """

    portal: Portal
    libvirt: PrivateLibvirtd
    redis: RedisServer
    backstage: Backstage
    image: GuestImage
    domain_type: DomainType
    credentials: accounts.Credentials
    guests: dict[str, Guest] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.portal.url

    @property
    def office(self) -> Guest:
        return self.guests[OFFICE]

    @property
    def lab(self) -> Guest:
        return self.guests[LAB]

    @property
    def shelf(self) -> Guest:
        return self.guests[SHELF]

    def password(self, role: str) -> str:
        return self.credentials["users"][role]["password"]

    def script(self, role: str) -> httpx.Client:
        """An API client with this role's token."""
        token = self.credentials["users"][role]["token"]
        return httpx.Client(base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=20)

    def define(self, name: str, **options: Any) -> Guest:
        """Define a machine behind the portal's back, as an administrator with virsh would."""
        guest = Guest.define(self.libvirt, name, self.image, domain_type=self.domain_type, **options)
        self.guests[name] = guest
        return guest

    def give_disk(self, guest: Guest) -> None:
        """Give a machine that is off a disk, which snapshots need."""
        disk = self.libvirt.directory / f"{guest.name}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "8M"], check=True)
        guest.virsh("attach-disk", str(disk), "vda", "--driver", "qemu", "--subdriver", "qcow2", "--config")

    def forget(self, name: str) -> None:
        """Take a machine off the host and out of the portal."""
        guest = self.guests.pop(name)
        guest.remove()
        gone = "value = not Machine.objects.filter(uuid=uuid).exclude(state='undefined').exists()"
        eventually(lambda: self.backstage.run(gone, uuid=str(guest.uuid)))
        self.backstage.run("Machine.objects.filter(uuid=uuid).delete()", uuid=str(guest.uuid))

    def give(self, guest: Guest, owner: str = "owner") -> None:
        """Make someone the owner of a machine, once the watcher has found it."""
        eventually(lambda: self.state_in_portal(guest))
        code = "m = Machine.objects.get(uuid=uuid); m.owner = User.objects.get(username=owner); m.save()"
        self.backstage.run(code, uuid=str(guest.uuid), owner=owner)

    def state_in_portal(self, guest: Guest) -> str:
        """The portal's word for its state; empty when the portal does not know it."""
        code = "value = Machine.objects.filter(uuid=uuid).values_list('state', flat=True).first()"
        return self.backstage.run(code, uuid=str(guest.uuid)) or ""

    @property
    def ids(self) -> dict[str, uuid.UUID]:
        return {name: guest.uuid for name, guest in self.guests.items()}

    def virsh(self, *words: str) -> str:
        return self.libvirt.virsh(*words)

    def state_of(self, name: str) -> str:
        return self.guests[name].state

    def agent_answers(self, name: str) -> bool:
        return self.guests[name].agent_answers()

    def in_guest(self, name: str, command: str) -> str:
        return self.guests[name].run(command)

    def make_run(self, which: Guest | str) -> None:
        """Bring a machine to running with its agent answering, and nothing open, from whatever the last test left."""
        guest = self.guests[which] if isinstance(which, str) else which
        nothing_open = "value = not Operation.objects.filter(machine=uuid, status__in=['queued', 'running']).exists()"
        eventually(lambda: self.backstage.run(nothing_open, uuid=str(guest.uuid)))
        if guest.state == "paused":
            guest.virsh("resume")
        elif guest.state != "running":
            with suppress(LibvirtFailed):
                guest.virsh("destroy")
            guest.virsh("start")
        guest.wait_for_agent()
        eventually(lambda: self.state_in_portal(guest) in {"running", "idle"})

    def grant(self, guest: Guest, role: str, user: str = "viewer") -> None:
        """Give a right, as the admin does."""
        code = (
            "Grant.objects.update_or_create(machine_id=uuid, user=User.objects.get(username=user),"
            " defaults={'role': role})"
        )
        self.backstage.run(code, uuid=str(guest.uuid), user=user, role=role)

    def revoke(self, guest: Guest, user: str = "viewer") -> None:
        """Take every right of this user away."""
        code = "[grant.delete() for grant in Grant.objects.filter(machine_id=uuid, user__username=user)]"
        self.backstage.run(code, uuid=str(guest.uuid), user=user)
