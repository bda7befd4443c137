"""Why an operation is not possible: the order in which reasons are given, and what variants change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypervisor.states import State
from machines.access import Right
from machines.models import Machine
from machines.operation_table import SUGGESTED, TABLE, Fact, Place
from machines.refusals import MISSING, Refusal, facts_of, refusal
from machines.state_words import STATE_MEANINGS, STATE_WORDS

SAVE, DEFINE, DESTROY, SUSPEND = (TABLE[name] for name in ("save", "define", "destroy", "suspend"))
FINE = {"state": State.RUNNING, "right": Right.ADMIN, "host_reachable": True}


def code_of(found: Refusal | None) -> str:
    return found.code.value if found else ""


def test_reasons_come_in_one_order_the_right_first():
    wrong = {
        "right": Right.VIEW,
        "host_reachable": False,
        "in_the_way": SUSPEND,
        "state": State.SHUTOFF,
        "facts": frozenset(),
    }
    fixed = [("right", Right.OPERATE), ("host_reachable", True), ("in_the_way", None), ("state", State.RUNNING)]
    codes = [code_of(refusal(SAVE, **wrong))]
    for name, value in fixed:
        wrong[name] = value
        codes.append(code_of(refusal(SAVE, **wrong)))
    assert codes == ["forbidden", "host_unreachable", "operation_conflict", "state_conflict", "state_conflict"]
    assert refusal(SAVE, **wrong).sentence == "It is transient: its host keeps no definition of it."
    assert refusal(SAVE, **wrong | {"facts": {Fact.PERSISTENT}}) is None


def test_a_parameter_changes_what_is_needed():
    assert refusal(SAVE, **FINE, facts=(), given={"file": "one"}) is None
    assert code_of(refusal(SAVE, **FINE, facts=(), given={"file": ""})) == "state_conflict"
    assert code_of(refusal(SAVE, **FINE, facts=(), given={})) == "state_conflict"


def test_a_parameter_changes_the_states_and_the_right():
    owner = {**FINE, "right": Right.OWN}
    assert refusal(DEFINE, **owner | {"state": State.UNDEFINED}) is None
    assert code_of(refusal(DEFINE, **owner)) == "state_conflict"
    assert refusal(DEFINE, **FINE, given={"xml": "<domain/>"}) is None
    told = refusal(DEFINE, **owner, given={"xml": "<domain/>"})
    assert (told.code, told.sentence) == ("forbidden", "You need the right “admin” on this machine.")


def test_a_variant_without_a_right_of_its_own_keeps_the_kinds():
    assert SAVE.variant({"file": "one"}).right == SAVE.right == Right.OPERATE
    assert replace(SAVE, right=Right.OWN).variant({"file": "one"}).right == Right.OWN


@pytest.mark.parametrize(("state", "possible"), [(State.RUNNING, ""), (State.SHUTOFF, "state_conflict")])
def test_force_off_gets_past_all_but_another_one(state, possible):
    asked = {**FINE, "state": state}
    assert code_of(refusal(DESTROY, **asked, in_the_way=SAVE)) == possible
    assert code_of(refusal(DESTROY, **asked, in_the_way=DESTROY)) == "operation_conflict"


def test_facts_are_what_the_row_says():
    assert facts_of(Machine(persistent=False)) == frozenset()
    full = Machine(persistent=True, has_saved_image=True, saved_file_count=2, agent_connected=True)
    assert facts_of(full) == set(Fact)


def test_every_fact_has_its_sentence_and_every_state_its_words_and_meaning():
    assert set(MISSING) == set(Fact)
    assert set(STATE_WORDS) == set(STATE_MEANINGS) == set(SUGGESTED) == set(State)
    assert len({str(meaning) for meaning in STATE_MEANINGS.values()}) == len(State)


@pytest.mark.parametrize("state", State)
def test_what_is_suggested_in_a_state_is_possible_in_it(state):
    assert [name for name in SUGGESTED[state] if state not in TABLE[name].states] == []


def test_what_is_asked_on_a_page_of_its_own_names_the_page():
    assert {kind.name for kind in TABLE.values() if kind.place is Place.FORM and not kind.url} == set()
    assert {kind.name for kind in TABLE.values() if kind.place is not Place.FORM and kind.url} == set()
