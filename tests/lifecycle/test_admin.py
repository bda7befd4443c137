"""Operations in the admin: everything is shown, nothing can be changed."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.urls import reverse

from lifecycle.models import Operation
from machines.models import Machine
from tests.cast import ClientOf
from tests.lifecycle.conftest import Ask

LIST = "admin:lifecycle_operation_changelist"


def test_admin_finds_operations(client_of: ClientOf, admin: User, machine: Machine, ask: Ask) -> None:
    row = ask(machine, "save")
    browser = client_of(admin)
    page = browser.get(reverse(LIST), {"q": "machine", "status__exact": "queued", "kind": "save"})
    assert page.status_code == 200
    assert list(page.context["cl"].queryset) == [row]
    page = browser.get(reverse("admin:lifecycle_operation_change", args=[row.pk]))
    assert page.status_code == 200


def test_admin_can_neither_add_change_nor_delete_operations(
    client_of: ClientOf, admin: User, machine: Machine, ask: Ask
) -> None:
    row = ask(machine, "save")
    browser = client_of(admin)
    assert browser.post(reverse("admin:lifecycle_operation_add")).status_code == 403
    assert browser.post(reverse("admin:lifecycle_operation_change", args=[row.pk]), {"kind": "x"}).status_code == 403
    assert browser.post(reverse("admin:lifecycle_operation_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert Operation.objects.get().version == row.version


def test_others_are_sent_to_the_login(client_of: ClientOf, owner: User, helpdesk: User) -> None:
    for person in (owner, helpdesk):
        assert client_of(person).get(reverse(LIST)).status_code == 302
