"""The console's page as the server draws it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisor.states import State
from machines.models import Grant, GrantRole, Machine
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
