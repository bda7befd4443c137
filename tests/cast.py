"""The fixed cast of the tests: five people named by role, one host and one machine.

`owner` owns `machine`, `viewer` may view it, `stranger` has nothing, `helpdesk` has the helpdesk role and `admin` is
a superuser. Everyone's password is `PASSWORD`. The database is rolled back (or flushed) after each test.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.test import Client

from hypervisor.states import State
from machines.models import Grant, GrantRole, Host, Machine
from people.models import ApiToken
from people.roles import HELPDESK_GROUP

PASSWORD = "correct horse 42 battery"

ClientOf = Callable[[User], Client]
MakeMachine = Callable[..., Machine]


@cache
def _password_hash() -> str:
    """Hash the password once: a real, slow hash for every user would be most of the tests' time."""
    return make_password(PASSWORD)


def person(name: str, **fields: Any) -> User:
    """Make one more user, whose password is `PASSWORD`."""
    return User.objects.create(username=name, password=_password_hash(), **fields)


@pytest.fixture
def owner(db: None) -> User:
    return person("owner")


@pytest.fixture
def viewer(db: None) -> User:
    return person("viewer")


@pytest.fixture
def stranger(db: None) -> User:
    return person("stranger")


@pytest.fixture
def helpdesk(db: None) -> User:
    helper = person("helpdesk")
    helper.groups.add(Group.objects.get_or_create(name=HELPDESK_GROUP)[0])
    return helper


@pytest.fixture
def admin(db: None) -> User:
    return person("admin", is_staff=True, is_superuser=True)


@pytest.fixture
def host(db: None) -> Host:
    """A reachable host that no test connects to (libvirt's test driver, should one do so)."""
    return Host.objects.create(
        name="host-1", uri="test:///default", reachable=True, cpus=8, memory_bytes=16 * 2**30, libvirt_version="9.0.0"
    )


@pytest.fixture
def make_machine(host: Host) -> MakeMachine:
    """A function that makes a Machine row; each of its fields may be given (running, on `host`, owned by nobody)."""

    def make(name: str = "machine", **fields: Any) -> Machine:
        defaults: dict[str, Any] = {
            "uuid": uuid.uuid4(),
            "host": host,
            "state": State.RUNNING,
            "state_reason": "booted",
            "vcpus": 1,
            "memory_bytes": 512 * 2**20,
            "video_model": "vga",
            "graphics": ["vnc"],
            "definition_xml": "<domain type='test'/>",
        }
        machine = Machine.objects.create(name=name, **(defaults | fields))
        machine.refresh_from_db(fields=["version"])  # an owner is news, which raises it
        return machine

    return make


@pytest.fixture
def machine(make_machine: MakeMachine, owner: User, viewer: User) -> Machine:
    """A running machine with a VNC display, owned by `owner`, shared with `viewer` as a viewer."""
    machine = make_machine("machine", owner=owner)
    Grant.objects.create(machine=machine, user=viewer, role=GrantRole.VIEWER)
    return machine


@pytest.fixture
def client_of() -> ClientOf:
    """A function that gives a browser in which this person is logged in."""

    def client_of(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return client_of


@pytest.fixture
def script_of() -> ClientOf:
    """A function that gives a client without cookies that sends a fresh API token of this person."""

    def script_of(user: User) -> Client:
        _, token = ApiToken.make(user.pk, "test")
        return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {token}"})

    return script_of
