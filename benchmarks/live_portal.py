"""A whole live portal with one running guest on a private libvirt, for the figures that need all of it."""

from __future__ import annotations

import secrets
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from demo import acceleration, accounts, guest
from demo.guest_xml import guest_xml
from demo.libvirtd import PrivateLibvirtd
from demo.portal import Portal
from demo.servers import RedisServer
from kvmportal.environment import ROOT

NAME = "bench"


@dataclass(frozen=True, slots=True)
class LivePortal:
    """The running portal, its libvirt, and its one machine, owned by `owner`."""

    portal: Portal
    libvirt: PrivateLibvirtd
    redis: RedisServer
    machine: UUID
    credentials: accounts.Credentials

    @property
    def token(self) -> str:
        """The owner's API token."""
        return self.credentials["users"]["owner"]["token"]


@contextmanager
def live_portal() -> Iterator[LivePortal]:
    """Start everything, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="kvmportal-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        libvirt = stack.enter_context(PrivateLibvirtd(temporary=True))
        redis = stack.enter_context(RedisServer(directory / "redis", temporary=True))
        portal = Portal(
            directory,
            redis_url=redis.url,
            database_url=f"sqlite:///{directory / 'db.sqlite3'}",
            secret_key=secrets.token_urlsafe(48),
            static_root=ROOT / "var" / "test-static",
        )
        portal.prepare()
        credentials = accounts.load_credentials(directory / "none.json", portal.url)
        accounts.write(portal, "people", users=credentials["users"], host_uri=libvirt.uri)
        machine = _run_guest(libvirt, directory)
        stack.callback(portal.stop)
        portal.start()
        portal.wait_ready()
        accounts.write(portal, "owners", machines=[str(machine)], viewed=str(machine))
        yield LivePortal(portal, libvirt, redis, machine, credentials)


def _run_guest(libvirt: PrivateLibvirtd, directory: Path) -> UUID:
    cache = ROOT / "var" / "guest"
    image, machine = guest.build(cache), uuid.uuid4()
    kind = acceleration.domain_type(image, cache)
    definition = directory / "guest.xml"
    definition.write_text(guest_xml(NAME, image, uuid=machine, domain_type=kind, made_by="kvmportal's benchmarks"))
    libvirt.virsh("define", str(definition))
    libvirt.virsh("start", NAME)
    return machine
