"""Help in its stages: asked for, taken, active; and one more helper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from assist import moves, signals
from assist.models import Assist
from machines.models import Grant, GrantRole, Machine
from people.roles import HELPDESK_GROUP
from tests.cast import person

Call = Callable[..., Any]


@pytest.fixture
def second_helper(db: None) -> User:
    helper = person("second-helper")
    helper.groups.add(Group.objects.get_or_create(name=HELPDESK_GROUP)[0])
    return helper


@pytest.fixture
def operator(machine: Machine) -> User:
    """Someone who may operate the machine, and does not own it."""
    operator = person("operator")
    Grant.objects.create(machine=machine, user=operator, role=GrantRole.OPERATOR)
    return operator


@pytest.fixture
def waiting(machine: Machine, owner: User) -> Assist:
    """The owner's request, which nobody took yet."""
    return moves.ask(machine, owner, "It does not print.")


@pytest.fixture
def taken(waiting: Assist, helpdesk: User) -> Assist:
    moves.take(waiting, helpdesk)
    return waiting


@pytest.fixture
def active(taken: Assist, owner: User) -> Assist:
    """Help that goes on: the owner consented."""
    moves.accept(taken, owner)
    return taken


@pytest.fixture
def broken(machine: Machine, helpdesk: User) -> Assist:
    """The helper looks without consent."""
    return moves.break_glass(machine, helpdesk, "The owner is ill and the print server hangs.")


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What other apps hear, in order: the signal's name and its facts."""
    heard: list[tuple[str, dict[str, Any]]] = []

    def on_moved(**facts: Any) -> None:
        heard.append(("moved", facts))

    def on_broke_glass(**facts: Any) -> None:
        heard.append(("broke_glass", facts))

    signals.moved.connect(on_moved)
    signals.broke_glass.connect(on_broke_glass)
    yield heard
    signals.moved.disconnect(on_moved)
    signals.broke_glass.disconnect(on_broke_glass)


def post(client: Client, path: str, body: object = None) -> Any:
    """Call the API."""
    return client.post(f"/api/v1/{path}", body or {}, content_type="application/json")


def code(answer: Any) -> str:
    return answer.json()["error"]["code"]
