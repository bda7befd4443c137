"""What virsh said of a real guest after each allowed cell of state and operation: `bin/test --full` prints a table."""

from __future__ import annotations

from tests.lifecycle.allowed import ASKS, STATE_WORDS

WAITED = "waited for"
"""The guest was asked to shut down and another operation, or the limit, came first."""
GONE = "gone"
"""Its host does not know it (any more)."""

RESULTS: dict[tuple[str, str], str] = {}
"""By state and way to ask; filled by the walks of this run."""


def table() -> list[str]:
    """Return the lines of a Markdown table: a row for each way to ask, a column for each state."""
    head = ["Asked", *STATE_WORDS.values()]
    rows = [[name, *(RESULTS.get((state, name), "") for state in STATE_WORDS)] for name in ASKS]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
