"""Help ends when what it stands on is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from assist import moves, tasks
from assist.models import Assist, AssistEvent
from machines.access import Right, right_over
from machines.models import Grant, Machine, Visit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def operators(machine: Machine, operator: User, helpdesk: User) -> Assist:
    """Help that an operator asked for and consented to."""
    assist = moves.ask(machine, operator, "")
    moves.take(assist, helpdesk)
    moves.accept(assist, operator)
    return assist


def state() -> tuple[str, str]:
    return Assist.objects.get().state, AssistEvent.objects.last().kind


def test_consent_goes_with_the_right_of_who_gave_it(operators: Assist, operator: User, helpdesk: User) -> None:
    Grant.objects.get(user=operator).delete()
    assert state() == ("ended", "right_gone")
    assert right_over(helpdesk, operators.machine) is Right.SEE


def test_a_right_that_shrinks_to_looking_ends_consent(operators: Assist, operator: User) -> None:
    grant = Grant.objects.get(user=operator)
    grant.role = "viewer"
    grant.save()
    assert state() == ("ended", "right_gone")


def test_a_user_who_is_disabled_takes_their_consent_along(operators: Assist, operator: User) -> None:
    operator.is_active = False
    operator.save()
    assert state() == ("ended", "right_gone")


def test_a_user_who_is_deleted_takes_their_consent_along(
    operators: Assist, operator: User, helpdesk: User, machine: Machine
) -> None:
    operator.delete()
    assert state() == ("ended", "right_gone")
    assert right_over(helpdesk, machine) is Right.SEE


@pytest.mark.parametrize("how", ["disabled", "no helper any more"])
def test_a_helper_who_is_none_any_more_helps_nobody(active: Assist, helpdesk: User, how: str) -> None:
    if how == "disabled":
        helpdesk.is_active = False
        helpdesk.save()
    else:
        helpdesk.groups.clear()
    assert state() == ("ended", "right_gone")
    assert not Visit.objects.filter(ended_at=None).exists()


def test_broken_glass_is_mended_when_its_helper_goes(broken: Assist, helpdesk: User) -> None:
    helpdesk.groups.clear()
    assert state() == ("ended", "right_gone")


def test_other_rights_change_nothing(active: Assist, viewer: User, owner: User) -> None:
    Grant.objects.get(user=viewer).delete()
    owner.save()
    assert Assist.objects.get().state == "active"


def test_help_ends_by_its_limit(active: Assist, helpdesk: User, settings: Any) -> None:
    assert active.until - active.active_at == timedelta(seconds=settings.ASSIST_LIMIT)
    assert Visit.objects.get().until == active.until
    tasks.look_after()
    assert Assist.objects.get().state == "active"
    Assist.objects.update(until=timezone.now())
    tasks.look_after()
    assert state() == ("ended", "limit")
    assert right_over(helpdesk, active.machine) is Right.SEE


@pytest.mark.parametrize("stage", ["waiting", "taken"])
def test_a_request_that_leads_to_nothing_expires(stage: str, request: pytest.FixtureRequest) -> None:
    assist: Assist = request.getfixturevalue(stage)
    Assist.objects.update(until=timezone.now())
    tasks.look_after()
    assert Assist.objects.get(pk=assist.pk).state == "expired"
    tasks.look_after()
    assert AssistEvent.objects.filter(kind="expired").count() == 1
