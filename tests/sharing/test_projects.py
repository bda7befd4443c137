"""Projects: who sees one, who decides who is in it, and its quota."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from lxml import html

from machines.access import Right, right_over
from people.models import Membership, Project, Quota, Role
from tests.cast import ClientOf, MakeMachine
from tests.sharing.test_giving import call, code

pytestmark = pytest.mark.django_db


@pytest.fixture
def bees(owner: User, viewer: User) -> Project:
    """A project that owner owns and viewer views."""
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    Membership.objects.create(project=project, user=viewer, role=Role.VIEWER)
    return project


def test_administrators_make_projects_and_nobody_else(script_of: ClientOf, admin: User, owner: User) -> None:
    made = call(script_of(admin), "projects", 201, name="wasps", description="sting")
    assert Project.objects.get(pk=made["id"]).name == "wasps"
    assert code(call(script_of(admin), "projects", 409, name="wasps")) == "project_exists"
    call(script_of(admin), "projects", 400, name=" ")
    call(script_of(owner), "projects", 403, name="mine")


def test_its_owners_take_people_in_and_out(
    script_of: ClientOf, make_machine: MakeMachine, bees: Project, owner: User, stranger: User
) -> None:
    machine, script = make_machine("hive", project=bees), script_of(owner)
    member = call(script, f"projects/{bees.pk}/members", 201, user="stranger", role="operator")
    assert right_over(stranger, machine) is Right.OPERATE
    call(script, f"projects/{bees.pk}/members", 201, user="stranger", role="viewer")
    assert right_over(stranger, machine) is Right.VIEW
    whole = call(script, f"projects/{bees.pk}")
    assert [(row["user"], row["role"]) for row in whole["members"]] == [
        ("owner", "owner"),
        ("stranger", "viewer"),
        ("viewer", "viewer"),
    ]
    call(script, f"projects/{bees.pk}/members/{member['id']}/remove", 204)
    assert right_over(stranger, machine) is Right.NONE


def test_the_last_owner_stays(script_of: ClientOf, bees: Project, owner: User) -> None:
    last = bees.memberships.get(user=owner)
    for path, body in ((f"members/{last.pk}/remove", {}), ("members", {"user": "owner", "role": "viewer"})):
        assert code(call(script_of(owner), f"projects/{bees.pk}/{path}", 409, **body)) == "last_owner"
    assert right_of(bees, owner) == "owner"


def right_of(project: Project, user: User) -> str:
    return project.memberships.get(user=user).role


def test_members_look_on_and_strangers_get_404(
    script_of: ClientOf, client_of: ClientOf, bees: Project, viewer: User, stranger: User
) -> None:
    member = bees.memberships.get(user=viewer).pk
    for person, looks, changes in ((viewer, 200, 403), (stranger, 404, 404)):
        call(script_of(person), f"projects/{bees.pk}", looks)
        call(script_of(person), f"projects/{bees.pk}/members", changes, user="stranger", role="owner")
        call(script_of(person), f"projects/{bees.pk}/members/{member}/remove", changes)
        assert client_of(person).get(f"/projects/{bees.pk}/").status_code == looks
        url = f"/projects/{bees.pk}/members/"
        assert client_of(person).post(url, {"user": "stranger", "role": "owner"}).status_code == changes
    assert call(script_of(stranger), "projects") == {"items": []}
    assert call(script_of(viewer), "projects")["items"][0]["name"] == "bees"


def test_the_pages_show_members_and_use_against_quota(
    client_of: ClientOf, make_machine: MakeMachine, bees: Project, owner: User
) -> None:
    Quota.objects.create(project=bees, machines=3, memory_mib=1024, disk_gib=100)
    for number in range(2):
        make_machine(f"hive-{number}", project=bees, disk_bytes=45 * 2**30)
    tree = html.fromstring(client_of(owner).get(f"/projects/{bees.pk}/").content.decode())
    bars = {bar.get("data-use"): bar.cssselect("progress")[0] for bar in tree.cssselect("[data-use]")}
    assert {name: (bar.get("value"), bar.get("max")) for name, bar in bars.items()} == {
        "machines": ("2", "3"),
        "memory": (str(2**30), str(2**30)),
        "disk": (str(90 * 2**30), str(100 * 2**30)),
    }
    for words in ("1 GiB of 1 GiB", "90 GiB of 100 GiB"):
        assert words in tree.text_content()
    assert [row.get("data-member") for row in tree.cssselect("[data-member]")] == ["owner", "viewer"]
    assert "bees" in client_of(owner).get("/projects/").content.decode()


def test_the_pages_take_people_in_and_out(client_of: ClientOf, bees: Project, owner: User, stranger: User) -> None:
    client, url = client_of(owner), f"/projects/{bees.pk}/members/"
    assert client.post(url, {"user": "stranger", "role": "owner"}).status_code == 302
    assert client.post(url, {"user": "nobody", "role": "owner"}).status_code == 400
    own = bees.memberships.get(user=owner).pk
    assert client.post(f"{url}{own}/remove/")["Location"] == "/projects/"
    assert client.get(f"/projects/{bees.pk}/").status_code == 404


def test_a_projects_machines_are_listed_found_and_named_by_it(
    script_of: ClientOf, make_machine: MakeMachine, bees: Project, viewer: User, admin: User
) -> None:
    make_machine("hive", project=bees)
    make_machine("nobodys")
    for query in ("owner=bees", "q=bees"):
        [found] = call(script_of(viewer), f"machines?{query}")["items"]
        assert (found["name"], found["owner"], found["project"], found["my_right"]) == ("hive", None, "bees", "viewer")
    assert [item["name"] for item in call(script_of(admin), "machines?owner=-")["items"]] == ["nobodys"]
    assert [item["name"] for item in call(script_of(admin), "machines?sort=owner")["items"]] == ["nobodys", "hive"]


def test_only_administrators_see_others_quotas(client_of: ClientOf, owner: User, admin: User, bees: Project) -> None:
    Quota.objects.create(user=owner, running=2)
    assert client_of(owner).get("/quota/?owner=owner").status_code == 404
    assert "0 of 2" in client_of(admin).get("/quota/?owner=owner").content.decode()
    assert client_of(admin).get("/quota/").content.strip() == b""
