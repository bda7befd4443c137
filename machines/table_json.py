"""The table of operations for the browser, in the reader's language; static/js/table.js does what `refusal` does."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from hypervisor.states import ACTIVE_STATES, State
from machines.access import Right
from machines.operation_table import SUGGESTED, TABLE, Kind
from machines.refusals import FORBIDDEN, HOST_UNREACHABLE, IN_THE_WAY, MISSING, WRONG_STATE, RefusalCode
from machines.state_words import REASON_SENTENCES, STATE_MEANINGS, STATE_WORDS


def as_json() -> dict[str, Any]:
    """Return the table."""
    return {
        "states": {state.value: str(words) for state, words in STATE_WORDS.items()},
        "meanings": {state.value: str(words) for state, words in STATE_MEANINGS.items()},
        "reasons": {
            state.value: {reason: str(words) for reason, words in sentences.items()}
            for state, sentences in REASON_SENTENCES.items()
        },
        "active": sorted(ACTIVE_STATES),
        "suggested": {state.value: SUGGESTED[state] for state in State},
        "rights": {right.word: int(right) for right in Right if right},
        "operations": {kind.name: _as_json(kind) for kind in TABLE.values()},
        "sentences": {
            RefusalCode.RIGHT: _(FORBIDDEN),
            RefusalCode.HOST: _(HOST_UNREACHABLE),
            RefusalCode.OPERATION: _(IN_THE_WAY),
            RefusalCode.STATE: _(WRONG_STATE),
        },
        "missing": {fact.value: _(sentence) for fact, sentence in MISSING.items()},
    }


def _as_json(kind: Kind) -> dict[str, Any]:
    return {
        "label": str(kind.label),
        "doing": str(kind.doing),
        "icon": kind.icon,
        "states": [state.value for state in State if state in kind.states],
        "requires": kind.requires,
        "right": int(kind.right),
        "loses": str(kind.loses),
        "preempts": kind.preempts,
        "runs": kind.runs,
        "cancellable": kind.cancellable,
        "place": kind.place,
    }
