"""The demo's people, host, template and machine owners in the portal's database.

    python -m demo.accounts people|template|owners

Run as a child of the demo with the portal's environment, so that the demo itself needs no Django in memory. What to
write comes as JSON on standard input, because a command line can be read by everyone on the machine.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from demo.portal import Portal

ROLES = ("owner", "viewer", "stranger", "helpdesk", "admin")
ROWS_LIMIT = 60.0  # seconds until the watcher must have found the demo's machines


class Login(TypedDict):
    """One account of credentials.json."""

    password: str
    token: str


class Credentials(TypedDict):
    """What credentials.json holds."""

    url: str
    users: dict[str, Login]


def load_credentials(path: Path, url: str) -> Credentials:
    """Return what the file holds, with this URL, and fresh random logins where it has none."""
    kept: dict[str, Login] = json.loads(path.read_text())["users"] if path.exists() else {}
    fresh = {
        role: Login(password=secrets.token_urlsafe(12), token=f"kvmp_{secrets.token_urlsafe(32)}") for role in ROLES
    }
    return Credentials(url=url, users=fresh | kept)


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Write the file so that only its owner can read it at any moment."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(credentials, indent=2) + "\n")
    draft.replace(path)


def write(portal: Portal, what: str, **values: object) -> None:
    """Have a child process of this portal write `people`, `template` or `owners`.

    Raises:
        PortalFailed: with the child's words.
    """
    portal.run("demo.accounts", what, standard_input=json.dumps(values))


def write_people(users: dict[str, Login], host_uri: str) -> None:
    """Make the five accounts and the host where they are missing; a password or token that differs is set as given."""
    from django.contrib.auth.models import Group, User

    from machines.models import Host
    from people.models import ApiToken, digest_of
    from people.roles import HELPDESK_GROUP

    for role, login in users.items():
        user, _ = User.objects.get_or_create(username=role)
        user.is_staff = user.is_superuser = role == "admin"
        if not user.check_password(login["password"]):
            user.set_password(login["password"])
        user.save()
        ApiToken.objects.get_or_create(digest=digest_of(login["token"]), defaults={"user": user, "name": "demo"})
        if role == "helpdesk":
            user.groups.add(Group.objects.get_or_create(name=HELPDESK_GROUP)[0])
    Host.objects.update_or_create(name="local", defaults={"uri": host_uri, "enabled": True})


def write_owners(machines: list[str], viewed: str) -> None:
    """Give these machines (UUIDs) to `owner` once the watcher has found them, and let `viewer` view one of them.

    A machine that has an owner stays as it is.

    Raises:
        TimeoutError: the watcher did not find them in time.
    """
    from django.contrib.auth.models import User

    from machines.models import Grant, GrantRole, Machine

    until = time.monotonic() + ROWS_LIMIT
    while Machine.objects.filter(uuid__in=machines).count() < len(machines):
        if time.monotonic() > until:
            raise TimeoutError(f"The portal's watcher did not find the demo's machines within {ROWS_LIMIT:.0f} s.")
        time.sleep(0.1)
    owner, viewer = User.objects.get(username="owner"), User.objects.get(username="viewer")
    for machine in Machine.objects.filter(uuid__in=machines, owner=None):
        machine.owner = owner
        machine.save(update_fields=["owner"])
        if str(machine.uuid) == viewed:
            Grant.objects.get_or_create(machine=machine, user=viewer, defaults={"role": GrantRole.VIEWER})


def write_template(pool: str, image: str, domain_type: str) -> None:
    """Offer everybody a template where it is missing: the demo's small Linux, on a disk of its own."""
    from machines.models import Host
    from making.models import MachineTemplate

    defaults = {
        "summary": "It boots in seconds and lives in memory; its disk is empty but for what it boots from.",
        "host": Host.objects.get(name="local"),
        "pool": pool,
        "image": image,
        "domain_type": domain_type,
        "memory_mib": 128,
        "disk_gib": 1,
        "most_vcpus": 4,
        "most_memory_mib": 1024,
        "most_disk_gib": 8,
        "video": "vga",
    }
    MachineTemplate.objects.get_or_create(name="Small Linux", defaults=defaults)


def main() -> None:
    """Do what the command line says with what standard input holds."""
    import django

    django.setup()
    values = json.load(sys.stdin)
    writers: dict[str, Callable[..., None]] = {
        "people": write_people,
        "template": write_template,
        "owners": write_owners,
    }
    writers[sys.argv[1]](**values)


if __name__ == "__main__":
    main()
