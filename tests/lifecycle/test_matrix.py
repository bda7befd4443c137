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


def test_the_page_of_walked_cells_has_a_result_for_every_allowed_cell_and_for_no_other() -> None:
    lines = (ROOT / "docs" / "every-cell.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert rows[0] == ["Asked", *STATE_WORDS.values()]
    cells = {(state, row[0]) for row in rows[2:] for state, said in zip(STATE_WORDS, row[1:], strict=True) if said}
    assert cells == {(state, name) for state, names in ALLOWED.items() for name in names}
