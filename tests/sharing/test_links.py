"""Links: who takes one, how often, until when, and what revoking it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from lxml import html

from machines.access import Right, right_over
from machines.models import Grant, Machine, ShareLink
from people.models import Role, digest_of
from sharing import links
from tests.cast import ClientOf, person
from tests.sharing.test_giving import call, code

pytestmark = pytest.mark.django_db


def made(machine: Machine, role: Role = Role.OPERATOR, **options: int) -> str:
    """Make a link for an hour; return its secret."""
    return links.make(machine, machine.owner, role, timezone.now() + timedelta(hours=1), **options)[1]


def path(secret: str) -> str:
    return f"/shared/{secret}/"


def test_a_link_is_looked_at_first_and_then_gives_its_right_until_it_ends(
    client_of: ClientOf, machine: Machine, stranger: User
) -> None:
    secret, client = made(machine), client_of(stranger)
    assert "owner shares machine with you" in client.get(path(secret)).content.decode()
    assert right_over(stranger, machine) is Right.NONE
    assert client.post(path(secret))["Location"] == f"/machines/{machine.pk}/"
    assert right_over(stranger, machine) is Right.OPERATE
    grant, link = Grant.objects.get(user=stranger), ShareLink.objects.get()
    assert (grant.link, grant.expires_at, grant.granted_by) == (link, link.expires_at, machine.owner)
    ShareLink.objects.update(expires_at=timezone.now())
    assert client.get(path(secret)).status_code == 404


def test_only_the_digest_of_a_link_is_kept(script_of: ClientOf, machine: Machine, owner: User) -> None:
    ends = (timezone.now() + timedelta(days=1)).isoformat()
    answer = call(script_of(owner), f"machines/{machine.pk}/links", 201, role="viewer", expires_at=ends)
    secret = answer["url"].rstrip("/").rpartition("/")[2]
    assert answer["url"] == f"http://testserver/shared/{secret}/"
    assert ShareLink.objects.get().digest == digest_of(secret)
    assert secret not in str(ShareLink.objects.values().get())
    [listed] = call(script_of(owner), f"machines/{machine.pk}/links")["items"]
    assert (listed["url"], listed["uses"]) == (None, 0)


def test_nobody_takes_a_link_without_a_login(client: Client, machine: Machine) -> None:
    secret = made(machine)
    assert client.get(path(secret))["Location"].startswith("/login/?next=/shared/")
    assert client.post(path(secret))["Location"].startswith("/login/")
    assert (
        client.post("/api/v1/share-links/take", {"secret": secret}, content_type="application/json").status_code == 401
    )


def test_a_link_for_one_is_used_up_by_the_first(script_of: ClientOf, machine: Machine, stranger: User) -> None:
    secret, other = made(machine, most_uses=1), person("other")
    for _again in range(2):
        taken = call(script_of(stranger), "share-links/take", secret=secret)
        assert taken == {"machine": str(machine.pk), "name": "machine"}
    call(script_of(other), "share-links/take", 404, secret=secret)
    assert ShareLink.objects.get().uses == 1
    assert right_over(other, machine) is Right.NONE


def test_who_has_as_much_already_does_not_use_it_up(script_of: ClientOf, machine: Machine, owner: User) -> None:
    call(script_of(owner), "share-links/take", secret=made(machine, most_uses=1))
    assert ShareLink.objects.get().uses == 0


def test_revoking_a_link_takes_back_what_it_gave_and_nothing_else(
    script_of: ClientOf, machine: Machine, owner: User, stranger: User, viewer: User
) -> None:
    secret = made(machine)
    for taker in (stranger, viewer):
        links.take(secret, taker)
    call(script_of(owner), f"machines/{machine.pk}/links/{ShareLink.objects.get().pk}/revoke", 204)
    assert (right_over(stranger, machine), right_over(viewer, machine)) == (Right.NONE, Right.VIEW)
    call(script_of(stranger), "share-links/take", 404, secret=secret)


def test_a_link_of_somebody_who_no_longer_owns_the_machine_gives_nothing(
    script_of: ClientOf, machine: Machine, stranger: User, admin: User
) -> None:
    secret = made(machine)
    machine.owner = admin
    machine.save()
    call(script_of(stranger), "share-links/take", 404, secret=secret)


@pytest.mark.parametrize("secret", ["", "x", "é", "\0", "a" * 200])
def test_an_invented_secret_is_404_or_400(script_of: ClientOf, machine: Machine, stranger: User, secret: str) -> None:
    made(machine)
    answer = script_of(stranger).post("/api/v1/share-links/take", {"secret": secret}, content_type="application/json")
    assert answer.status_code == (404 if secret else 400)


@pytest.mark.parametrize(("days", "most"), [(-1, None), (91, None), (1, 0), (1, 10_001)])
def test_a_link_that_makes_no_sense_is_refused(script_of: ClientOf, machine: Machine, owner: User, days, most) -> None:
    ends = (timezone.now() + timedelta(days=days)).isoformat()
    answer = call(script_of(owner), f"machines/{machine.pk}/links", 400, expires_at=ends, most_uses=most)
    assert code(answer) == "bad_parameters"


def test_the_tab_shows_a_new_links_address_once(client_of: ClientOf, machine: Machine, owner: User, stranger) -> None:
    client, url = client_of(owner), f"/machines/{machine.pk}/access/"
    answer = client.post(f"{url}links/", {"role": "viewer", "lasting": "hour", "most_uses": "2"})
    address = html.fromstring(answer.content.decode()).cssselect("[data-new-link]")[0].text
    assert client_of(stranger).post(address.removeprefix("http://testserver")).status_code == 302
    again = html.fromstring(client.get(url).content.decode())
    assert (len(again.cssselect("[data-link]")), len(again.cssselect("[data-new-link]"))) == (1, 0)
    assert "used 1 of 2 times" in again.text_content()
