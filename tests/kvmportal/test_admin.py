"""The admin: hosts are named there, machines are given away and shared, tokens are revoked."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models.signals import pre_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import kvmportal.urls  # noqa: F401  # loads the admin's pages
from machines.access import Right, right_over
from machines.models import Grant, GrantRole, Host, Machine
from people.models import ApiToken, Project, Quota
from tests.cast import ClientOf, MakeMachine

HOSTS = "/admin/machines/host/"
MACHINES = "/admin/machines/machine/"


def machine_form(machine: Machine, **changes: str | int) -> dict[str, str | int]:
    """What the browser posts from a machine's page with nothing changed, and then these changes."""
    grants = list(machine.grants.order_by("pk"))
    form: dict[str, str | int] = {
        "owner": machine.owner_id or "",
        "grants-TOTAL_FORMS": len(grants) + 1,
        "grants-INITIAL_FORMS": len(grants),
        "grants-MIN_NUM_FORMS": 0,
        "grants-MAX_NUM_FORMS": 1000,
        f"grants-{len(grants)}-id": "",
        f"grants-{len(grants)}-machine": str(machine.pk),
        f"grants-{len(grants)}-user": "",
        f"grants-{len(grants)}-group": "",
        f"grants-{len(grants)}-role": "viewer",
    }
    for number, grant in enumerate(grants):
        form |= {
            f"grants-{number}-id": grant.pk,
            f"grants-{number}-machine": str(machine.pk),
            f"grants-{number}-user": grant.user_id or "",
            f"grants-{number}-group": grant.group_id or "",
            f"grants-{number}-role": grant.role,
        }
    return form | changes


def change_page(machine: Machine) -> str:
    return f"{MACHINES}{machine.pk}/change/"


# Who gets in


def test_anonymous_is_sent_to_the_portals_own_login_page(client: Client, db: None) -> None:
    first = client.get(HOSTS)
    assert first["Location"] == f"/admin/login/?next={HOSTS}"
    assert client.get(first["Location"])["Location"] == f"/login/?next={HOSTS}"


@pytest.mark.parametrize("role", ["owner", "viewer", "stranger", "helpdesk"])
def test_everyone_but_admins_is_refused_and_not_sent_in_circles(client_of: ClientOf, role: str, request) -> None:
    answer = client_of(request.getfixturevalue(role)).get("/admin/", follow=True)
    assert answer.status_code == 403
    assert b"administrators" in answer.content


def test_admin_never_logs_in_by_posting_to_the_admins_own_page(client: Client, admin: User) -> None:
    client.post("/admin/login/", {"username": "admin", "password": "whatever"})
    assert "_auth_user_id" not in client.session


def test_admin_pages_wear_the_portals_name(client_of: ClientOf, admin: User) -> None:
    page = client_of(admin).get("/admin/").content.decode()
    assert "Django administration" not in page
    assert "kvmportal" in page


def test_every_admin_page_opens(client_of: ClientOf, admin: User, machine: Machine) -> None:
    client = client_of(admin)
    ApiToken.make(admin.pk, "script")
    for model in site._registry:
        changelist = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert client.get(changelist).status_code == 200, changelist
        assert client.get(changelist, {"q": "x'\"%<"}).status_code == 200, changelist
        if row := model._default_manager.first():
            page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
            assert client.get(page).status_code == 200, page


# Hosts


def host_form(**fields: str) -> dict[str, str]:
    return {"name": "rack-1", "uri": "qemu:///system", "enabled": "on", **fields}


def test_admin_adds_a_host_by_name_and_uri(client_of: ClientOf, admin: User) -> None:
    answer = client_of(admin).post(f"{HOSTS}add/", host_form())
    assert answer["Location"] == HOSTS
    host = Host.objects.get()
    assert (host.name, host.uri, host.enabled, host.reachable) == ("rack-1", "qemu:///system", True, False)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu:///session",
        "qemu+unix:///system?socket=/run/x/libvirt-sock",
        "qemu+ssh://root@rack-1.example.org/system",
        "qemu+ssh://[2001:db8::1]:2222/system",
        "test:///default",
    ],
)
def test_libvirts_uris_are_taken(client_of: ClientOf, admin: User, uri: str) -> None:
    client_of(admin).post(f"{HOSTS}add/", host_form(uri=uri))
    assert Host.objects.get().uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "rack-1",
        "http://rack-1/",
        "xen:///system",
        "qemu+ext:///system?command=/bin/sh",
        "qemu+ssh://rack-1/system?command=/bin/sh",
        "qemu+ssh://rack-1/system?Command=/bin/sh&proxy=netcat",
        "qemu+ssh://rack-1/system?no_tty=1;command=/bin/sh",
        "qemu+ssh://rack-1/system?%63ommand=/bin/sh",
        "qemu+ssh://rack-1/system?netcat=/bin/sh",
        "qemu+ssh://rack-1/system?a=1&command=",
        "qemu://",
        "qemu:///system extra",
        "qemu+ssh://[rack-1/system",
    ],
)
def test_other_uris_are_refused_in_words(client_of: ClientOf, admin: User, uri: str) -> None:
    answer = client_of(admin).post(f"{HOSTS}add/", host_form(uri=uri))
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["uri"]
    assert not Host.objects.exists()


def test_two_hosts_cannot_share_a_uri(client_of: ClientOf, admin: User, host: Host) -> None:
    answer = client_of(admin).post(f"{HOSTS}add/", host_form(uri=host.uri))
    assert answer.context["adminform"].form.errors["uri"]


def test_saving_a_host_does_not_write_what_the_watcher_writes(client_of: ClientOf, admin: User, host: Host) -> None:
    client = client_of(admin)
    with CaptureQueriesContext(connection) as queries:
        client.post(f"{HOSTS}{host.pk}/change/", host_form(name="renamed", uri=host.uri))
    (update,) = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "machines_host"')]
    assert '"name"' in update
    assert '"reachable"' not in update
    host.refresh_from_db()
    assert host.name == "renamed"
    assert host.reachable is True


def test_host_with_machines_is_not_deleted_and_says_why(client_of: ClientOf, admin: User, machine: Machine) -> None:
    client = client_of(admin)
    for method in (client.get, client.post):
        answer = method(f"{HOSTS}{machine.host_id}/delete/", {"post": "yes"}, follow=True)
        assert b"has 1 machine, so it is not deleted" in answer.content
    assert Host.objects.exists()


def test_host_without_machines_is_deleted(client_of: ClientOf, admin: User, host: Host) -> None:
    client_of(admin).post(f"{HOSTS}{host.pk}/delete/", {"post": "yes"})
    assert not Host.objects.exists()


def test_list_of_hosts_counts_machines_without_a_query_for_each(
    client_of: ClientOf, admin: User, machine: Machine
) -> None:
    client = client_of(admin)
    few = number_of_queries(client, HOSTS)
    for number in range(5):
        Host.objects.create(name=f"more-{number}", uri=f"qemu+ssh://h{number}/system")
    assert number_of_queries(client, HOSTS) == few


# Machines


def number_of_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_list_of_machines_costs_no_query_for_each(
    client_of: ClientOf, admin: User, owner: User, machine: Machine, make_machine: MakeMachine
) -> None:
    client = client_of(admin)
    few = number_of_queries(client, MACHINES)
    for number in range(10):
        make_machine(f"more-{number}", owner=owner)
    assert number_of_queries(client, MACHINES) == few


def test_machines_that_nobody_owns_are_found(client_of: ClientOf, admin: User, machine: Machine, make_machine) -> None:
    make_machine("lonely")
    client = client_of(admin)
    assert [row.name for row in client.get(f"{MACHINES}?owned=no").context["cl"].result_list] == ["lonely"]
    assert [row.name for row in client.get(f"{MACHINES}?owned=yes").context["cl"].result_list] == ["machine"]


@pytest.mark.parametrize("query", ["state__exact=saved", "q=second", "host__id__exact={host}"])
def test_machines_are_filtered_and_searched(
    client_of: ClientOf, admin: User, machine: Machine, make_machine: MakeMachine, query: str
) -> None:
    other = Host.objects.create(name="other", uri="qemu:///system")
    make_machine("second", state="saved", host=other)
    page = client_of(admin).get(f"{MACHINES}?{query.format(host=other.pk)}")
    assert [row.name for row in page.context["cl"].result_list] == ["second"]


def test_machine_is_found_by_its_uuid(client_of: ClientOf, admin: User, machine: Machine, make_machine) -> None:
    make_machine("second")
    page = client_of(admin).get(MACHINES, {"q": f" {machine.uuid} "})
    assert [row.name for row in page.context["cl"].result_list] == ["machine"]


def test_admin_gives_a_machine_to_someone(
    client_of: ClientOf, admin: User, stranger: User, make_machine: MakeMachine
) -> None:
    machine = make_machine("lonely")
    answer = client_of(admin).post(change_page(machine), machine_form(machine, owner=stranger.pk))
    assert answer["Location"] == MACHINES
    before = machine.version
    machine.refresh_from_db()
    assert machine.owner == stranger
    assert machine.version == before + 1


def test_saving_without_a_change_of_owner_leaves_the_version(
    client_of: ClientOf, admin: User, machine: Machine
) -> None:
    before = machine.version
    client_of(admin).post(change_page(machine), machine_form(machine))
    machine.refresh_from_db()
    assert machine.version == before


@pytest.mark.parametrize("way", ["page", "action"])
def test_giving_a_machine_never_overwrites_what_the_mirror_writes_meanwhile(
    client_of: ClientOf, admin: User, stranger: User, machine: Machine, way: str
) -> None:
    """The mirror writes that the machine crashed after the admin has read its row and before it writes the owner."""
    client = client_of(admin)

    def mirror_writes(sender, instance, **_kwargs) -> None:
        assert instance.state == "running"
        Machine.objects.filter(pk=machine.pk).update(state="crashed", state_reason="crashed", version=40)

    pre_save.connect(mirror_writes, sender=Machine)
    try:
        if way == "page":
            client.post(change_page(machine), machine_form(machine, owner=stranger.pk))
        else:
            ticked = {"action": "give_to_someone", "_selected_action": [str(machine.pk)]}
            client.post(MACHINES, ticked | {"give": "1", "owner": stranger.pk})
    finally:
        pre_save.disconnect(mirror_writes, sender=Machine)
    machine.refresh_from_db()
    assert (machine.state, machine.state_reason, machine.version) == ("crashed", "crashed", 41)
    assert machine.owner == stranger


def test_mirrored_facts_cannot_be_posted(client_of: ClientOf, admin: User, machine: Machine) -> None:
    changes = {"name": "renamed", "state": "shutoff", "vcpus": 99, "host": 99}
    client_of(admin).post(change_page(machine), machine_form(machine, **changes))
    machine.refresh_from_db()
    assert (machine.name, machine.state, machine.vcpus) == ("machine", "running", 1)


def test_admin_gives_several_machines_at_once(
    client_of: ClientOf, admin: User, stranger: User, make_machine: MakeMachine
) -> None:
    machines = [make_machine(f"lonely-{number}") for number in range(3)]
    client = client_of(admin)
    ticked = {"action": "give_to_someone", "_selected_action": [str(machine.pk) for machine in machines[:2]]}
    asked = client.post(MACHINES, ticked)
    assert b"lonely-0" in asked.content
    assert b"lonely-2" not in asked.content
    given = client.post(MACHINES, ticked | {"give": "1", "owner": stranger.pk}, follow=True)
    assert b"2 machines now belong to stranger" in given.content
    assert list(stranger.machines.values_list("name", flat=True)) == ["lonely-0", "lonely-1"]


def test_machines_go_to_somebody_only_while_their_quota_has_room(
    client_of: ClientOf, admin: User, stranger: User, make_machine: MakeMachine
) -> None:
    machines = [make_machine(f"lonely-{number}") for number in range(3)]
    Quota.objects.create(user=stranger, machines=2)
    ticked = {"action": "give_to_someone", "_selected_action": [str(machine.pk) for machine in machines]}
    given = client_of(admin).post(MACHINES, ticked | {"give": "1", "owner": stranger.pk}, follow=True).content.decode()
    assert "2 machines now belong to stranger" in given
    assert "Not given: lonely-2. The quota of stranger does not allow it: Machines would be 3 of 2." in given
    assert list(stranger.machines.values_list("name", flat=True)) == ["lonely-0", "lonely-1"]
    again = client_of(admin).post(MACHINES, ticked | {"give": "1", "owner": stranger.pk}, follow=True).content.decode()
    assert "2 machines now belong to stranger" in again
    taken = client_of(admin).post(MACHINES, ticked | {"give": "1", "owner": ""}, follow=True).content.decode()
    assert "3 machines now belong to nobody" in taken
    assert not stranger.machines.exists()


@pytest.mark.parametrize("holder", ["owner", "project"])
def test_page_of_a_machine_refuses_an_owner_without_room_for_it(
    client_of: ClientOf, admin: User, stranger: User, make_machine: MakeMachine, holder: str
) -> None:
    size = {"memory_bytes": 2**31, "disk_bytes": 40 * 2**30}
    machine, project = make_machine("lonely", **size), Project.objects.create(name="lab")
    Quota.objects.create(user=stranger, memory_mib=1024, disk_gib=20)
    Quota.objects.create(project=project, memory_mib=1024, disk_gib=20)
    form = machine_form(machine, **{holder: stranger.pk if holder == "owner" else project.pk})
    page = client_of(admin).post(change_page(machine), form).content.decode()
    whose = "stranger" if holder == "owner" else "lab"
    assert f"The quota of {whose} does not allow it: Memory would be 2 GiB of 1 GiB." in page
    machine.refresh_from_db()
    assert machine.holder == ""
    Quota.objects.update(memory_mib=2048)
    page = client_of(admin).post(change_page(machine), form).content.decode()
    assert f"The quota of {whose} does not allow it: Disk would be 40 GiB of 20 GiB." in page
    Quota.objects.update(disk_gib=40)
    assert client_of(admin).post(change_page(machine), form).status_code == 302
    machine.refresh_from_db()
    assert machine.holder == whose


def test_machines_are_not_given_to_disabled_people(
    client_of: ClientOf, admin: User, stranger: User, make_machine: MakeMachine
) -> None:
    machine = make_machine("lonely")
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    ticked = {"action": "give_to_someone", "_selected_action": [str(machine.pk)], "give": "1", "owner": stranger.pk}
    assert b"Select a valid choice" in client_of(admin).post(MACHINES, ticked).content
    assert not stranger.machines.exists()


def test_admin_shares_a_machine_with_a_group(
    client_of: ClientOf, admin: User, stranger: User, machine: Machine
) -> None:
    team = Group.objects.create(name="team")
    stranger.groups.add(team)
    form = machine_form(machine, **{"grants-1-group": team.pk, "grants-1-role": "operator"})
    assert client_of(admin).post(change_page(machine), form).status_code == 302
    assert right_over(stranger, machine) == Right.OPERATE


@pytest.mark.parametrize("holders", ["both", "nobody"])
def test_grant_is_to_a_user_or_to_a_group(
    client_of: ClientOf, admin: User, stranger: User, machine: Machine, holders: str
) -> None:
    team = Group.objects.create(name="team")
    chosen = {"grants-1-user": stranger.pk, "grants-1-group": team.pk} if holders == "both" else {}
    form = machine_form(machine, **{"grants-1-role": "operator"}, **chosen)
    answer = client_of(admin).post(change_page(machine), form)
    assert b"Choose either a user or a group" in answer.content
    assert machine.grants.count() == 1


def test_same_person_gets_no_second_grant(client_of: ClientOf, admin: User, viewer: User, machine: Machine) -> None:
    form = machine_form(machine, **{"grants-1-user": viewer.pk, "grants-1-role": "operator"})
    assert client_of(admin).post(change_page(machine), form).status_code == 200
    assert machine.grants.get().role == GrantRole.VIEWER


def test_admin_takes_a_grant_away(client_of: ClientOf, admin: User, viewer: User, machine: Machine) -> None:
    form = machine_form(machine, **{"grants-0-DELETE": "on"})
    assert client_of(admin).post(change_page(machine), form).status_code == 302
    assert right_over(viewer, machine) == Right.NONE


def test_machines_are_not_added_by_hand(client_of: ClientOf, admin: User) -> None:
    assert client_of(admin).get(f"{MACHINES}add/").status_code == 403


def test_machine_that_libvirt_knows_is_not_deleted(client_of: ClientOf, admin: User, machine: Machine) -> None:
    assert client_of(admin).post(f"{MACHINES}{machine.pk}/delete/", {"post": "yes"}).status_code == 403
    ticked = {"action": "delete_selected", "_selected_action": [str(machine.pk)], "post": "yes"}
    client_of(admin).post(MACHINES, ticked)
    assert Machine.objects.exists()


def test_undefined_machine_may_be_forgotten_with_its_history(
    client_of: ClientOf, admin: User, viewer: User, make_machine: MakeMachine
) -> None:
    machine = make_machine("gone", state="undefined")
    Grant.objects.create(machine=machine, user=viewer)
    machine.operations.create(kind="start", requested_by=viewer, status="succeeded")
    machine.console_sessions.create(user=viewer, protocol="vnc", mode="view", login="session:x")
    client = client_of(admin)
    assert client.get(f"{MACHINES}{machine.pk}/delete/").status_code == 200
    assert client.post(f"{MACHINES}{machine.pk}/delete/", {"post": "yes"})["Location"] == MACHINES
    assert not Machine.objects.exists()


@pytest.mark.parametrize("pk", [str(uuid4()), "nonsense"])
def test_unknown_machine_leads_back_with_a_word(client_of: ClientOf, admin: User, pk: str) -> None:
    assert client_of(admin).get(f"{MACHINES}{pk}/change/", follow=True).status_code == 200


# Tokens


def test_admin_sees_and_revokes_tokens_but_never_their_digest(client_of: ClientOf, admin: User, owner: User) -> None:
    row, token = ApiToken.make(owner.pk, "script")
    client = client_of(admin)
    for address in ("/admin/people/apitoken/", f"/admin/people/apitoken/{row.pk}/change/"):
        page = client.get(address).content.decode()
        assert "script" in page
        assert row.digest not in page
    client.post(f"/admin/people/apitoken/{row.pk}/delete/", {"post": "yes"})
    answer = Client().get("/api/v1/machines", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_tokens_are_neither_made_nor_changed_by_admins(client_of: ClientOf, admin: User, owner: User) -> None:
    row, _ = ApiToken.make(owner.pk, "script")
    client = client_of(admin)
    assert client.get("/admin/people/apitoken/add/").status_code == 403
    assert client.post(f"/admin/people/apitoken/{row.pk}/change/", {"name": "other"}).status_code == 403
    assert ApiToken.objects.get().name == "script"
