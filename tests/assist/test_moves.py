"""What becomes of a request for help, by each of its moves; and who may make them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from assist import moves
from assist.models import Assist, AssistEvent, State
from machines.access import Right, right_over
from machines.models import Machine, Visit
from machines.refused import Refused
from tests.assist.conftest import code, post
from tests.cast import ClientOf

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("anonymous", "stranger", "viewer", "operator", "owner", "helpdesk", "second_helper", "admin")


def expected(**by_role: int) -> list[int]:
    """Statuses in the order of ROLES."""
    assert set(by_role) == set(ROLES)
    return [by_role[role] for role in ROLES]


def client_for(role: str, request: pytest.FixtureRequest) -> Client:
    if role == "anonymous":
        return Client()
    client_of: ClientOf = request.getfixturevalue("client_of")
    return client_of(request.getfixturevalue(role))


@pytest.mark.parametrize(
    ("path", "body", "statuses"),
    [
        (
            "assists",
            {"note": "x"},
            expected(
                anonymous=401,
                stranger=404,
                viewer=403,
                operator=201,
                owner=201,
                helpdesk=403,
                second_helper=403,
                admin=201,
            ),
        ),
        (
            "assist-offers",
            {},
            expected(
                anonymous=401,
                stranger=404,
                viewer=403,
                operator=403,
                owner=403,
                helpdesk=201,
                second_helper=201,
                admin=201,
            ),
        ),
        (
            "break-glass",
            {"reason": "The owner is on holiday."},
            expected(
                anonymous=401,
                stranger=404,
                viewer=403,
                operator=403,
                owner=403,
                helpdesk=201,
                second_helper=201,
                admin=409,  # an administrator may look already
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_may_begin_help(
    path: str, body: dict[str, str], statuses: list[int], machine: Machine, request: pytest.FixtureRequest
) -> None:
    for role, status in zip(ROLES, statuses, strict=True):
        answer = post(client_for(role, request), f"machines/{machine.uuid}/{path}", body)
        assert answer.status_code == status, role
        Assist.objects.all().delete()
        Visit.objects.all().delete()


MOVES_BY_ROLE = {
    # the owner asked, `helpdesk` took it
    ("waiting", "take"): (401, 404, 404, 404, 403, 200, 200, 200),
    ("waiting", "accept"): (401, 404, 404, 404, 409, 403, 403, 403),
    ("waiting", "withdraw"): (401, 404, 404, 404, 200, 403, 403, 403),
    ("waiting", "end"): (401, 404, 404, 404, 409, 403, 403, 409),
    ("taken", "take"): (401, 404, 404, 404, 403, 409, 409, 409),
    ("taken", "release"): (401, 404, 404, 404, 403, 200, 403, 403),
    ("taken", "accept"): (401, 404, 404, 404, 200, 403, 403, 403),
    ("taken", "decline"): (401, 404, 404, 404, 200, 403, 403, 403),
    ("taken", "withdraw"): (401, 404, 404, 404, 200, 403, 403, 403),
    ("taken", "join"): (401, 404, 404, 404, 403, 409, 403, 403),
    ("active", "join"): (401, 404, 404, 404, 403, 200, 403, 403),
    ("active", "accept"): (401, 404, 404, 404, 409, 403, 403, 403),
    ("active", "withdraw"): (401, 404, 404, 404, 409, 403, 403, 403),
    ("active", "end"): (401, 404, 404, 404, 200, 200, 403, 200),
    ("broken", "end"): (401, 404, 404, 404, 403, 200, 403, 200),
    ("broken", "accept"): (401, 404, 404, 404, 403, 403, 403, 403),
    ("broken", "join"): (401, 404, 404, 404, 403, 200, 403, 403),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("stage", "move"), MOVES_BY_ROLE)
def test_who_may_make_which_move(
    stage: str, move: str, role: str, operator: User, second_helper: User, admin: User, request: pytest.FixtureRequest
) -> None:
    assist: Assist = request.getfixturevalue(stage)
    before = (assist.state, right_over(assist.helper, assist.machine) if assist.helper else None)
    answer = post(client_for(role, request), f"assists/{assist.pk}/{move}")
    assert answer.status_code == MOVES_BY_ROLE[stage, move][ROLES.index(role)]
    if answer.status_code != 200:
        now = Assist.objects.get(pk=assist.pk)
        assert (now.state, right_over(now.helper, now.machine) if now.helper else None) == before


def test_a_request_goes_from_asking_to_its_end(
    client_of: ClientOf, owner: User, helpdesk: User, machine: Machine, heard: list[tuple[str, Any]]
) -> None:
    user, helper = client_of(owner), client_of(helpdesk)
    made = post(user, f"machines/{machine.uuid}/assists", {"note": "It does not print."})
    assert made.status_code == 201
    assist = made.json()
    assert (assist["state"], assist["user"], assist["helper"]) == ("waiting", "owner", None)
    listed = helper.get("/api/v1/assists?state=waiting").json()["items"]
    assert [row["id"] for row in listed] == [assist["id"]]
    assert right_over(helpdesk, machine) is Right.SEE

    assert post(helper, f"assists/{assist['id']}/take").json()["helper"] == "helpdesk"
    assert right_over(helpdesk, machine) is Right.SEE
    accepted = post(user, f"assists/{assist['id']}/accept").json()
    assert (accepted["state"], accepted["control"]) == ("active", False)
    assert right_over(helpdesk, machine) is Right.VIEW

    joined = post(helper, f"assists/{assist['id']}/join").json()
    assert joined["console"] == f"/machines/{machine.uuid}/console/?protocol=vnc&mode=view"
    assert helper.get(joined["console"]).status_code == 200

    assert post(user, f"assists/{assist['id']}/end").json()["state"] == "ended"
    assert right_over(helpdesk, machine) is Right.SEE
    assert helper.get(joined["console"]).status_code == 403
    kinds = list(AssistEvent.objects.values_list("kind", "by__username"))
    assert kinds == [("asked", "owner"), ("taken", "helpdesk"), ("accepted", "owner"), ("ended", "owner")]
    assert [(name, facts["event"], facts["by"]) for name, facts in heard] == [("moved", *kind) for kind in kinds]


def test_of_two_helpers_one_wins_and_the_other_is_told_who(
    waiting: Assist, helpdesk: User, second_helper: User
) -> None:
    barrier = Barrier(2)

    def take(helper: User) -> str:
        mine = Assist.objects.select_related("machine", "user", "helper").get(pk=waiting.pk)
        barrier.wait(timeout=10)
        try:
            moves.take(mine, helper)
        except Refused as refused:
            return str(refused.details["helper"])
        finally:
            connection.close()
        return ""

    helpers = [helpdesk, second_helper]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(take, helpers))
    winner = Assist.objects.get(pk=waiting.pk).helper
    assert sorted(told) == ["", winner.username]
    assert helpers[told.index("")] == winner
    assert AssistEvent.objects.filter(assist=waiting, kind="taken").count() == 1


def test_who_comes_second_reads_who_was_first(client_of: ClientOf, taken: Assist, second_helper: User) -> None:
    answer = post(client_of(second_helper), f"assists/{taken.pk}/take")
    assert (answer.status_code, code(answer)) == (409, "assist_moved")
    assert answer.json()["error"]["details"]["helper"] == "helpdesk"


def test_a_request_that_is_given_back_waits_for_others(
    client_of: ClientOf, taken: Assist, helpdesk: User, second_helper: User
) -> None:
    assert post(client_of(helpdesk), f"assists/{taken.pk}/release").json()["state"] == "waiting"
    assert post(client_of(second_helper), f"assists/{taken.pk}/take").json()["helper"] == "second-helper"


def test_no_ends_it_and_gives_no_right(client_of: ClientOf, taken: Assist, owner: User, helpdesk: User) -> None:
    assert post(client_of(owner), f"assists/{taken.pk}/decline").json()["state"] == "declined"
    assert right_over(helpdesk, taken.machine) is Right.SEE
    assert post(client_of(helpdesk), f"assists/{taken.pk}/join").status_code == 409


def test_an_offer_waits_for_the_owners_consent(
    client_of: ClientOf, machine: Machine, owner: User, viewer: User, helpdesk: User
) -> None:
    made = post(client_of(helpdesk), f"machines/{machine.uuid}/assist-offers", {"note": "May I look?"}).json()
    assert (made["state"], made["kind"], made["user"]) == ("taken", "offered", "owner")
    assert right_over(helpdesk, machine) is Right.SEE
    assert post(client_of(viewer), f"assists/{made['id']}/accept").status_code == 404
    assert post(client_of(owner), f"assists/{made['id']}/accept").json()["state"] == "active"
    assert right_over(helpdesk, machine) is Right.VIEW


def test_an_offer_can_be_withdrawn_by_its_helper(client_of: ClientOf, machine: Machine, helpdesk: User) -> None:
    helper = client_of(helpdesk)
    made = post(helper, f"machines/{machine.uuid}/assist-offers").json()
    assert post(helper, f"assists/{made['id']}/withdraw").json()["state"] == "withdrawn"


def test_nobody_is_offered_help_with_a_machine_that_nobody_owns(
    client_of: ClientOf, make_machine: Any, helpdesk: User
) -> None:
    answer = post(client_of(helpdesk), f"machines/{make_machine().uuid}/assist-offers")
    assert (answer.status_code, code(answer)) == (409, "nobody_to_help")


def test_a_machine_has_one_request_at_a_time(client_of: ClientOf, waiting: Assist, operator: User, owner: User) -> None:
    answer = post(client_of(operator), f"machines/{waiting.machine_id}/assists")
    assert (answer.status_code, code(answer)) == (409, "assist_open")
    assert answer.json()["error"]["details"]["assist"] == waiting.pk
    moves.withdraw(waiting, owner)
    assert post(client_of(operator), f"machines/{waiting.machine_id}/assists").status_code == 201


def test_who_asks_again_and_again_is_slowed(client_of: ClientOf, machine: Machine, owner: User) -> None:
    client = client_of(owner)
    for _ in range(moves.ASKED_AT_MOST):
        made = post(client, f"machines/{machine.uuid}/assists").json()
        post(client, f"assists/{made['id']}/withdraw")
    answer = post(client, f"machines/{machine.uuid}/assists")
    assert (answer.status_code, code(answer)) == (429, "asked_too_often")


def test_a_helper_does_not_take_a_request_of_their_own(
    client_of: ClientOf, make_machine: Any, helpdesk: User, second_helper: User
) -> None:
    machine = make_machine("own", owner=helpdesk)
    made = post(client_of(helpdesk), f"machines/{machine.uuid}/assists").json()
    assert post(client_of(helpdesk), f"assists/{made['id']}/take").status_code == 403
    assert post(client_of(second_helper), f"assists/{made['id']}/take").status_code == 200


def test_an_owner_may_end_help_that_somebody_else_asked_for(
    client_of: ClientOf, machine: Machine, operator: User, helpdesk: User, owner: User
) -> None:
    assist = moves.ask(machine, operator, "")
    moves.take(assist, helpdesk)
    moves.accept(assist, operator)
    assert post(client_of(owner), f"assists/{assist.pk}/end").json()["state"] == "ended"
    assert right_over(helpdesk, machine) is Right.SEE


# Policies


def test_where_people_are_only_notified_the_helper_joins_by_themselves(
    client_of: ClientOf, taken: Assist, helpdesk: User, settings: Any
) -> None:
    settings.ASSIST_POLICY = "notify"
    answer = post(client_of(helpdesk), f"assists/{taken.pk}/join")
    assert (answer.status_code, answer.json()["state"]) == (200, "active")
    assert right_over(helpdesk, taken.machine) is Right.VIEW


@pytest.mark.parametrize("path", ["assists", "assist-offers", "break-glass"])
def test_help_that_is_switched_off_cannot_begin(
    client_of: ClientOf, machine: Machine, owner: User, helpdesk: User, settings: Any, path: str
) -> None:
    settings.ASSIST_POLICY = "off"
    by = owner if path == "assists" else helpdesk
    body = {"reason": "The owner is on holiday."} if path == "break-glass" else {}
    answer = post(client_of(by), f"machines/{machine.uuid}/{path}", body)
    assert (answer.status_code, code(answer)) == (409, "assist_off")


def test_switching_help_off_lets_what_goes_on_be_ended(client_of: ClientOf, active: Assist, owner: User, settings: Any):
    settings.ASSIST_POLICY = "off"
    assert post(client_of(owner), f"assists/{active.pk}/end").json()["state"] == State.ENDED


# Lists


def test_lists_show_everybodys_to_helpers_and_to_others_their_own(
    client_of: ClientOf,
    waiting: Assist,
    make_machine: Any,
    stranger: User,
    viewer: User,
    owner: User,
    helpdesk: User,
    admin: User,
) -> None:
    other = moves.ask(make_machine("other", owner=stranger), stranger, "")
    seen = {
        user.username: {row["id"] for row in client_of(user).get("/api/v1/assists").json()["items"]}
        for user in (viewer, owner, stranger, helpdesk, admin)
    }
    both = {waiting.pk, other.pk}
    assert seen == {"viewer": set(), "owner": {waiting.pk}, "stranger": {other.pk}, "helpdesk": both, "admin": both}


def test_one_assist_is_not_shown_to_strangers_and_viewers(
    client_of: ClientOf, waiting: Assist, stranger: User, viewer: User, owner: User, helpdesk: User
) -> None:
    statuses = [
        client_of(user).get(f"/api/v1/assists/{waiting.pk}").status_code for user in (stranger, viewer, owner, helpdesk)
    ]
    assert statuses == [404, 404, 200, 200]


def test_notes_are_plain_text_of_a_limited_length(client_of: ClientOf, machine: Machine, owner: User) -> None:
    client = client_of(owner)
    assert post(client, f"machines/{machine.uuid}/assists", {"note": "x" * 2001}).status_code == 400
    made = post(client, f"machines/{machine.uuid}/assists", {"note": "a\x00b\x1b[31m\nc"}).json()
    assert made["note"] == "ab[31m\nc"
