"""What goes with a request by itself, as it was at that time; and what a policy keeps back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from assist import moves, standing
from assist.models import Assist
from consoles import picture_shelf, thumbnails
from consoles.picture_sizes import Size
from hypervisor.states import State as MachineState
from lifecycle.models import Operation
from machines.models import Machine
from tests.assist.conftest import post
from tests.cast import ClientOf, MakeMachine

pytestmark = pytest.mark.django_db(transaction=True)

IMAGE = b"RIFF a picture WEBP"


def test_state_operations_and_agent_facts_are_those_of_the_asking(
    client_of: ClientOf, make_machine: MakeMachine, owner: User
) -> None:
    machine = make_machine(
        "sick", owner=owner, agent_connected=True, addresses=[{"address": "192.0.2.7", "prefix": 24}], vcpus=3
    )
    for number in range(7):
        Operation.objects.create(
            machine=machine, kind="start", requested_by=owner, status="failed", message=f"attempt {number}"
        )
    made = post(client_of(owner), f"machines/{machine.uuid}/assists").json()
    Machine.objects.filter(pk=machine.pk).update(state=MachineState.SHUTOFF, agent_connected=False, addresses=[])
    Operation.objects.update(status="succeeded")
    facts = client_of(owner).get(f"/api/v1/assists/{made['id']}").json()["facts"]
    assert (facts["state"], facts["host"], facts["vcpus"], facts["agent_connected"]) == ("running", "host-1", 3, True)
    assert facts["addresses"] == [{"address": "192.0.2.7", "prefix": 24}]
    told = [(operation["label"], operation["status"], operation["message"]) for operation in facts["operations"]]
    assert told == [("Start", "failed", f"attempt {number}") for number in (6, 5, 4, 3, 2)]


def test_the_picture_on_the_shelf_goes_with_it(
    client_of: ClientOf, machine: Machine, owner: User, helpdesk: User, viewer: User
) -> None:
    picture_shelf.keep(machine.pk, Size.LARGE, IMAGE, "digest")
    made = post(client_of(owner), f"machines/{machine.uuid}/assists").json()
    assert made["has_picture"]
    picture_shelf.forget([machine.pk])
    answer = client_of(helpdesk).get(f"/api/v1/assists/{made['id']}/picture")
    assert (answer.content, answer["Content-Type"], answer["Cache-Control"]) == (IMAGE, "image/webp", "no-store")
    assert client_of(helpdesk).get(f"/help/{made['id']}/picture/").content == IMAGE
    assert client_of(viewer).get(f"/api/v1/assists/{made['id']}/picture").status_code == 404


def test_no_picture_goes_where_a_policy_or_the_user_forbids_it(
    client_of: ClientOf, make_machine: MakeMachine, machine: Machine, owner: User
) -> None:
    forbidden = make_machine("forbidden", owner=owner)
    off = make_machine("off", owner=owner, state=MachineState.SHUTOFF)
    thumbnails.switch(forbidden, on=False)
    for each, body in ((forbidden, {}), (off, {}), (machine, {"picture": False})):
        picture_shelf.keep(each.pk, Size.LARGE, IMAGE, "digest")
        made = post(client_of(owner), f"machines/{each.uuid}/assists", body).json()
        assert not made["has_picture"]
        assert not Assist.objects.get(pk=made["id"]).picture_wanted
        assert client_of(owner).get(f"/api/v1/assists/{made['id']}/picture").status_code == 204


def test_a_picture_that_is_not_there_yet_is_taken_then(machine: Machine, owner: User) -> None:
    assist = moves.ask(machine, owner, "")
    assert Size.LARGE in picture_shelf.wishes(machine.host_id)[machine.pk]
    standing.attach_pictures()
    assert Assist.objects.get().picture_wanted
    picture_shelf.keep(machine.pk, Size.LARGE, IMAGE, "digest")
    standing.attach_pictures()
    row = Assist.objects.get(pk=assist.pk)
    assert (bytes(row.picture), row.picture_wanted) == (IMAGE, False)


@pytest.mark.parametrize("why", ["late", "policy", "withdrawn"])
def test_a_picture_is_not_taken_later_when_it_may_not_be(machine: Machine, owner: User, why: str, settings: Any):
    assist = moves.ask(machine, owner, "")
    picture_shelf.keep(machine.pk, Size.LARGE, IMAGE, "digest")
    if why == "late":
        Assist.objects.update(created_at=timezone.now() - standing.PICTURE_PATIENCE - timedelta(seconds=1))
    elif why == "policy":
        thumbnails.switch(machine, on=False)
        picture_shelf.keep(machine.pk, Size.LARGE, IMAGE, "digest")
    else:
        moves.withdraw(assist, owner)
    standing.attach_pictures()
    row = Assist.objects.get()
    assert (row.picture, row.picture_wanted) == (None, False)
