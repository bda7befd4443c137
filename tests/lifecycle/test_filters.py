"""The controls of the list's filters: one for each, offered where there is a choice, and true to the address."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from lxml.html import HtmlElement

from hypervisor.states import State
from lifecycle.list_page import FLAG_WORDS
from machines.listing import FLAGS, SORTS
from machines.models import Grant, GrantRole, Host
from machines.state_words import STATE_WORDS
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.pages import names, one, page, text


def options(tree: HtmlElement, name: str) -> dict[str, str]:
    """The choices of a menu of the filter form, by value; empty when there is no such menu."""
    found = tree.cssselect(f"[data-filter-form] select[name={name}] option")
    return {option.get("value", option.text): text(option) for option in found}


def chosen(tree: HtmlElement, name: str) -> list[str]:
    return [
        option.get("value", option.text)
        for option in tree.cssselect(f"[data-filter-form] select[name={name}] option[selected]")
    ]


def test_every_state_has_a_box_and_keeps_its_tick(client_of: ClientOf, owner: User, make_machine: MakeMachine) -> None:
    make_machine("crash", owner=owner, state=State.CRASHED)
    make_machine("asleep", owner=owner, state=State.PMSUSPENDED)
    make_machine("off", owner=owner, state=State.SHUTOFF)
    tree = page(client_of(owner), "/?state=crashed&state=pmsuspended")
    boxes = tree.cssselect("[data-filter-form] input[type=checkbox][name=state]")
    assert [(box.get("value"), text(box.getparent())) for box in boxes] == [
        (state.value, str(word)) for state, word in STATE_WORDS.items()
    ]
    assert [box.get("value") for box in boxes if box.get("checked") is not None] == ["crashed", "pmsuspended"]
    assert names(tree) == ["asleep", "crash"]
    assert [text(chip) for chip in tree.cssselect(".chip")] == ["crashed", "asleep"]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("wanted", ["1", "0"])
def test_every_flag_has_a_menu_and_a_chip_that_takes_it_back(
    client_of: ClientOf, owner: User, make_machine: MakeMachine, flag: str, wanted: str
) -> None:
    field = "snapshot_count" if flag == "has_snapshot" else flag
    make_machine("with", owner=owner, **{field: 1 if flag == "has_snapshot" else True})
    make_machine("without", owner=owner, **{field: 0 if flag == "has_snapshot" else False})
    tree = page(client_of(owner), f"/?{flag}={wanted}")
    yes, no = map(str, FLAG_WORDS[flag])
    assert options(tree, flag) == {"": "any", "1": yes, "0": no}
    assert chosen(tree, flag) == [wanted]
    assert names(tree) == [{"1": "with", "0": "without"}[wanted]]
    chip = one(tree, ".chip")
    assert text(chip) == {"1": yes, "0": no}[wanted]
    assert names(page(client_of(owner), f"/{chip.get('href')}")) == ["with", "without"]


def test_hosts_and_owners_are_offered_where_there_is_a_choice(
    client_of: ClientOf, owner: User, viewer: User, make_machine: MakeMachine
) -> None:
    make_machine("mine", owner=owner)
    alone = page(client_of(owner), "/")
    assert (options(alone, "host"), options(alone, "owner")) == ({}, {})
    shown = make_machine("shown", owner=viewer, host=Host.objects.create(name="host-2", uri="test:///2"))
    Grant.objects.create(machine=shown, user=owner, role=GrantRole.VIEWER)
    make_machine("hidden", owner=viewer, host=Host.objects.create(name="secret", uri="test:///3"))
    both = page(client_of(owner), "/?host=host-2&owner=viewer")
    assert set(options(both, "host")) == {"", "host-1", "host-2"}
    assert set(options(both, "owner")) == {"", "owner", "viewer"}
    assert (names(both), chosen(both, "host"), chosen(both, "owner")) == (["shown"], ["host-2"], ["viewer"])
    assert "secret" not in both.text_content()


def test_a_filter_in_force_keeps_its_control(client_of: ClientOf, owner: User, make_machine: MakeMachine) -> None:
    make_machine("mine", owner=owner)
    tree = page(client_of(owner), "/?host=elsewhere")
    assert options(tree, "host") == {"": "any", "host-1": "host-1"}
    assert text(one(tree, ".chip")) == "host: elsewhere"


def test_helpdesk_and_administrators_type_an_owner_or_take_one_offered(
    client_of: ClientOf, helpdesk: User, owner: User, stranger: User, make_machine: MakeMachine
) -> None:
    make_machine("nobodys")
    make_machine("owned", owner=owner)
    tree = page(client_of(helpdesk), "/?owner=-")
    assert one(tree, "input[name=owner]").get("value") == "-"
    offered = {option.get("value"): text(option) for option in tree.cssselect("datalist#owners option")}
    assert offered == {"owner": "", "-": "nobody"}  # a stranger owns nothing
    assert names(tree) == ["nobodys"]
    assert text(one(tree, ".chip")) == "owner: nobody"


def test_every_order_can_be_chosen_without_the_heads_of_the_table(
    client_of: ClientOf, owner: User, make_machine: MakeMachine
) -> None:
    make_machine("small", owner=owner, memory_bytes=1)
    make_machine("large", owner=owner, memory_bytes=2)
    tree = page(client_of(owner), "/?sort=-memory")
    offered = set(options(tree, "sort")) - {""} | {"name"}
    assert offered == {*SORTS, *(f"-{name}" for name in SORTS)}
    assert (chosen(tree, "sort"), names(tree)) == (["-memory"], ["large", "small"])
    assert chosen(page(client_of(owner), "/"), "sort") == [""]


def test_names_in_filters_are_text_and_never_markup(
    client_of: ClientOf, owner: User, make_machine: MakeMachine
) -> None:
    make_machine("mine", owner=owner)
    tree = page(client_of(owner), "/?host=%3Cscript%3Ealert(1)%3C/script%3E&owner=%22%3E%3Cimg%20src=x%3E")
    assert not tree.cssselect("main img") and not [script for script in tree.cssselect("main script") if script.text]
