"""What becomes of the machines of somebody who is disabled or deleted anywhere but in the administration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from audit.models import Entry, Via
from hypervisor.states import State
from lifecycle import operations
from lifecycle.models import Operation, Status
from machines.models import Host, Machine
from notices.models import Notice
from people.models import Membership, Project
from sharing import departures, seeing_off, tasks
from sharing.models import Departure, Policy
from tests.cast import PASSWORD, ClientOf, MakeMachine
from tests.kvmportal.test_admin_people import PEOPLE
from tests.lifecycle.test_races import all_at_once
from tests.sharing.test_departures import admins, bees, delete, disable  # noqa: F401  # two are fixtures

pytestmark = pytest.mark.django_db(transaction=True)


def disable_by_sql(person: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE auth_user SET is_active = %s WHERE id = %s", [False, person.pk])


def disable_by_saving(person: User) -> None:
    person.is_active = False
    person.save()


def enable_by_sql(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=True)


def enable_by_saving(person: User) -> None:
    person.is_active = True
    person.save(update_fields=["is_active"])


def later(**length: float) -> None:
    """Let it be later for what is still to be saved, and have beat look."""
    for row in Departure.objects.exclude(next_at=None):
        row.next_at -= timedelta(**length)
        row.save(update_fields=["next_at"])
    tasks.see_off()


def written() -> list[str]:
    """What the trail has of departures, the oldest first."""
    return list(Entry.objects.filter(kind__startswith="departure.").order_by("pk").values_list("kind", flat=True))


def told() -> list[str]:
    return [notice.text for notice in Notice.objects.filter(kind="departed").order_by("pk")]


def end(operation: Operation, status: Status, message: str = "") -> None:
    """Have an operation end so, as a worker does."""
    assert operations.advance(operation, status=status, message=message)


@pytest.fixture(params=["keep", "project", "save"])
def policy(request: pytest.FixtureRequest, settings) -> str:
    settings.DEPARTED_MACHINES = request.param
    return request.param


@pytest.fixture
def saving(settings) -> None:
    settings.DEPARTED_MACHINES = "save"


@pytest.fixture
def handing(settings) -> None:
    settings.DEPARTED_MACHINES = "project"


@pytest.mark.parametrize("disabled", [disable_by_sql, disable_by_saving])
def test_it_is_done_however_somebody_was_disabled(
    machine: Machine,
    owner: User,
    admin: User,
    bees: Project,  # noqa: F811
    policy: str,
    disabled: Callable[[User], None],
) -> None:
    disabled(owner)
    tasks.see_off()
    machine.refresh_from_db()
    asked = [(row.kind, row.asked_by_portal, row.requested_by) for row in Operation.objects.all()]
    assert (machine.owner, machine.project) == ((None, bees) if policy == "project" else (owner, None))
    assert asked == ([("save", True, None)] if policy == "save" else [])
    what = {"keep": "departure.kept", "project": "departure.handed", "save": "departure.saving"}[policy]
    [entry] = Entry.objects.filter(kind__startswith="departure.")
    assert (entry.kind, entry.who, entry.via, entry.detail["user"]["name"]) == (what, "", Via.PORTAL, "owner")
    assert (
        told()
        == {
            "keep": [],
            "project": ["owner left. Handed to the project bees: 1 of their machines."],
            "save": ["owner left. To be saved: 1 of their machines."],
        }[policy]
    )
    row = Departure.objects.get()
    assert (row.user, row.policy, row.by, row.machines) == (owner, policy, None, 1)
    assert (row.done_at is None) == (policy == "save")
    assert {notice.url for notice in Notice.objects.filter(kind="departed")} <= {f"{PEOPLE}{owner.pk}/change/"}


def test_it_is_done_once(machine: Machine, owner: User, make_machine: MakeMachine, bees: Project, policy: str) -> None:  # noqa: F811
    disable_by_sql(owner)
    tasks.see_off()
    before = (written(), list(Departure.objects.values()), Operation.objects.count(), Notice.objects.count())
    make_machine("given to them later", owner=owner)
    for _ in range(3):
        tasks.see_off()
    assert before == (written(), list(Departure.objects.values()), Operation.objects.count(), Notice.objects.count())


def test_it_is_done_once_by_many_at_the_same_time(
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    policy: str,
) -> None:
    disable_by_sql(owner)
    assert all_at_once(*[tasks.see_off] * 4) == [None] * 4
    assert (Departure.objects.count(), len(written())) == (1, 1)
    assert Operation.objects.count() == (1 if policy == "save" else 0)


def test_a_process_that_is_killed_has_done_all_of_it_or_nothing(
    machine: Machine,
    owner: User,
    make_machine: MakeMachine,
    bees: Project,  # noqa: F811
    handing: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_machine("second", owner=owner)
    disable_by_sql(owner)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(seeing_off, "_record", interrupt)
        tasks.see_off()
    assert not Departure.objects.exists()
    assert Machine.objects.filter(owner=owner).count() == 2
    tasks.see_off()
    assert Machine.objects.filter(project=bees).count() == 2


def test_a_process_that_is_killed_before_it_asks_for_the_saves_leaves_them_to_the_next(
    machine: Machine, owner: User, make_machine: MakeMachine, saving: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_machine("second", owner=owner)
    disable_by_sql(owner)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(seeing_off, "_look", interrupt)
        tasks.see_off()
    assert not Operation.objects.exists()
    tasks.see_off()
    assert not Operation.objects.exists()  # the dead one may still be at it
    later(minutes=1)
    assert Operation.objects.count() == 2


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_one_whom_nothing_can_be_done_for_keeps_no_other_from_it(
    machine: Machine,
    owner: User,
    viewer: User,
    make_machine: MakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_machine("second", owner=viewer)
    for person in (owner, viewer):
        disable_by_sql(person)
    see_off = seeing_off.see_off

    def fail_for_owner(person: User) -> list[str]:
        if person == owner:
            raise RuntimeError
        return see_off(person)

    monkeypatch.setattr(seeing_off, "see_off", fail_for_owner)
    tasks.see_off()
    assert Departure.objects.get().user == viewer
    assert f"The machines of user {owner.pk}" in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR


def test_with_nothing_to_do_it_costs_one_query(
    machine: Machine, owner: User, viewer: User, stranger: User, django_assert_num_queries
) -> None:
    disable_by_sql(owner)
    disable_by_sql(viewer)  # owns nothing
    tasks.see_off()
    with django_assert_num_queries(1):
        tasks.see_off()


def test_a_look_deals_with_so_many_people_only(
    make_machine: MakeMachine, owner: User, viewer: User, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing_off, "AT_ONCE", 2)
    for person in (owner, viewer, stranger):
        make_machine(f"of {person}", owner=person)
        disable_by_sql(person)
    tasks.see_off()
    assert Departure.objects.count() == 2
    tasks.see_off()
    assert Departure.objects.count() == 3


@pytest.mark.parametrize("enabled", [enable_by_sql, enable_by_saving])
@pytest.mark.parametrize("disabled", [disable_by_sql, disable_by_saving])
def test_who_is_active_again_departs_anew(
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    settings,
    enabled: Callable[[User], None],
    disabled: Callable[[User], None],
) -> None:
    disabled(owner)
    tasks.see_off()
    enabled(owner)
    settings.DEPARTED_MACHINES = "project"
    tasks.see_off()
    assert not Departure.objects.exists()
    assert Machine.objects.get().owner == owner
    disabled(owner)
    tasks.see_off()
    assert Machine.objects.get().project == bees


def test_who_was_enabled_unheard_and_is_disabled_in_the_administration_departs_anew(
    admins: Client,  # noqa: F811
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    settings,
) -> None:
    disable(admins, owner)
    enable_by_sql(owner)
    owner.refresh_from_db()
    settings.DEPARTED_MACHINES = "project"
    disable(admins, owner)
    assert Machine.objects.get().project == bees


def test_other_changes_of_an_account_forget_nothing(machine: Machine, owner: User) -> None:
    disable_by_saving(owner)
    tasks.see_off()
    owner.first_name = "Ann"
    owner.save()
    owner.is_active = True  # only here: it is not saved
    owner.save(update_fields=["first_name"])
    assert Departure.objects.exists()


def test_the_administration_does_it_at_once_and_beat_not_again(
    admins: Client,  # noqa: F811
    admin: User,
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    policy: str,
) -> None:
    form = {"action": "disable", "_selected_action": [owner.pk], "confirm": "yes"}
    assert admins.post(PEOPLE, form).status_code == 302
    row = Departure.objects.get()
    assert (row.by, row.policy) == (admin, policy)
    [entry] = Entry.objects.filter(kind__startswith="departure.")
    assert (entry.who, entry.via) == ("admin", Via.PAGE)
    later(minutes=2)
    assert Departure.objects.count() == 1
    assert [row.requested_by for row in Operation.objects.all()] == ([admin] if policy == "save" else [])
    assert told() == []


def test_what_the_administration_did_not_come_to_is_done_by_beat(
    admins: Client,  # noqa: F811
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    handing: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = {"action": "disable", "_selected_action": [owner.pk], "confirm": "yes"}
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr("sharing.admin.see_off", interrupt)
        admins.post(PEOPLE, form)
    assert not User.objects.get(pk=owner.pk).is_active
    tasks.see_off()
    assert Machine.objects.get().project == bees


def test_the_page_of_a_disabled_user_says_what_became_of_the_machines(
    admins: Client,  # noqa: F811
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    policy: str,
) -> None:
    page = f"{PEOPLE}{owner.pk}/change/"
    assert "what became of the machines" not in admins.get(page).content.decode().lower()
    disable_by_sql(owner)
    tasks.see_off()
    said = {
        "keep": "by the portal: The machines stayed as they were.",
        "project": "by the portal: 1 machine was handed to the project bees.",
        "save": "by the portal: 1 machine was to be saved. 1 is not yet.",
    }[policy]
    assert said in admins.get(page).content.decode()


def test_saving_is_over_when_all_is_saved_and_what_runs_again_is_left_alone(
    machine: Machine, make_machine: MakeMachine, owner: User, saving: None
) -> None:
    second = make_machine("second", owner=owner)
    disable_by_sql(owner)
    tasks.see_off()
    [first_save, second_save] = Operation.objects.order_by("pk")
    end(first_save, Status.SUCCEEDED)  # and somebody has started it again meanwhile
    later(minutes=1)
    assert Departure.objects.get().left == [str(second_save.machine_id)]
    Machine.objects.filter(pk=second_save.machine_id).update(state=State.SHUTOFF)
    later(minutes=2)
    row = Departure.objects.get()
    assert (row.left, row.next_at) == ([], None)
    assert row.done_at
    assert written() == ["departure.saving", "departure.saved"]
    assert Operation.objects.count() == 2
    assert {machine.pk, second.pk} == {first_save.machine_id, second_save.machine_id}


def test_what_failed_is_asked_again_and_administrators_are_told_once(
    machine: Machine, owner: User, admin: User, saving: None
) -> None:
    disable_by_sql(owner)
    tasks.see_off()
    for minutes in (1, 2, 4, 8):
        end(Operation.objects.latest("pk"), Status.FAILED, "The disk is full.")
        later(minutes=minutes)
    assert Operation.objects.count() == 5
    assert told()[1:] == ["owner left, and machine is not saved. It is tried again. The disk is full."]
    assert "1 is not yet. machine: The disk is full." in departures.became(owner)
    end(Operation.objects.latest("pk"), Status.SUCCEEDED)
    later(minutes=16)
    assert Departure.objects.get().done_at


def test_what_passes_in_a_few_minutes_is_no_news(
    machine: Machine, owner: User, admin: User, host: Host, saving: None
) -> None:
    Host.objects.update(reachable=False)
    disable_by_sql(owner)
    tasks.see_off()
    assert not Operation.objects.exists()
    later(minutes=1)
    Host.objects.update(reachable=True)
    later(minutes=2)
    assert Operation.objects.get().asked_by_portal
    assert len(told()) == 1  # that it is to be saved


def test_after_a_day_it_is_given_up(
    make_machine: MakeMachine, owner: User, admin: User, stranger: User, saving: None
) -> None:
    make_machine("passing", owner=owner, persistent=False)
    disable_by_sql(owner)
    tasks.see_off()
    begun = Departure.objects.get().begun_at
    waited = timedelta(0)
    while (row := Departure.objects.get()).next_at:
        waited = row.next_at - begun + waited
        later(hours=1, seconds=1)
    assert timedelta(hours=20) < waited < timedelta(hours=30)
    assert written() == ["departure.saving", "departure.given_up"]
    assert [sentence.partition(" It is transient")[0] for sentence in told()[1:]] == [
        "owner left, and passing is not saved. It is tried again.",
        "owner left, and passing could not be saved. It is left as it is.",
    ]
    assert "1 could not be. passing: It is transient" in departures.became(owner)
    assert {notice.user for notice in Notice.objects.filter(kind="departed")} == {admin}


def test_who_cancels_what_the_portal_asked_has_decided(
    machine: Machine, owner: User, admin: User, saving: None
) -> None:
    disable_by_sql(owner)
    tasks.see_off()
    operations.cancel(Operation.objects.get(), admin)
    later(minutes=1)
    assert Operation.objects.count() == 1
    assert Departure.objects.get().done_at


def test_a_save_of_the_departed_themselves_that_is_called_off_is_asked_again(
    machine: Machine, owner: User, saving: None
) -> None:
    operations.request(machine, "save", by=owner, parameters={})
    disable_by_sql(owner)
    tasks.see_off()
    end(Operation.objects.get(), Status.CANCELLED, "Whoever asked for this may not do it any more.")
    later(minutes=1)
    assert Operation.objects.latest("pk").asked_by_portal


def test_saving_ends_when_the_user_is_active_again(machine: Machine, owner: User, host: Host, saving: None) -> None:
    Host.objects.update(reachable=False)
    disable_by_sql(owner)
    tasks.see_off()
    enable_by_sql(owner)
    Host.objects.update(reachable=True)
    later(minutes=1)
    assert not Operation.objects.exists()
    assert not Departure.objects.exists()


def delete_one(person: User) -> None:
    User.objects.get(pk=person.pk).delete()


def delete_many(person: User) -> None:
    User.objects.filter(pk=person.pk).delete()


@pytest.mark.parametrize("deleted", [delete_one, delete_many])
def test_it_is_done_before_somebody_is_deleted_anywhere(
    machine: Machine,
    owner: User,
    admin: User,
    bees: Project,  # noqa: F811
    policy: str,
    deleted: Callable[[User], None],
) -> None:
    deleted(owner)
    machine.refresh_from_db()
    assert (machine.owner, machine.project) == (None, bees if policy == "project" else None)
    assert [row.asked_by_portal for row in Operation.objects.all()] == ([True] if policy == "save" else [])
    assert written() == {"keep": [], "project": ["departure.handed"], "save": ["departure.saving"]}[policy]
    assert len(told()) == (0 if policy == "keep" else 1)


def test_a_deletion_that_is_undone_leaves_the_machines_as_they_were(
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    policy: str,
) -> None:
    with transaction.atomic():
        delete_one(owner)
        transaction.set_rollback(True)
    assert Machine.objects.get().owner == owner
    assert not Operation.objects.exists()
    assert told() == []


def test_what_could_not_be_saved_before_a_deletion_is_told_once(
    make_machine: MakeMachine, owner: User, admin: User, saving: None
) -> None:
    make_machine("passing", owner=owner, persistent=False)
    delete_one(owner)
    assert [sentence.partition(" It is transient")[0] for sentence in told()] == [
        "owner left. To be saved: 1 of their machines.",
        "owner left, and passing could not be saved. It is left as it is.",
    ]


def test_a_deletion_in_the_administration_is_seen_to_once(
    admins: Client,  # noqa: F811
    machine: Machine,
    owner: User,
    bees: Project,  # noqa: F811
    policy: str,
) -> None:
    disable_by_sql(owner)
    tasks.see_off()
    machine.owner, machine.project = owner, None
    machine.save()
    Operation.objects.all().delete()
    Entry.objects.all().delete()
    Notice.objects.all().delete()
    form = {"action": "delete_selected", "_selected_action": [owner.pk], "post": "yes"}
    assert admins.post(PEOPLE, form).status_code == 302
    assert not User.objects.filter(pk=owner.pk).exists()
    assert Machine.objects.get().project == (bees if policy == "project" else None)
    assert [row.requested_by.username for row in Operation.objects.all()] == (["admin"] if policy == "save" else [])
    assert written() == {"keep": [], "project": ["departure.handed"], "save": ["departure.saving"]}[policy]
    assert told() == []


def test_the_database_keeps_the_owner_of_machines_from_being_deleted_by_sql(machine: Machine, owner: User) -> None:
    from django.db import IntegrityError

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user WHERE id = %s", [owner.pk])


def test_who_was_disabled_before_the_portal_looked_keeps_what_they_have(
    machine: Machine,
    make_machine: MakeMachine,
    owner: User,
    viewer: User,
    stranger: User,
    bees: Project,  # noqa: F811
    handing: None,
) -> None:
    Membership.objects.create(project=bees, user=viewer)
    make_machine("second", owner=viewer)
    disable_by_sql(owner)
    disable_by_sql(stranger)
    MigrationExecutor(connection).migrate([("sharing", "0004_departure")])
    MigrationExecutor(connection).migrate([("sharing", "0005_departed_before")])
    assert dict(Departure.objects.values_list("user__username", "policy")) == {
        "owner": Policy.KEEP,
        "stranger": Policy.KEEP,
    }
    disable_by_sql(viewer)
    tasks.see_off()
    assert dict(Machine.objects.values_list("name", "owner__username")) == {"machine": "owner", "second": None}
    assert Departure.objects.filter(done_at=None).count() == 0


def test_a_disabled_user_who_signs_in_with_the_right_password_changes_nothing(
    machine: Machine, owner: User, client_of: ClientOf
) -> None:
    disable_by_sql(owner)
    tasks.see_off()
    Client().post("/login/", {"username": "owner", "password": PASSWORD})
    assert Departure.objects.get().done_at <= timezone.now()
