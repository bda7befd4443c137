"""The console's page as the server draws it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisor.states import State
from machines.models import Grant, GrantRole, Host, Machine
from tests.cast import ClientOf


def page_of(client: Client, machine: Machine, query: str = "") -> str:
    answer = client.get(f"/machines/{machine.uuid}/console/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_owner_gets_control_and_may_ask_for_less(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    page = page_of(client, machine)
    assert 'data-console="vnc" data-connection="connecting" data-mode="control"' in page
    assert f'data-machine="{machine.uuid}" data-state="running"' in page
    assert 'data-mode="view"' in page_of(client, machine, "?mode=view")
    assert 'data-mode="control"' in page_of(client, machine, "?mode=nonsense")


def test_a_machine_without_a_display_gets_its_serial_console(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    Machine.objects.update(graphics=[], has_serial=True)
    page = page_of(client_of(owner), machine)
    assert 'data-console="serial"' in page
    assert "vendor/xterm/css/xterm" in page
    Machine.objects.update(graphics=["spice"])
    assert 'data-console="spice"' in page_of(client_of(owner), machine)
    assert 'data-console="serial"' in page_of(client_of(owner), machine, "?protocol=serial")


def test_viewer_gets_a_page_to_look_at_which_may_get_more_later(
    client_of: ClientOf, viewer: User, machine: Machine
) -> None:
    page = page_of(client_of(viewer), machine)
    assert 'data-mode="view" data-wanted-mode="control"' in page


def test_operator_gets_control(client_of: ClientOf, stranger: User, machine: Machine) -> None:
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    assert 'data-mode="control"' in page_of(client_of(stranger), machine)


def test_stranger_gets_404(client_of: ClientOf, stranger: User, machine: Machine) -> None:
    assert client_of(stranger).get(f"/machines/{machine.uuid}/console/").status_code == 404


def test_helpdesk_gets_403(client_of: ClientOf, helpdesk: User, machine: Machine) -> None:
    assert client_of(helpdesk).get(f"/machines/{machine.uuid}/console/").status_code == 403


def test_nobody_is_sent_to_sign_in(client: Client, machine: Machine) -> None:
    address = f"/machines/{machine.uuid}/console/"
    answer = client.get(address)
    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={address}")


def test_page_is_only_read(client_of: ClientOf, owner: User, machine: Machine) -> None:
    assert client_of(owner).post(f"/machines/{machine.uuid}/console/").status_code == 405


def test_no_script_or_style_stands_in_the_page(client_of: ClientOf, owner: User, machine: Machine) -> None:
    page = page_of(client_of(owner), machine)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    for attributes in re.findall(r"<script([^>]*)>", page):
        assert "src=" in attributes or 'type="application/json"' in attributes


def test_a_name_and_title_that_someone_else_chose_are_only_text(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    Machine.objects.update(name="<script>alert(1)</script>", title='"><img src=x onerror=alert(1)>')
    page = page_of(client_of(owner), machine)
    assert "<script>alert" not in page
    assert "<img" not in page


@pytest.mark.parametrize("state", list(State))
def test_page_stands_in_every_state(client_of: ClientOf, owner: User, machine: Machine, state: State) -> None:
    Machine.objects.update(state=state)
    assert f'data-state="{state}"' in page_of(client_of(owner), machine)


def test_page_costs_few_queries(
    client_of: ClientOf, owner: User, machine: Machine, django_assert_max_num_queries
) -> None:
    client = client_of(owner)
    with django_assert_max_num_queries(10):
        page_of(client, machine)


def asked_early(page: str) -> dict[str, str]:
    """Return what the page's head lets the browser ask for before all else."""
    found = re.search(r'<meta name="console-picture"([^>]*)>', page)
    return dict(re.findall(r'data-(\w+)="([^"]*)"', found[1])) if found else {}


def test_head_of_the_page_says_what_to_connect_to_at_once(
    client_of: ClientOf, owner: User, viewer: User, machine: Machine
) -> None:
    Machine.objects.update(graphics=["vnc", "spice"])
    at_once = {"of": str(machine.uuid), "displays": "vnc spice pictures", "mode": "control"}
    assert asked_early(page_of(client_of(owner), machine)) == at_once
    assert asked_early(page_of(client_of(viewer), machine)) == at_once | {"mode": "view"}
    assert asked_early(page_of(client_of(owner), machine, "?protocol=spice")) == at_once | {"displays": "spice"}


def test_nothing_is_asked_at_once_where_there_is_no_picture(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    Machine.objects.update(state=State.SHUTOFF)
    assert asked_early(page_of(client, machine)) == {}
    Machine.objects.update(state=State.RUNNING, graphics=[])
    assert asked_early(page_of(client, machine)) == {}
    Machine.objects.update(graphics=["vnc"])
    Host.objects.update(reachable=False)
    assert asked_early(page_of(client, machine)) == {}


def test_one_place_of_the_page_is_the_machine(client_of: ClientOf, owner: User, machine: Machine) -> None:
    assert page_of(client_of(owner), machine).count(f'data-machine="{machine.uuid}"') == 1


def test_machine_page_lets_the_browser_fetch_the_console_ahead(
    client_of: ClientOf, owner: User, helpdesk: User, machine: Machine
) -> None:
    def ahead(user: User) -> set[str]:
        page = client_of(user).get(f"/machines/{machine.uuid}/").content.decode()
        return set(re.findall(r'<link rel="prefetch" href="([^"]*)"', page))

    needed = set(re.findall(r'<link rel="modulepreload" href="([^"]*)"', page_of(client_of(owner), machine)))
    assert len(needed) > 20
    assert needed < ahead(owner)
    assert ahead(helpdesk) == set()
    Machine.objects.update(state=State.SHUTOFF)
    assert ahead(owner) == set()
