"""Asking for operations by a page, and the pages that tell how they went, without scripts."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from lxml import html
from lxml.html import HtmlElement

from lifecycle.models import Operation, Status
from machines.models import Host, Machine
from machines.operation_table import TABLE
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.conftest import MakeOperation
from tests.lifecycle.pages import machine_url, messages, one, operation_url, page, text

# Asking


def test_an_owner_asks_without_scripts_and_is_told(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    response = client.post(operation_url(machine, "shutdown"), {"next": "/?q=mach"})
    assert (response.status_code, response["Location"]) == (302, "/?q=mach")
    operation = Operation.objects.get()
    assert (operation.kind, operation.requested_by, operation.parameters) == ("shutdown", owner, {"mode": "default"})
    assert "“Shut down” is on its way" in messages(client)


def test_the_way_of_shutting_down_may_be_chosen(client_of: ClientOf, operator: User, machine: Machine) -> None:
    client_of(operator).post(operation_url(machine, "shutdown"), {"mode": "agent"})
    assert Operation.objects.get().parameters == {"mode": "agent"}


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "", "\\\\evil"])
def test_going_on_never_leaves_the_portal(client_of: ClientOf, owner: User, machine: Machine, wanted: str) -> None:
    response = client_of(owner).post(operation_url(machine, "shutdown"), {"next": wanted})
    assert response["Location"] == machine_url(machine)


def test_what_destroys_is_asked_once_and_names_what_is_lost(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    response = client.post(operation_url(machine, "destroy"), {"next": "/"})
    tree = html.fromstring(response.content.decode())
    assert (response.status_code, Operation.objects.count()) == (200, 0)
    assert "machine stops at once" in text(one(tree, ".confirm"))
    form = one(tree, ".confirm form")
    fields = {field.get("name"): field.get("value") for field in form.cssselect("input")}
    response = client.post(form.get("action"), fields)
    assert (response.status_code, response["Location"], Operation.objects.get().kind) == (302, "/", "destroy")


def test_what_loses_nothing_is_not_asked(client_of: ClientOf, owner: User, machine: Machine) -> None:
    assert client_of(owner).post(operation_url(machine, "save")).status_code == 302
    assert Operation.objects.get().kind == "save"


@pytest.mark.parametrize("kind", TABLE)
def test_viewers_and_helpdesk_may_not_ask(
    client_of: ClientOf, viewer: User, helpdesk: User, machine: Machine, kind: str
) -> None:
    for person in (viewer, helpdesk):
        tree = page_after_post(client_of(person), operation_url(machine, kind), {"confirm": "1"}, 403)
        assert f"“{TABLE[kind].right.word}”" in text(one(tree, ".empty"))
    assert not Operation.objects.exists()


def page_after_post(client: Client, url: str, data: dict[str, str], status: int) -> HtmlElement:
    response = client.post(url, data)
    assert response.status_code == status
    return html.fromstring(response.content.decode())


def test_an_unknown_operation_is_404(client_of: ClientOf, owner: User, machine: Machine) -> None:
    assert client_of(owner).post(operation_url(machine, "explode")).status_code == 404


def test_a_wrong_state_is_told(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    assert client.post(operation_url(machine, "start")).status_code == 302
    assert "The machine is running" in messages(client)
    assert not Operation.objects.exists()


def test_an_unreachable_host_is_told(client_of: ClientOf, owner: User, machine: Machine, host: Host) -> None:
    Host.objects.filter(pk=host.pk).update(reachable=False)
    client = client_of(owner)
    client.post(operation_url(machine, "shutdown"))
    assert "does not answer" in messages(client)


def test_a_second_operation_is_told_of_the_first(
    client_of: ClientOf, owner: User, machine: Machine, make_operation: MakeOperation
) -> None:
    make_operation()
    client = client_of(owner)
    client.post(operation_url(machine, "shutdown"))
    assert "Another operation is in the way: Saving." in messages(client)


# Operations


def test_an_operation_page_tells_how_it_went(client_of: ClientOf, viewer: User, make_operation: MakeOperation) -> None:
    now = timezone.now()
    operation = make_operation(
        status=Status.FAILED,
        message="The machine's host is full.",
        error_code="no_space",
        error_text="internal error: ENOSPC",
        started_at=now,
        finished_at=now,
    )
    tree = page(client_of(viewer), operation.get_absolute_url())
    assert text(tree.cssselect("[data-op=status]")[0]) == "failed"
    assert text(one(tree, "[data-op-message]")) == "The machine's host is full."
    assert text(one(tree, "details [data-op=error-text]")) == "internal error: ENOSPC"
    assert "Asked by owner" in text(one(tree, "[data-op-log]"))
    assert one(tree, "[data-op-open]").get("hidden") is not None


def test_an_operation_that_the_portal_asked_says_so(
    client_of: ClientOf, admin: User, make_operation: MakeOperation
) -> None:
    operation = make_operation(requested_by=None, asked_by_portal=True)
    tree = page(client_of(admin), operation.get_absolute_url())
    assert "Asked by the portal itself" in text(one(tree, "[data-op-log]"))
    assert text(one(page(client_of(admin), "/operations/"), "[data-operation-row] .c-who")) == "the portal"
    filtered = reverse("admin:lifecycle_operation_changelist") + "?asked_by_portal__exact=1"
    assert len(page(client_of(admin), filtered).cssselect("#result_list tbody tr")) == 1


def test_an_operation_survives_the_person_who_asked(
    client_of: ClientOf, admin: User, make_operation: MakeOperation
) -> None:
    operation = make_operation(requested_by=None, kind="gone-from-the-table")
    tree = page(client_of(admin), operation.get_absolute_url())
    assert "Asked by someone who is gone" in text(one(tree, "[data-op-log]"))
    assert len(page(client_of(admin), "/operations/").cssselect("[data-operation-row]")) == 1


def test_an_owner_cancels_without_scripts(client_of: ClientOf, owner: User, make_operation: MakeOperation) -> None:
    operation = make_operation(status=Status.QUEUED)
    response = client_of(owner).post(reverse("lifecycle:cancel", args=[operation.pk]))
    assert (response.status_code, response["Location"]) == (302, operation.get_absolute_url())
    operation.refresh_from_db()
    assert operation.status == Status.CANCELLED


def test_viewers_may_not_cancel(client_of: ClientOf, viewer: User, make_operation: MakeOperation) -> None:
    operation, client = make_operation(), client_of(viewer)
    client.post(reverse("lifecycle:cancel", args=[operation.pk]))
    assert "“operator”" in messages(client)
    operation.refresh_from_db()
    assert not operation.cancel_requested


def test_the_list_of_operations_is_filtered_by_status_machine_and_person(
    client_of: ClientOf,
    owner: User,
    admin: User,
    machine: Machine,
    make_machine: MakeMachine,
    make_operation: MakeOperation,
) -> None:
    done = make_operation(status=Status.SUCCEEDED, finished_at=timezone.now())
    failed = make_operation(status=Status.FAILED, requested_by=admin)
    other = make_operation(machine=make_machine("other", owner=owner))
    client = client_of(owner)

    def rows(query: str) -> list[int]:
        return [
            int(row.get("data-operation-row")) for row in page(client, f"/operations/{query}").cssselect("tbody tr")
        ]

    assert rows("") == [other.pk, failed.pk, done.pk]
    assert rows("?status=succeeded&status=failed") == [failed.pk, done.pk]
    assert rows(f"?machine={machine.uuid}") == [failed.pk, done.pk]
    assert rows("?by=me") == [other.pk, done.pk]
    chips = page(client, f"/operations/?status=failed&machine={machine.uuid}&by=me").cssselect(".chip")
    assert sorted(text(chip) for chip in chips) == ["asked by me", "failed", "machine: machine"]


def test_the_list_of_operations_goes_by_pages(client_of: ClientOf, owner: User, make_operation: MakeOperation) -> None:
    for _ in range(53):
        make_operation(status=Status.SUCCEEDED)
    first = page(client_of(owner), "/operations/?status=succeeded")
    assert len(first.cssselect("tbody tr")) == 50
    older = page(client_of(owner), f"/operations/{one(first, 'a[rel=next]').get('href')}")
    assert (len(older.cssselect("tbody tr")), older.cssselect("a[rel=next]")) == (3, [])


def test_a_number_no_operation_can_have_is_404(client_of: ClientOf, admin: User) -> None:
    assert client_of(admin).get(f"/operations/{10**30}/").status_code == 404
