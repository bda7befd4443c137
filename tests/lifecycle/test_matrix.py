"""The page of states and operations is the table's."""

from __future__ import annotations

from kvmportal.environment import ROOT
from tests.lifecycle import matrix
from tests.lifecycle.allowed import ALLOWED, ASKS, STATE_WORDS


def test_the_page_of_states_and_operations_is_what_the_table_says() -> None:
    written = (ROOT / "docs" / "states-and-operations.md").read_text()
    assert written == matrix.page(), "run: python -m tests.lifecycle.matrix >docs/states-and-operations.md"


def test_the_page_has_a_dot_for_every_allowed_cell() -> None:
    lines = [line for line in matrix.page().splitlines() if line.count("|") > len(STATE_WORDS)]
    assert sum(line.count("•") for line in lines) == sum(map(len, ALLOWED.values()))
    assert len(lines) == len(ASKS) + 2  # and the head


def test_the_page_has_every_test_that_it_names() -> None:
    named = [word.strip("`;:") for word in matrix.SHOWN.split() if word.startswith("`tests/")]
    assert [name for name in named if not (ROOT / name).is_file()] == []
