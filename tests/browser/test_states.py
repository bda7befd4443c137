"""Open pages follow a machine through states that virsh and fate bring about: word, meaning, and the list's filter."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, expect_state, path_of, shown
from tests.browser.stage import Stage
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

MEANS = {
    "running": "open its console",
    "paused": "resume it to go on",
    "pmsuspended": "wake it up",
    "saved": "restore it to go on",
    "crashed": "without shutting down",
}
WORDS = {"running": "running", "paused": "paused", "pmsuspended": "asleep", "saved": "saved", "crashed": "crashed"}


def expect_word(page: Page, guest: Guest, state: str) -> None:
    expect_state(page, guest, state)
    expect(shown(page, guest).locator('[data-fact="state"]').first).to_have_text(WORDS[state], timeout=LIMIT)


def test_open_pages_change_word_and_meaning_and_a_filter_shows_and_hides(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    rows, page = audience.page_of("owner", "/"), audience.page_of("viewer", path_of(office))
    paused = audience.page_of("owner", "/?state=paused")
    for window in (rows, page, paused):
        window.evaluate("window.neverReloaded = true")

    def follows(state: str) -> None:
        for window in (rows, page):
            expect_word(window, office, state)
        meaning = shown(page, office).locator('[data-fact="meaning"]')
        expect(meaning).to_contain_text(MEANS[state], timeout=LIMIT)
        hint = rows.locator(f'[data-machine="{office.uuid}"] td [data-fact="state"]').first
        assert MEANS[state] in hint.get_attribute("title")
        row = paused.locator(f'[data-machine="{office.uuid}"]')
        expect(row).to_have_count(1 if state == "paused" else 0, timeout=LIMIT)

    follows("running")
    for command, state in (
        ("suspend", "paused"),
        ("resume", "running"),
        ("managedsave", "saved"),
        ("start", "running"),
    ):
        office.virsh(command)
        follows(state)
    office.wait_for_agent()
    stage.virsh("dompmsuspend", office.name, "mem")
    follows("pmsuspended")
    office.virsh("dompmwakeup")
    follows("running")
    os.kill(office.qemu_pid, signal.SIGKILL)
    follows("crashed")
    office.virsh("start")
    follows("running")
    assert all(window.evaluate("window.neverReloaded") for window in (rows, page, paused))
