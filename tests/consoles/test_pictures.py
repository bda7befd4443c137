"""Pictures of screens: who gets them, what is wanted, and that nobody gets one that may not be shown."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from PIL import Image

from consoles import picture_shelf, thumbnails
from consoles.models import ConsolePolicy
from consoles.picture_making import NoPicture, decoded, webp
from consoles.picture_sizes import Size
from hypervisor.states import State
from machines.models import Grant, GrantRole, Machine
from tests.cast import ClientOf, MakeMachine

pytestmark = pytest.mark.django_db(transaction=True)


def png(width: int = 720, height: int = 400, colour: str = "navy") -> bytes:
    target = BytesIO()
    Image.new("RGB", (width, height), colour).save(target, "PNG")
    return target.getvalue()


def keep(machine: Machine, size: Size = Size.SMALL, image: bytes = b"a picture") -> int:
    return picture_shelf.keep(machine.pk, size, image, "digest")


def page_of(machine: Machine, size: str = "") -> str:
    return reverse("consoles:picture", args=[machine.pk]) + (f"?size={size}" if size else "")


def api_of(machine: Machine) -> str:
    return f"/api/v1/machines/{machine.pk}/picture"


def want(client: Client, *machines: Machine, **more: Any) -> HttpResponse:
    content = {"machines": [str(machine.pk) for machine in machines], **more}
    return client.post("/api/v1/pictures", json.dumps(content), content_type="application/json")


def wanted(machine: Machine) -> set[Size]:
    return picture_shelf.wishes(machine.host_id).get(machine.pk, set())


MATRIX = [("owner", 200), ("viewer", 200), ("admin", 200), ("helpdesk", 403), ("stranger", 404)]


@pytest.mark.parametrize(("role", "status"), MATRIX)
def test_who_may_look_at_the_screen_gets_its_picture(
    role: str, status: int, machine: Machine, client_of: ClientOf, script_of: ClientOf, request: pytest.FixtureRequest
) -> None:
    user = request.getfixturevalue(role)
    keep(machine)
    for answer in (client_of(user).get(page_of(machine)), script_of(user).get(api_of(machine))):
        assert answer.status_code == status
        assert (b"a picture" in answer.content) == (status == 200)
    assert bool(wanted(machine)) == (status == 200)


def test_nobody_gets_a_picture_without_signing_in(machine: Machine, client: Client) -> None:
    keep(machine)
    assert client.get(page_of(machine)).status_code == 302
    assert client.get(api_of(machine)).status_code == 401
    assert want(client, machine).status_code == 401
    assert client.post(reverse("consoles:thumbnails", args=[machine.pk])).status_code == 302
    assert not wanted(machine)


def test_a_picture_of_what_does_not_exist_is_not_found(machine: Machine, client_of: ClientOf, owner: User) -> None:
    machine.pk = uuid.uuid4()
    assert client_of(owner).get(page_of(machine)).status_code == 404
    assert client_of(owner).get(api_of(machine)).status_code == 404


def test_the_wrong_method_is_refused(machine: Machine, client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    assert client.post(page_of(machine)).status_code == 405
    assert client.get(reverse("consoles:thumbnails", args=[machine.pk])).status_code == 405
    assert client.get("/api/v1/pictures").status_code == 405


def test_a_picture_is_asked_for_each_time_and_sent_only_when_it_is_new(
    machine: Machine, client_of: ClientOf, viewer: User
) -> None:
    client = client_of(viewer)
    assert client.get(page_of(machine)).status_code == 204
    keep(machine)
    first = client.get(page_of(machine))
    assert (first["Content-Type"], first["Cache-Control"]) == ("image/webp", "private, no-cache")
    again = client.get(page_of(machine), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    picture_shelf.keep(machine.pk, Size.SMALL, b"another", "digest 2")
    news = client.get(page_of(machine), headers={"If-None-Match": first["ETag"]})
    assert (news.status_code, news.content) == (200, b"another")


def test_small_and_large_pictures_are_two(machine: Machine, client_of: ClientOf, owner: User) -> None:
    keep(machine, Size.LARGE, b"large")
    client = client_of(owner)
    assert client.get(page_of(machine)).status_code == 204
    assert client.get(page_of(machine, "large")).content == b"large"
    assert wanted(machine) == {Size.SMALL, Size.LARGE}


def test_one_request_wants_many_machines_and_says_what_there_is(
    make_machine: MakeMachine, owner: User, script_of: ClientOf
) -> None:
    seen = make_machine("seen", owner=owner)
    new = make_machine("new", owner=owner, graphics=["spice"])
    off = make_machine("off", owner=owner, state=State.SHUTOFF)
    blind = make_machine("blind", owner=owner, graphics=[])
    private = make_machine("private", owner=owner)
    foreign = make_machine("foreign")
    thumbnails.switch(private, on=False)
    version = keep(seen)
    answer = want(script_of(owner), seen, new, off, blind, private, foreign)
    assert answer.status_code == 200
    assert answer.json() == {"pictures": {str(seen.pk): version, str(new.pk): None}, "off": [str(private.pk)]}
    assert picture_shelf.wishes(seen.host_id).keys() == {seen.pk, new.pk}


def test_helpdesk_wants_in_vain_what_it_may_not_see(machine: Machine, helpdesk: User, script_of: ClientOf) -> None:
    assert want(script_of(helpdesk), machine).json() == {"pictures": {}, "off": []}
    assert not wanted(machine)


def test_a_request_for_too_many_machines_or_no_size_is_refused(owner: User, script_of: ClientOf) -> None:
    many = [Machine(pk=uuid.uuid4()) for _ in range(201)]
    assert want(script_of(owner), *many).status_code == 400
    for size in ("huge", "stream"):
        assert want(script_of(owner), many[0], size=size).status_code == 400


def test_wanting_many_machines_takes_few_queries(
    make_machine: MakeMachine, owner: User, client_of: ClientOf, django_assert_max_num_queries
) -> None:
    many = [make_machine(f"m{number}", owner=owner) for number in range(50)]
    client = client_of(owner)
    with django_assert_max_num_queries(8):
        assert len(want(client, *many).json()["pictures"]) == 50


def test_a_wish_ends_by_itself(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_shelf, "WANTED_SECONDS", -1)
    picture_shelf.want({machine.pk: machine.host_id}, Size.SMALL)
    assert picture_shelf.wishes(machine.host_id) == {}


def test_without_redis_there_is_no_picture_and_no_failure(
    machine: Machine, owner: User, client_of: ClientOf, script_of: ClientOf, dead_redis: None
) -> None:
    assert client_of(owner).get(page_of(machine)).status_code == 503
    assert script_of(owner).get(api_of(machine)).status_code == 503


def test_pictures_are_kept_for_a_while_only(machine: Machine, redis) -> None:
    keep(machine)
    keep(machine, Size.LARGE)
    assert all(0 < redis.ttl(key) <= 300 for key in redis.keys("picture:*"))


def test_a_machine_that_is_off_shows_no_old_picture(machine: Machine, owner: User, client_of: ClientOf) -> None:
    keep(machine)
    Machine.objects.update(state=State.SHUTOFF)
    assert client_of(owner).get(page_of(machine)).status_code == 204
    Machine.objects.update(state=State.PAUSED)
    assert client_of(owner).get(page_of(machine)).status_code == 200


# Privacy


def group_with(*members: User, thumbnails: bool = False) -> Group:
    group = Group.objects.create(name=f"group {Group.objects.count()}")
    for member in members:
        member.groups.add(group)
    ConsolePolicy.objects.create(group=group, thumbnails=thumbnails)
    return group


def own_policy(machine: Machine, owner: User) -> None:
    ConsolePolicy.objects.create(machine=machine, thumbnails=False)


def policy_of_the_owners_group(machine: Machine, owner: User) -> None:
    group_with(owner)


def policy_of_a_group_it_is_granted_to(machine: Machine, owner: User) -> None:
    Grant.objects.create(machine=machine, group=group_with(), role=GrantRole.VIEWER)


def policy_of_the_owners_group_against_its_own(machine: Machine, owner: User) -> None:
    ConsolePolicy.objects.create(machine=machine, thumbnails=True)
    group_with(owner)


@pytest.mark.parametrize(
    "forbid",
    [
        own_policy,
        policy_of_the_owners_group,
        policy_of_a_group_it_is_granted_to,
        policy_of_the_owners_group_against_its_own,
    ],
)
def test_a_policy_hides_every_picture_also_an_old_one(
    forbid: Callable[[Machine, User], None], machine: Machine, owner: User, admin: User, script_of: ClientOf
) -> None:
    keep(machine)
    forbid(machine, owner)
    keep(machine)  # a picture that was under way
    for user in (owner, admin):
        assert script_of(user).get(api_of(machine)).status_code == 204
        assert want(script_of(user), machine).json() == {"pictures": {}, "off": [str(machine.pk)]}
    assert not wanted(machine)


def test_policies_of_others_hide_nothing(
    machine: Machine, make_machine: MakeMachine, owner: User, viewer: User, script_of: ClientOf
) -> None:
    group_with(owner, thumbnails=True)
    group_with(viewer)  # who may look at it, but neither owns it nor is it shared with the group
    ConsolePolicy.objects.create(machine=make_machine("other", owner=owner), thumbnails=False)
    keep(machine)
    assert script_of(owner).get(api_of(machine)).status_code == 200


def test_what_was_taken_before_is_not_shown_when_pictures_are_allowed_again(
    machine: Machine, owner: User, client_of: ClientOf
) -> None:
    for switch in (
        lambda: thumbnails.switch(machine, on=False),
        lambda: thumbnails.switch(machine, on=True),
        lambda: group_with(owner),
        lambda: ConsolePolicy.objects.filter(machine=None).first().delete(),
    ):
        keep(machine)
        switch()
        assert picture_shelf.picture(machine.pk, Size.SMALL) is None
    assert not thumbnails.switched_off([machine.pk])


@pytest.mark.parametrize(("role", "status"), [("owner", 302), ("admin", 302), ("viewer", 403), ("stranger", 404)])
def test_owners_switch_pictures_off_and_on(
    role: str, status: int, machine: Machine, client_of: ClientOf, request: pytest.FixtureRequest
) -> None:
    client = client_of(request.getfixturevalue(role))
    for word, off in (("0", True), ("1", False)):
        answer = client.post(reverse("consoles:thumbnails", args=[machine.pk]), {"on": word})
        assert answer.status_code == status
        assert (machine.pk in thumbnails.switched_off([machine.pk])) == (off and status == 302)


def test_an_owner_is_told_that_a_groups_policy_still_stands(machine: Machine, owner: User, client_of: ClientOf) -> None:
    group_with(owner)
    answer = client_of(owner).post(reverse("consoles:thumbnails", args=[machine.pk]), {"on": "1"}, follow=True)
    assert "policy still forbids pictures of machine." in answer.content.decode()


# Making


def test_pictures_are_small_and_keep_their_shape() -> None:
    small = Image.open(BytesIO(webp(decoded(png(1920, 1080)), Size.SMALL)))
    assert (small.format, small.size) == ("WEBP", (320, 180))
    assert Image.open(BytesIO(webp(decoded(png(720, 400)), Size.SMALL))).size == (320, 178)
    assert Image.open(BytesIO(webp(decoded(png(2560, 1440)), Size.LARGE))).size == (1280, 720)
    assert Image.open(BytesIO(webp(decoded(png(720, 400)), Size.LARGE))).size == (720, 400)


def test_what_is_no_picture_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"nothing", png()[:60], b"P6 99999 99999 255\n"):
        with pytest.raises(NoPicture):
            decoded(content)
    monkeypatch.setattr("consoles.picture_making.MOST_PIXELS", 1000)
    with pytest.raises(NoPicture):
        decoded(png())
    assert decoded(png(20, 20)).size == (20, 20)
