"""Colours of words can be read on every ground they stand on, in light and in dark (WCAG AA: 4.5 to 1)."""

from __future__ import annotations

import re

import pytest

from hypervisor.states import State
from kvmportal.environment import ROOT
from lifecycle.models import Status

GROUNDS = ("surface", "ground", "hover")
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([\w-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\);", (ROOT / "static/css/tokens.css").read_text()
    )
}
WORDS = ("accent", "muted", *(f"state-{state}" for state in State))


def luminance(colour: str) -> float:
    """Return the relative luminance as WCAG defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("word", WORDS)
def test_words_can_be_read(word: str, theme: int) -> None:
    for ground in GROUNDS:
        found = contrast(TOKENS[word][theme], TOKENS[ground][theme])
        assert found >= 4.5, f"{word} on {ground}: {found:.2f}"


def test_every_state_and_status_has_its_colour() -> None:
    looks = (ROOT / "static/css/portal.css").read_text()
    for state in State:
        assert f'[data-state="{state}"] {{ --state: var(--state-{state}); }}' in looks
    for status in Status:
        assert f'[data-status="{status}"] {{ --state: var(--status-{status}); }}' in looks
