"""A right that lasts for a visit: what it opens, and that it goes at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from assist import moves, standing
from assist.models import Assist
from consoles import sessions
from consoles.models import ConsoleSession
from machines import visits
from machines.access import (
    Right,
    is_visitor,
    people_who_see,
    right_over,
    rights_of_holders,
    visible_machines,
)
from machines.models import Grant, GrantRole, Machine, Visit
from tests.assist.conftest import code, post
from tests.cast import ClientOf, MakeMachine
from tests.consoles.seats import sit_down
from tests.consoles.test_tickets import ask
from tests.machines.sockets import Socket, Web, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def visit(machine: Machine, stranger: User) -> Visit:
    return visits.begin(machine, stranger, GrantRole.VIEWER, until=timezone.now() + timedelta(hours=1))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path) as web:
        yield web


def all_four(user: User, machine: Machine) -> tuple[bool, Right, Right, bool]:
    """What each function of machines.access that knows of rights says."""
    held = rights_of_holders([(user.pk, machine.pk)])
    return (
        visible_machines(user).filter(pk=machine.pk).exists(),
        right_over(user, machine),
        held.get((user.pk, machine.pk), Right.NONE),
        user.pk in people_who_see(machine),
    )


HOLDS = (True, Right.VIEW, Right.VIEW, True)
HOLDS_NOT = (False, Right.NONE, Right.NONE, False)


def test_every_look_at_rights_knows_of_a_visit(visit: Visit, stranger: User, machine: Machine) -> None:
    assert all_four(stranger, machine) == HOLDS
    assert is_visitor(stranger, machine)


def test_a_visit_that_was_ended_gives_nothing(visit: Visit, stranger: User, machine: Machine) -> None:
    visits.end(visit)
    assert all_four(stranger, machine) == HOLDS_NOT


def test_a_visit_whose_time_is_up_gives_nothing(visit: Visit, stranger: User, machine: Machine) -> None:
    Visit.objects.update(until=timezone.now())
    assert all_four(stranger, machine) == HOLDS_NOT


def test_a_visit_takes_nothing_from_a_grant(
    machine: Machine, make_machine: MakeMachine, viewer: User, owner: User
) -> None:
    visits.begin(machine, owner, GrantRole.VIEWER, until=timezone.now() + timedelta(hours=1))
    visits.begin(machine, viewer, GrantRole.VIEWER, until=timezone.now() + timedelta(hours=1))
    assert right_over(owner, machine) is Right.OWN
    assert not is_visitor(viewer, machine)
    Grant.objects.all().delete()
    assert right_over(viewer, machine) is Right.VIEW
    assert is_visitor(viewer, machine)
    assert right_over(viewer, make_machine("other", owner=owner)) is Right.NONE


def test_a_helper_gets_tickets_to_look_and_none_to_control(
    client_of: ClientOf, active: Assist, helpdesk: User, second_helper: User
) -> None:
    assert ask(client_of(helpdesk), active.machine, mode="view").status_code == 201
    assert ask(client_of(helpdesk), active.machine, mode="control").status_code == 403
    assert ask(client_of(second_helper), active.machine, mode="view").status_code == 403


@pytest.mark.parametrize("why", ["user", "helper", "limit", "role", "owner"])
def test_what_ends_help_ends_the_helpers_console_and_no_other(
    why: str, client_of: ClientOf, active: Assist, owner: User, helpdesk: User, viewer: User
) -> None:
    mine = sit_down(client_of(owner), active.machine)
    looks_on = sit_down(client_of(viewer), active.machine, "view")
    helps = sit_down(client_of(helpdesk), active.machine, "view")
    if why in {"user", "helper"}:
        moves.end(active, owner if why == "user" else helpdesk)
    elif why == "limit":
        Assist.objects.update(until=timezone.now())
        assert standing.end_overdue() == 1
    elif why == "role":
        helpdesk.groups.clear()
    else:
        active.machine.owner = viewer
        active.machine.save()
    due = sessions.due_to_end(list(ConsoleSession.objects.filter(ended_at=None)))
    assert Assist.objects.get().state == "ended"
    assert right_over(User.objects.get(pk=helpdesk.pk), active.machine) < Right.VIEW
    assert helps.row.pk in due
    assert looks_on.row.pk not in due
    assert (mine.row.pk in due) is (why == "owner")


def test_control_that_was_lent_comes_back_when_help_ends(
    client_of: ClientOf, active: Assist, owner: User, helpdesk: User
) -> None:
    mine = sit_down(client_of(owner), active.machine)
    helps = sit_down(client_of(helpdesk), active.machine, "view")
    assert mine.act("grant", helps).status_code == 200
    assert (mine.mode, helps.mode) == ("view", "control")
    moves.end(active, owner)
    sessions.close(ConsoleSession.objects.filter(pk=helps.session), sessions.Ending.REVOKED)  # as its proxy reports
    assert mine.mode == "control"


def test_a_visitor_never_opens_a_second_spice_client(
    client_of: ClientOf, make_machine: MakeMachine, owner: User, helpdesk: User
) -> None:
    machine = make_machine("spice-only", owner=owner, graphics=["spice"])
    assist = moves.ask(machine, owner, "")
    moves.take(assist, helpdesk)
    moves.accept(assist, owner)
    helper = client_of(helpdesk)
    answer = ask(helper, machine, protocol="spice", mode="view")
    assert (answer.status_code, code(answer)) == (409, "not_for_visitors")
    joined = post(helper, f"assists/{assist.pk}/join").json()
    assert joined["console"] == f"/machines/{machine.uuid}/console/?protocol=pictures&mode=view"
    page = helper.get(f"/machines/{machine.uuid}/console/?protocol=spice").content.decode()
    assert 'data-console="pictures"' in page
    assert ask(helper, machine, protocol="pictures", mode="view").status_code == 201
    assert 'data-console="spice"' in client_of(owner).get(f"/machines/{machine.uuid}/console/").content.decode()


def test_sockets_hear_of_help_and_of_the_right_it_gives_and_takes(
    web: Web, waiting: Assist, owner: User, helpdesk: User, viewer: User, stranger: User
) -> None:
    with (
        Socket(web, sign_in(owner)) as user,
        Socket(web, sign_in(helpdesk)) as helper,
        Socket(web, sign_in(viewer)) as looks_on,
        Socket(web, sign_in(stranger)) as outside,
    ):
        helper.watch(waiting.machine)
        looks_on.watch(waiting.machine)
        outside.rest()
        moves.take(waiting, helpdesk)
        taken = user.take_until("assist")[-1]
        assert (taken["event"], taken["state"], taken["helper"]) == ("taken", "taken", "helpdesk")
        assert helper.take_until("assist")[-1]["state"] == "taken"
        assert looks_on.take_until("assist")[-1]["state"] == "taken"

        moves.accept(waiting, owner)
        assert helper.take_until("rights")[-1]["rights"] == {str(waiting.machine_id): "viewer"}
        moves.end(waiting, owner)
        assert helper.take_until("rights")[-1]["rights"] == {str(waiting.machine_id): "helpdesk"}
        assert outside.rest() == []


def test_a_new_request_reaches_helpers_who_watch_nothing(
    web: Web, machine: Machine, owner: User, helpdesk: User
) -> None:
    with Socket(web, sign_in(helpdesk)) as helper:
        helper.watch()
        assist = moves.ask(machine, owner, "")
        asked = helper.take_until("assist")[-1]
        assert (asked["id"], asked["event"], asked["user"], asked["machine_name"]) == (
            assist.pk,
            "asked",
            "owner",
            "machine",
        )


def test_a_socket_that_comes_later_is_told_of_help_that_goes_on(web: Web, active: Assist, viewer: User) -> None:
    with Socket(web, sign_in(viewer)) as socket:
        told = [message for message in socket.watch(active.machine) if message["type"] == "assist"]
        assert [(message["id"], message["state"]) for message in told] == [(active.pk, "active")]
        assert "note" not in told[0]
