"""Who is told of what, once, and how many queries that costs the watcher."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from assist import moves
from hypervisor.states import DomainState, State
from lifecycle import operations
from lifecycle.models import Operation, Status
from machines import mirror
from machines.models import Grant, GrantRole, Machine
from machines.signals import machine_changed
from notices import listeners
from notices.choices import choose
from notices.kinds import KINDS
from notices.models import Notice
from people.models import Role
from sharing import asks
from tests.cast import MakeMachine, person
from tests.machines.conftest import Pushes
from tests.machines.readings import DEFINITION, reading
from tests.notices.conftest import Told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("told_nothing_yet")]


def end(machine: Machine, by: User | None, status: Status, message: str = "") -> Operation:
    """Have a running operation end so, as a worker does."""
    row = Operation.objects.create(machine=machine, kind="save", requested_by=by, status=Status.RUNNING)
    ended = operations.advance(row, status=status, message=message)
    assert ended
    return ended


def crash(machine: Machine, ago: timedelta = timedelta(0)) -> None:
    """Say that a machine crashed, as mirror does when it wrote that."""
    machine.state, machine.state_since = State.CRASHED, timezone.now() - ago
    machine.save(update_fields=["state", "state_since"])
    machine_changed.send_robust(sender=Machine, machine=machine, rebooted=False)


def test_who_asked_is_told_how_it_ended(machine: Machine, owner: User, told: Told) -> None:
    end(machine, owner, Status.SUCCEEDED)
    end(machine, owner, Status.FAILED, "The disk is full.")
    end(machine, owner, Status.INTERRUPTED)
    end(machine, owner, Status.CANCELLED, "Cancelled before it began.")
    assert told(owner) == [
        "machine: “Save” was cancelled. Cancelled before it began.",
        "machine: “Save” was interrupted.",
        "machine: “Save” failed. The disk is full.",
        "machine: “Save” succeeded.",
    ]
    assert [notice.kind for notice in Notice.objects.all()] == [
        "operation_finished",
        "operation_failed",
        "operation_failed",
        "operation_finished",
    ]
    assert all(notice.is_own for notice in Notice.objects.all())


def test_the_owner_is_told_when_somebody_else_asked(
    machine: Machine, owner: User, operator: User, viewer: User, told: Told
) -> None:
    Notice.objects.all().delete()
    operation = end(machine, operator, Status.FAILED, "It would not.")
    assert told(operator) == ["machine: “Save” failed. It would not."]
    assert told(owner) == ["machine: “Save” failed, asked by operator. It would not."]
    assert told(viewer) == []
    notice = Notice.objects.get(user=owner)
    assert notice.url == f"/operations/{operation.pk}/"
    assert not notice.is_own


def test_nobody_is_told_before_the_commit_nor_of_what_was_rolled_back(
    machine: Machine, owner: User, told: Told
) -> None:
    row = Operation.objects.create(machine=machine, kind="save", requested_by=owner, status=Status.RUNNING)
    with transaction.atomic():
        operations.advance(row, status=Status.SUCCEEDED)
        assert told(owner) == []
        transaction.set_rollback(True)
    assert told(owner) == []
    operations.advance(row, status=Status.SUCCEEDED)
    assert len(told(owner)) == 1


def test_an_operation_that_only_begins_is_no_news(machine: Machine, owner: User, told: Told) -> None:
    row = Operation.objects.create(machine=machine, kind="save", requested_by=owner)
    operations.advance(row, status=Status.RUNNING)
    assert told(owner) == []


def test_an_operation_of_nobody_is_told_to_nobody(machine: Machine, told: Told, owner: User) -> None:
    end(machine, None, Status.SUCCEEDED)
    assert Notice.objects.count() == 0


def test_a_crash_is_told_to_who_owns_or_operates_and_to_nobody_else(
    machine: Machine, owner: User, operator: User, viewer: User, stranger: User, helpdesk: User, admin: User, told: Told
) -> None:
    team = Group.objects.create(name="team")
    member = person("member")
    member.groups.add(team)
    gone = person("gone", is_active=False)
    for grant in ({"group": team, "role": GrantRole.OPERATOR}, {"user": gone, "role": GrantRole.OWNER}):
        Grant.objects.create(machine=machine, **grant)
    Notice.objects.all().delete()
    crash(machine)
    assert {user.username for user in User.objects.all() if told(user)} == {"owner", "operator", "member"}
    assert told(owner) == ["machine crashed."]


def test_a_crash_is_told_once_however_often_the_machine_changes(machine: Machine, owner: User, told: Told) -> None:
    crash(machine)
    machine_changed.send_robust(sender=Machine, machine=machine, rebooted=False)
    assert len(told(owner)) == 1
    crash(machine)
    assert len(told(owner)) == 2


def test_a_machine_that_crashed_long_ago_is_no_news_when_it_changes(machine: Machine, owner: User, told: Told) -> None:
    crash(machine, ago=listeners.FRESH + timedelta(seconds=1))
    assert told(owner) == []


def test_a_crash_that_the_watcher_reads_is_told(held, owner: User, told: Told) -> None:
    [machine] = mirror.apply(held, [reading(definition=DEFINITION)])
    Machine.objects.filter(pk=machine.pk).update(owner=owner)
    crashed = reading(DomainState.CRASHED, "panicked", machine.uuid)
    mirror.apply(held, [crashed])
    mirror.apply(held, [replace(crashed, name="renamed")])
    assert told(owner) == ["renamed crashed."]


def test_a_running_machine_that_changes_costs_the_watcher_no_query(machine: Machine) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        machine_changed.send_robust(sender=Machine, machine=machine, rebooted=True)
    assert not [query for query in queries if "notices" in query["sql"]]


def test_a_crash_costs_no_query_for_each_person_who_is_told(machine: Machine, owner: User, told: Told) -> None:
    team = Group.objects.create(name="team")
    team.user_set.add(*(person(f"member-{number}") for number in range(20)))
    Grant.objects.create(machine=machine, group=team, role=GrantRole.OPERATOR)
    machine.state, machine.state_since = State.CRASHED, timezone.now()
    with CaptureQueriesContext(connection) as queries:
        machine_changed.send_robust(sender=Machine, machine=machine, rebooted=False)
    assert Notice.objects.filter(kind="crashed").count() == 21
    assert len(queries) <= 12


def test_a_grant_is_told_to_its_user_with_the_right(machine: Machine, stranger: User, told: Told) -> None:
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    assert told(stranger) == ["machine is shared with you; your right on it: operator."]
    assert Notice.objects.get(user=stranger).url == f"/machines/{machine.uuid}/"


def test_a_grant_is_told_to_every_member_of_its_group_but_not_to_the_owner(
    machine: Machine, owner: User, stranger: User, told: Told
) -> None:
    team = Group.objects.create(name="team")
    team.user_set.add(owner, stranger)
    grant = Grant.objects.create(machine=machine, group=team)
    assert told(stranger) == ["machine is shared with you; your right on it: viewer."]
    assert told(owner) == []
    grant.role = GrantRole.OPERATOR
    grant.save()
    assert len(told(stranger)) == 1, "a grant that changes is no new one"


def test_an_ask_is_told_to_the_owner_and_its_answer_to_who_asked(
    machine: Machine, owner: User, viewer: User, told: Told
) -> None:
    asked = asks.ask(machine, viewer, Role.OPERATOR)
    assert told(owner) == ["viewer wants to be operator of machine."]
    assert Notice.objects.get(user=owner).url == f"/machines/{machine.uuid}/access/"
    asks.grant(asked, owner, timezone.now() + timedelta(hours=1))
    assert told(viewer) == ["owner made you operator of machine."], "and not besides that it is shared"
    asks.decline(asks.ask(machine, viewer, Role.OWNER), owner)
    assert told(viewer)[0] == "owner declined: you do not become owner of machine."
    asks.withdraw(asks.ask(machine, viewer, Role.OWNER), viewer)
    assert (len(told(owner)), len(told(viewer))) == (3, 2)


def test_an_ask_that_is_asked_again_is_told_again(machine: Machine, owner: User, viewer: User, told: Told) -> None:
    asks.ask(machine, viewer, Role.OPERATOR)
    asks.ask(machine, viewer, Role.OWNER)
    assert told(owner) == ["viewer wants to be owner of machine.", "viewer wants to be operator of machine."]


def test_a_machine_that_is_handed_over_is_told_to_its_new_owner(
    machine: Machine, owner: User, stranger: User, told: Told
) -> None:
    machine.owner = stranger
    machine.save()
    assert told(stranger) == ["machine is yours now."]
    assert told(owner) == []
    machine.save()
    machine.owner = None
    machine.save()
    assert Notice.objects.count() == 1


def test_a_new_machine_is_not_told_to_who_owns_it_from_the_start(make_machine: MakeMachine, owner: User) -> None:
    make_machine("another", owner=owner)
    assert Notice.objects.count() == 0


def test_an_ask_for_help_is_told_by_the_hook(machine: Machine, owner: User, helpdesk: User, told: Told) -> None:
    ask = {"machine": machine.uuid, "by": "owner", "key": "assist:1", "url": "/help/1/"}
    listeners.on_help_asked([helpdesk.pk], **ask)
    listeners.on_help_asked([helpdesk.pk], **ask)
    listeners.on_help_asked([helpdesk.pk], **ask | {"machine": uuid.uuid4(), "key": "assist:2"})
    assert told(helpdesk) == ["owner asks for help with machine."]


def test_what_is_off_everywhere_makes_no_notice_and_other_kinds_go_on(
    machine: Machine, owner: User, told: Told
) -> None:
    choose(owner, {"operation_finished": (False, False)})
    end(machine, owner, Status.SUCCEEDED)
    assert Notice.objects.count() == 0
    end(machine, owner, Status.FAILED)
    assert len(told(owner)) == 1


def test_pages_of_those_concerned_hear_of_it(machine: Machine, owner: User, viewer: User, pushes: Pushes) -> None:
    end(machine, owner, Status.SUCCEEDED)
    assert [group for group, message in pushes.take() if message == {"type": "notices"}] == [f"user.{owner.pk}"]
    choose(owner, {"operation_finished": (False, True)})
    end(machine, owner, Status.SUCCEEDED)
    assert not [group for group, message in pushes.take() if message == {"type": "notices"}]


def test_every_way_of_every_kind_has_a_sentence_that_can_be_filled_in(machine: Machine, owner: User) -> None:
    values = {"by": "viewer", "operation": "start", "role": "viewer", "message": "Why."}
    for kind in KINDS.values():
        for how in kind.sentences:
            notice = Notice(user=owner, kind=kind.name, machine=machine, parameters=values | {"how": how})
            assert "machine" in notice.text
            assert "%(" not in notice.text


def test_a_row_of_an_unknown_kind_can_still_be_read(machine: Machine, owner: User) -> None:
    notice = Notice(user=owner, kind="of-a-later-version", machine=machine, parameters={"how": "so"})
    assert (notice.text, notice.level) == ("machine", "info")
    assert Notice(user=owner, kind="crashed", machine=machine, parameters={}).text == "machine"


def test_what_is_kept_is_no_sentence(machine: Machine, owner: User) -> None:
    end(machine, owner, Status.SUCCEEDED)
    assert Notice.objects.get().parameters == {"how": "succeeded", "operation": "save", "message": ""}


def test_the_helpdesk_is_told_when_somebody_asks_for_help(
    machine: Machine, owner: User, viewer: User, helpdesk: User, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assist = moves.ask(machine, owner, "it hangs")
    told = Notice.objects.get()
    assert (told.user, told.kind, told.machine, told.url) == (
        helpdesk,
        "help_asked",
        machine,
        assist.get_absolute_url(),
    )
