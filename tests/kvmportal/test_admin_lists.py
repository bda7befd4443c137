"""Every list of Django admin, taken from the registry: searched, filtered, and no query for each row."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.sites import site
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import kvmportal.urls  # noqa: F401  # loads the admin's pages
from assist.models import Assist, Kind
from assist.models import State as AssistState
from assist.snapshots import facts_of
from audit.models import Batch, Checkpoint, Entry
from consoles.models import ConsolePolicy, ConsoleSession, Mode, Protocol, Recording
from hypervisor.states import State
from lifecycle.models import Bulk, HostTest, Operation, SavedFile, Status
from machines.models import Grant, Host, Machine, ShareLink
from maintenance.models import Maintenance
from making.models import MachineRequest, MachineTemplate
from people.models import ApiToken, Membership, Project, Quota, Role
from sharing.models import Ask
from tests.cast import ClientOf
from tests.lifecycle.pages import page

MODELS = sorted(site._registry, key=lambda model: model._meta.label)
FEW, MANY = 3, 30
MOST = 20
"""Queries of one list, its filters included."""
NOTHING_TO_FILTER_BY = {Group}


def _person(number: int) -> User:
    user = User.objects.create(username=f"person-{number}-{uuid.uuid4()}")
    user.groups.add(Group.objects.create(name=user.username))
    return user


def _host(number: int) -> Host:
    return Host.objects.create(name=f"h{number}-{uuid.uuid4().hex}", uri=f"qemu+ssh://h{uuid.uuid4()}/system")


def _machine(number: int) -> Machine:
    return Machine.objects.create(
        uuid=uuid.uuid4(), name=f"m{number}", host=_host(number), owner=_person(number), state=State.RUNNING
    )


def _grant(number: int) -> Grant:
    user = _person(number)
    holder = {"user": user} if number % 2 else {"group": user.groups.get()}
    return Grant.objects.create(machine=_machine(number), **holder)


def _session(number: int) -> ConsoleSession:
    return ConsoleSession.objects.create(
        machine=_machine(number),
        user=_person(number),
        protocol=Protocol.VNC,
        mode=Mode.VIEW,
        opened_at=timezone.now(),
    )


def _operation(number: int) -> Operation:
    return Operation.objects.create(
        machine=_machine(number), kind="start", status=Status.FAILED, requested_by=_person(number)
    )


def _saved_file(number: int) -> SavedFile:
    machine = _machine(number)
    return SavedFile.objects.create(
        machine=machine, host=machine.host, name="one", pool="saved", volume="v", runs=0, saved_by=_person(number)
    )


def _ask(number: int) -> Ask:
    return Ask.objects.create(machine=_machine(number), asked_by=_person(number), role=Role.VIEWER)


def _template(number: int) -> MachineTemplate:
    template = MachineTemplate.objects.create(name=f"template {number} {uuid.uuid4()}", host=_host(number))
    template.projects.add(_project(number))
    return template


def _request(number: int) -> MachineRequest:
    return MachineRequest.objects.create(
        asked_by=_person(number),
        project=_project(number),
        template=_template(number),
        machine=_machine(number),
        answered_by=_person(number),
        name=f"m{number}",
        vcpus=1,
        memory_mib=1,
        disk_gib=1,
    )


def _assist(number: int) -> Assist:
    machine = _machine(number)
    return Assist.objects.create(
        machine=machine,
        user=machine.owner,
        helper=_person(number),
        kind=Kind.ASKED,
        state=AssistState.ENDED,
        facts=facts_of(machine),
    )


def _batch(number: int) -> Batch:
    return Batch.objects.create(number=number + 1, previous="0", sealed_at=timezone.now(), count=0, hash=f"{number}")


def _checkpoint(number: int) -> Checkpoint:
    now = timezone.now()
    return Checkpoint.objects.create(upto=number + 1, hash="0", sealed_at=now, count=1, made_at=now)


def _link(number: int) -> ShareLink:
    return ShareLink.objects.create(
        machine=_machine(number), made_by=_person(number), digest=uuid.uuid4().hex, expires_at=timezone.now()
    )


def _project(number: int) -> Project:
    project = Project.objects.create(name=f"project {number} {uuid.uuid4()}")
    Membership.objects.create(project=project, user=_person(number))
    return project


def _quota(number: int) -> Quota:
    holder = {"user": _person(number)} if number % 2 else {"project": _project(number)}
    return Quota.objects.create(machines=number, **holder)


MAKERS: dict[type[Model], Callable[[int], Model]] = {
    Ask: _ask,
    MachineTemplate: _template,
    MachineRequest: _request,
    Assist: _assist,
    Authenticator: lambda number: Authenticator.objects.create(user=_person(number), type="totp", data={}),
    Batch: _batch,
    Checkpoint: _checkpoint,
    Entry: lambda number: Entry.objects.create(kind="login.ok", who=f"person {number}"),
    Project: _project,
    Quota: _quota,
    ShareLink: _link,
    SocialAccount: lambda number: SocialAccount.objects.create(user=_person(number), provider="p", uid=f"{number}"),
    UserSession: lambda number: UserSession.objects.create(
        user=_person(number), session_key=f"key {number}", ip="192.0.2.1", user_agent="a browser"
    ),
    ApiToken: lambda number: ApiToken.make(_person(number).pk, f"token {number}")[0],
    Bulk: lambda number: Bulk.objects.create(kind="start", requested_by=_person(number)),
    ConsolePolicy: lambda number: ConsolePolicy.objects.create(machine=_machine(number)),
    ConsoleSession: _session,
    Grant: _grant,
    Group: lambda number: Group.objects.create(name=f"group {number} {uuid.uuid4()}"),
    Host: _host,
    HostTest: lambda number: HostTest.objects.create(
        host=_host(number), requested_by=_person(number), status=Status.FAILED
    ),
    Machine: _machine,
    Maintenance: lambda number: Maintenance.objects.create(text=f"maintenance {number}"),
    Operation: _operation,
    Recording: lambda number: Recording.objects.create(session=_session(number), file=str(uuid.uuid4())),
    SavedFile: _saved_file,
    User: _person,
}
"""A row of each model that the admin shows, with other rows for all it points to: shared ones would hide a query."""


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.fixture
def client(client_of: ClientOf, admin: User) -> Client:
    return client_of(admin)


def test_every_model_of_the_admin_has_a_row_here() -> None:
    assert set(MODELS) == set(MAKERS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_list_can_be_searched_and_filtered(client: Client, model: type[Model]) -> None:
    shown = site._registry[model]
    assert shown.search_fields
    assert shown.list_filter or model in NOTHING_TO_FILTER_BY
    assert shown.list_display != ("__str__",)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_list_of_many_costs_no_more_queries_than_one_of_few(
    client: Client, model: type[Model], django_assert_max_num_queries
) -> None:
    def rows() -> int:
        return len(page(client, list_of(model)).cssselect("#result_list tbody tr"))

    for number in range(FEW):
        MAKERS[model](number)
    client.get(list_of(model))
    with CaptureQueriesContext(
        connection,
    ) as few:
        before = rows()
    for number in range(FEW, MANY):
        MAKERS[model](number)
    with django_assert_max_num_queries(min(len(few), MOST)):
        assert rows() == before + MANY - FEW


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_link_of_a_list_and_of_a_row_leads_somewhere(client: Client, model: type[Model]) -> None:
    row = MAKERS[model](1)
    change = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
    for url in (list_of(model), change):
        tree = page(client, url)
        found = {link.get("href") for link in tree.cssselect("#result_list td a, #result_list th.field a, .readonly a")}
        for link in found:
            answer = client.get(link)
            assert answer.status_code == 200, f"{url}: {link}: {answer.status_code} {answer.headers.get('Location')}"


def test_links_lead_both_ways_between_a_person_a_machine_a_host_and_what_happened(client: Client) -> None:
    machine = _machine(1)
    user = machine.owner
    Grant.objects.create(machine=machine, user=user)
    Operation.objects.create(machine=machine, kind="start", status=Status.FAILED, requested_by=user)
    ConsoleSession.objects.create(machine=machine, user=user, protocol=Protocol.VNC, mode=Mode.VIEW)
    ways = {
        User: ({"machines_machine", "machines_grant", "lifecycle_operation", "consoles_consolesession"}, user),
        Machine: ({"machines_grant", "lifecycle_operation", "consoles_consolesession", "lifecycle_savedfile"}, machine),
        Host: ({"machines_machine", "lifecycle_operation", "consoles_consolesession"}, machine.host),
    }
    for model, (lists, row) in ways.items():
        change = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
        links = {link.get("href").partition("?")[0]: link.get("href") for link in page(client, change).cssselect("a")}
        for name in lists:
            listed = page(client, links[reverse(f"admin:{name}_changelist")])
            number = len(listed.cssselect("#result_list tbody tr"))
            assert number == (0 if name == "lifecycle_savedfile" else 1), (model, name)
    for model, back in (
        (Operation, {user, machine}),
        (ConsoleSession, {user, machine}),
        (Machine, {user, machine.host}),
    ):
        listed = {link.get("href") for link in page(client, list_of(model)).cssselect("#result_list td a")}
        for row in back:
            assert reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk]) in listed
