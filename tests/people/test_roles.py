"""The roles beside owning machines."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import call_command

from people.roles import HELPDESK_GROUP, is_administrator, is_helpdesk


def test_helpdesk_group_is_there_after_migrating(db: None) -> None:
    assert Group.objects.filter(name=HELPDESK_GROUP).count() == 1


@pytest.mark.django_db(transaction=True)
def test_helpdesk_group_comes_back_after_a_flush() -> None:
    call_command("flush", interactive=False, verbosity=0)
    assert Group.objects.filter(name=HELPDESK_GROUP).exists()


def test_each_role_is_what_it_says(owner: User, helpdesk: User, admin: User) -> None:
    people = {"owner": owner, "helpdesk": helpdesk, "admin": admin}
    assert [name for name, person in people.items() if is_helpdesk(person)] == ["helpdesk"]
    assert [name for name, person in people.items() if is_administrator(person)] == ["admin"]
    assert not is_helpdesk(AnonymousUser())
    assert not is_administrator(AnonymousUser())


def test_disabled_people_have_no_role(helpdesk: User, admin: User) -> None:
    helpdesk.is_active = admin.is_active = False
    assert not is_helpdesk(helpdesk)
    assert not is_administrator(admin)
