"""The states and operations as a page: `python -m tests.lifecycle.matrix >docs/states-and-operations.md`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

import django

HEAD = """# States and operations

<!-- Written by `python -m tests.lifecycle.matrix >docs/states-and-operations.md`; a test holds it to the table. -->

A machine is always in one of ten states. Its page, the list, the API and open sockets name the same one.
"""
MATRIX = """## Which operation in which state

A dot says that the state allows it. The right is the least that a person needs; each right contains those before it:
helpdesk, viewer, operator, owner, admin. While another operation of the same machine is open, only “Force off” may be
asked, and while its host does not answer nothing may.
"""
SHOWN = """## How this was shown

- `tests/lifecycle/allowed.py` has the matrix once more, written by hand; the portal's own table is held against it, and
  every refusal too.
- `tests/lifecycle/test_guest_states.py` brings one real QEMU guest into each of the ten states and asks for every
  operation, with virsh as the witness; `tests/lifecycle/test_guest_every_cell.py` (a long test: `--full`) asks for
  every dot that the first leaves out. What virsh said after each is in [every-cell.md](every-cell.md).
- `tests/lifecycle/test_guest_paused.py` shows a guest that QEMU itself has paused, since its storage was full.
"""
WITH = {"file": "with a file", "xml": "with XML"}
NEEDS = {
    "persistent": "persistent",
    "has_saved_image": "a managed-save image",
    "saved_file_count": "a saved file",
    "agent_connected": "the guest agent",
}


def page() -> str:
    """Return the page."""
    from machines.state_words import STATE_MEANINGS, STATE_WORDS

    states = [f"| {STATE_WORDS[state]} | `{state}` | {STATE_MEANINGS[state]} |" for state in STATE_WORDS]
    words = [str(word) for word in STATE_WORDS.values()]
    head = ["Operation", "API", "Right", "Needs", *words]
    return "\n".join(
        [
            *(HEAD, "| State | API | What it means, and what to do |", "|---|---|---|", *states, ""),
            *(MATRIX, _row(head), _row(["---"] * 4 + [":-:"] * len(words)), *map(_row, _operations()), ""),
            SHOWN,
        ]
    )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _operations() -> Iterator[list[str]]:
    """Yield a line for each kind, and one for each of its variants."""
    from machines.operation_table import TABLE
    from machines.state_words import STATE_WORDS

    for kind in TABLE.values():
        ways: list[Mapping[str, object]] = [{}, *({name: True} for name in kind.variants)]
        for given in ways:
            variant = kind.variant(given)
            label = f"{kind.label}, {WITH[next(iter(given))]}" if given else str(kind.label)
            needs = ", ".join(NEEDS[fact] for fact in variant.requires)
            dots = ["•" if state in variant.states else "" for state in STATE_WORDS]
            yield [label, f"`{kind.name}`", variant.right.word, needs, *dots]


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    sys.stdout.write(page())
