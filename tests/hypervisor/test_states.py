"""Every pair of libvirt's state and reason, with the portal's facts, is one of the ten states: written out here."""

from __future__ import annotations

import itertools

import libvirt
import pytest

from hypervisor.states import REASONS, DomainState, PortalFacts, State, Verdict, reason_word, state_of

EVERY_PAIR = """
             |                  | no fact     | quiet       | asked       | overdue | saved image
NOSTATE      | unknown          | running     | idle        | shutdown    | dying   | running
RUNNING      | unknown          | running     | idle        | shutdown    | dying   | running
RUNNING      | booted           | running     | idle        | shutdown    | dying   | running
RUNNING      | migrated         | running     | idle        | shutdown    | dying   | running
RUNNING      | restored         | running     | idle        | shutdown    | dying   | running
RUNNING      | from snapshot    | running     | idle        | shutdown    | dying   | running
RUNNING      | unpaused         | running     | idle        | shutdown    | dying   | running
RUNNING      | migration canceled | running   | idle        | shutdown    | dying   | running
RUNNING      | save canceled    | running     | idle        | shutdown    | dying   | running
RUNNING      | wakeup           | running     | idle        | shutdown    | dying   | running
RUNNING      | crashed          | running     | idle        | shutdown    | dying   | running
RUNNING      | post-copy        | running     | idle        | shutdown    | dying   | running
RUNNING      | post-copy failed | running     | idle        | shutdown    | dying   | running
BLOCKED      | unknown          | idle        | idle        | shutdown    | dying   | idle
PAUSED       | unknown          | paused      | paused      | paused      | dying   | paused
PAUSED       | user             | paused      | paused      | paused      | dying   | paused
PAUSED       | migration        | paused      | paused      | paused      | dying   | paused
PAUSED       | save             | paused      | paused      | paused      | dying   | paused
PAUSED       | dump             | paused      | paused      | paused      | dying   | paused
PAUSED       | I/O error        | paused      | paused      | paused      | dying   | paused
PAUSED       | watchdog         | paused      | paused      | paused      | dying   | paused
PAUSED       | from snapshot    | paused      | paused      | paused      | dying   | paused
PAUSED       | shutting down    | dying       | dying       | dying       | dying   | dying
PAUSED       | snapshot         | paused      | paused      | paused      | dying   | paused
PAUSED       | crashed          | crashed     | crashed     | crashed     | crashed | crashed
PAUSED       | starting up      | paused      | paused      | paused      | dying   | paused
PAUSED       | post-copy        | paused      | paused      | paused      | dying   | paused
PAUSED       | post-copy failed | paused      | paused      | paused      | dying   | paused
PAUSED       | api error        | paused      | paused      | paused      | dying   | paused
SHUTDOWN     | unknown          | shutdown    | shutdown    | shutdown    | dying   | shutdown
SHUTDOWN     | user             | shutdown    | shutdown    | shutdown    | dying   | shutdown
SHUTOFF      | unknown          | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | shutdown         | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | destroyed        | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | crashed          | crashed     | crashed     | crashed     | crashed | saved
SHUTOFF      | migrated         | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | saved            | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | failed           | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | from snapshot    | shutoff     | shutoff     | shutoff     | shutoff | saved
SHUTOFF      | daemon           | shutoff     | shutoff     | shutoff     | shutoff | saved
CRASHED      | unknown          | crashed     | crashed     | crashed     | crashed | crashed
CRASHED      | panicked         | crashed     | crashed     | crashed     | crashed | crashed
PMSUSPENDED  | unknown          | pmsuspended | pmsuspended | pmsuspended | dying   | pmsuspended
"""

FACTS_TOGETHER = """
             |                  | quiet+asked | quiet+overdue | asked+overdue | quiet+asked+overdue
NOSTATE      | unknown          | shutdown    | dying         | dying         | dying
RUNNING      | booted           | shutdown    | dying         | dying         | dying
BLOCKED      | unknown          | shutdown    | dying         | dying         | dying
PAUSED       | user             | paused      | dying         | dying         | dying
PAUSED       | shutting down    | dying       | dying         | dying         | dying
PAUSED       | crashed          | crashed     | crashed       | crashed       | crashed
SHUTDOWN     | user             | shutdown    | dying         | dying         | dying
SHUTOFF      | shutdown         | shutoff     | shutoff       | shutoff       | shutoff
SHUTOFF      | crashed          | crashed     | crashed       | crashed       | crashed
CRASHED      | panicked         | crashed     | crashed       | crashed       | crashed
PMSUSPENDED  | unknown          | pmsuspended | dying         | dying         | dying
"""

LIBVIRT_WORDS = {
    "VIR_DOMAIN_NOSTATE_UNKNOWN": "unknown",
    "VIR_DOMAIN_RUNNING_UNKNOWN": "unknown",
    "VIR_DOMAIN_RUNNING_BOOTED": "booted",
    "VIR_DOMAIN_RUNNING_MIGRATED": "migrated",
    "VIR_DOMAIN_RUNNING_RESTORED": "restored",
    "VIR_DOMAIN_RUNNING_FROM_SNAPSHOT": "from snapshot",
    "VIR_DOMAIN_RUNNING_UNPAUSED": "unpaused",
    "VIR_DOMAIN_RUNNING_MIGRATION_CANCELED": "migration canceled",
    "VIR_DOMAIN_RUNNING_SAVE_CANCELED": "save canceled",
    "VIR_DOMAIN_RUNNING_WAKEUP": "wakeup",
    "VIR_DOMAIN_RUNNING_CRASHED": "crashed",
    "VIR_DOMAIN_RUNNING_POSTCOPY": "post-copy",
    "VIR_DOMAIN_RUNNING_POSTCOPY_FAILED": "post-copy failed",
    "VIR_DOMAIN_BLOCKED_UNKNOWN": "unknown",
    "VIR_DOMAIN_PAUSED_UNKNOWN": "unknown",
    "VIR_DOMAIN_PAUSED_USER": "user",
    "VIR_DOMAIN_PAUSED_MIGRATION": "migration",
    "VIR_DOMAIN_PAUSED_SAVE": "save",
    "VIR_DOMAIN_PAUSED_DUMP": "dump",
    "VIR_DOMAIN_PAUSED_IOERROR": "I/O error",
    "VIR_DOMAIN_PAUSED_WATCHDOG": "watchdog",
    "VIR_DOMAIN_PAUSED_FROM_SNAPSHOT": "from snapshot",
    "VIR_DOMAIN_PAUSED_SHUTTING_DOWN": "shutting down",
    "VIR_DOMAIN_PAUSED_SNAPSHOT": "snapshot",
    "VIR_DOMAIN_PAUSED_CRASHED": "crashed",
    "VIR_DOMAIN_PAUSED_STARTING_UP": "starting up",
    "VIR_DOMAIN_PAUSED_POSTCOPY": "post-copy",
    "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED": "post-copy failed",
    "VIR_DOMAIN_PAUSED_API_ERROR": "api error",
    "VIR_DOMAIN_SHUTDOWN_UNKNOWN": "unknown",
    "VIR_DOMAIN_SHUTDOWN_USER": "user",
    "VIR_DOMAIN_SHUTOFF_UNKNOWN": "unknown",
    "VIR_DOMAIN_SHUTOFF_SHUTDOWN": "shutdown",
    "VIR_DOMAIN_SHUTOFF_DESTROYED": "destroyed",
    "VIR_DOMAIN_SHUTOFF_CRASHED": "crashed",
    "VIR_DOMAIN_SHUTOFF_MIGRATED": "migrated",
    "VIR_DOMAIN_SHUTOFF_SAVED": "saved",
    "VIR_DOMAIN_SHUTOFF_FAILED": "failed",
    "VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT": "from snapshot",
    "VIR_DOMAIN_SHUTOFF_DAEMON": "daemon",
    "VIR_DOMAIN_CRASHED_UNKNOWN": "unknown",
    "VIR_DOMAIN_CRASHED_PANICKED": "panicked",
    "VIR_DOMAIN_PMSUSPENDED_UNKNOWN": "unknown",
}
"""The word for each number that libvirt has a name for; no other place maps names to words."""

SHUTDOWN_FLAGS = {
    "VIR_DOMAIN_SHUTDOWN_DEFAULT",
    "VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN",
    "VIR_DOMAIN_SHUTDOWN_GUEST_AGENT",
    "VIR_DOMAIN_SHUTDOWN_INITCTL",
    "VIR_DOMAIN_SHUTDOWN_SIGNAL",
    "VIR_DOMAIN_SHUTDOWN_PARAVIRT",
}
"""These share a prefix with the reasons of the state SHUTDOWN, and are none."""

NEWER_NUMBERS = {"VIR_DOMAIN_PAUSED_API_ERROR": 14}
"""Of reasons that libvirt 9.0 does not name yet, from libvirt 9.2."""


def table(text: str) -> list[tuple[DomainState, str, dict[str, State]]]:
    heads, *rows = [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").splitlines()]
    return [
        (DomainState[state], word, {head: State(cell) for head, cell in zip(heads[2:], cells, strict=True)})
        for state, word, *cells in rows
    ]


def facts(head: str) -> PortalFacts:
    names = head.split("+")
    return PortalFacts(quiet="quiet" in names, shutdown_asked="asked" in names, overdue="overdue" in names)


@pytest.mark.parametrize(("state", "word", "expected"), table(EVERY_PAIR), ids=str)
def test_each_state_and_reason_has_one_of_the_ten_states(
    state: DomainState, word: str, expected: dict[str, State]
) -> None:
    reason = REASONS[state].index(word)
    for head, wanted in expected.items():
        verdict = state_of(state, reason, has_saved_image=head == "saved image", facts=facts(head))
        assert verdict == Verdict(wanted, word), head


@pytest.mark.parametrize(("state", "word", "expected"), table(FACTS_TOGETHER), ids=str)
def test_several_facts_at_once_have_an_order(state: DomainState, word: str, expected: dict[str, State]) -> None:
    reason = REASONS[state].index(word)
    for head, wanted in expected.items():
        assert state_of(state, reason, has_saved_image=False, facts=facts(head)).state == wanted, head


def test_the_table_has_every_pair_once() -> None:
    pairs = [(state, word) for state, word, _expected in table(EVERY_PAIR)]
    assert pairs == [(state, word) for state in DomainState for word in REASONS[state]]


def test_a_saved_image_outweighs_every_fact_of_a_domain_that_is_off() -> None:
    for quiet, asked, overdue in itertools.product([False, True], repeat=3):
        facts = PortalFacts(quiet=quiet, shutdown_asked=asked, overdue=overdue)
        assert state_of(DomainState.SHUTOFF, 5, has_saved_image=True, facts=facts).state is State.SAVED


def test_a_saved_image_changes_nothing_for_a_domain_that_is_not_off() -> None:
    for state, word, expected in table(EVERY_PAIR):
        for head in ("no fact", "quiet", "asked", "overdue"):
            if state is not DomainState.SHUTOFF:
                reason = REASONS[state].index(word)
                assert state_of(state, reason, has_saved_image=True, facts=facts(head)).state == expected[head]


@pytest.mark.parametrize("reason", [-1, 99])
def test_a_reason_newer_than_the_table_is_unknown(reason: int) -> None:
    for state in DomainState:
        assert reason_word(state, reason) == "unknown"
        assert state_of(state, reason, has_saved_image=False, facts=PortalFacts()).reason == "unknown"


def test_states_are_libvirts_number_for_number() -> None:
    assert {state.name: state.value for state in DomainState} == {
        state.name: getattr(libvirt, f"VIR_DOMAIN_{state.name}") for state in DomainState
    }


@pytest.mark.parametrize("name", LIBVIRT_WORDS)
def test_each_reason_is_libvirts_number_for_number(name: str) -> None:
    state = next(state for state in DomainState if name.startswith(f"VIR_DOMAIN_{state.name}_"))
    number = getattr(libvirt, name, NEWER_NUMBERS.get(name))
    assert REASONS[state][number] == LIBVIRT_WORDS[name]


def test_no_reason_of_libvirt_is_missing() -> None:
    known = {
        name
        for name, state in itertools.product(dir(libvirt), DomainState)
        if name.startswith(f"VIR_DOMAIN_{state.name}_") and not name.endswith("_LAST")
    }
    assert known - SHUTDOWN_FLAGS - {"VIR_DOMAIN_PMSUSPENDED_DISK_UNKNOWN"} <= LIBVIRT_WORDS.keys()
    assert len(LIBVIRT_WORDS) == sum(len(words) for words in REASONS.values())
