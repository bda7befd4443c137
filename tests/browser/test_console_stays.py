"""A console that stays: whatever becomes of the machine, the proxy or the network, the picture comes back by itself."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from demo.libvirtd import LibvirtFailed
from tests.browser.audience import Audience
from tests.browser.console_page import CONSOLE, connected, connection, console_of, has_picture, hint, type_into
from tests.browser.stage import OFFICE, Stage, eventually

pytestmark = [pytest.mark.guest, pytest.mark.browser]


@pytest.fixture(autouse=True)
def _office_runs(stage: Stage) -> None:
    stage.make_run(OFFICE)


def test_the_page_waits_for_the_machine_and_starts_it(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("409")  # it may ask for tickets before it hears of the new state
    page = console_of(audience, "owner")
    connected(page)
    stage.virsh("destroy", OFFICE)
    expect(page.get_by_text("office is shut off")).to_be_visible()
    assert connection(page) == "waiting"
    page.get_by_role("button", name="Start", exact=True).click()
    connected(page)
    eventually(lambda: has_picture(page))
    assert stage.state_of(OFFICE) == "running"


def test_the_page_comes_back_when_another_tool_starts_the_machine(stage: Stage, audience: Audience) -> None:
    stage.virsh("managedsave", OFFICE)
    page = console_of(audience, "owner")
    expect(page.get_by_text("office is saved")).to_be_visible()
    expect(page.get_by_role("button", name="Restore")).to_be_visible()
    stage.virsh("start", OFFICE)
    connected(page)


def test_a_paused_machine_shows_its_last_picture_and_can_be_resumed(stage: Stage, audience: Audience) -> None:
    stage.virsh("suspend", OFFICE)
    page = console_of(audience, "owner")
    connected(page)
    eventually(lambda: has_picture(page))
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(CONSOLE)).to_have_attribute("data-state", "running")
    assert connection(page) == "connected"


def test_the_page_comes_back_after_a_restart_of_the_proxy(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("WebSocket")
    page = console_of(audience, "owner")
    connected(page)
    with page.expect_response("**/console-tickets"):
        stage.portal.restart("consoleproxy")
    connected(page)


def boots_of(stage: Stage) -> str:
    """What tells one boot of the guest from the next."""
    return stage.in_guest(OFFICE, "cat /proc/sys/kernel/random/boot_id")


def booted_since(stage: Stage, boot: str) -> None:
    def again() -> bool:
        with suppress(LibvirtFailed):  # its agent is away meanwhile
            return boots_of(stage) != boot
        return False

    eventually(again, 60)


def marks(stage: Stage, page: Page, name: str) -> None:
    """The person's keys still reach the machine."""
    type_into(page, f"touch /tmp/{name}\n")
    eventually(lambda: name in stage.in_guest(OFFICE, "ls /tmp"))


def test_the_screen_stays_over_reset_and_reboot_and_keys_still_arrive(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    for verb in ("reset", "reboot"):
        boot = boots_of(stage)
        stage.virsh(verb, OFFICE)
        booted_since(stage, boot)
    connected(page)
    marks(stage, page, "after")


def test_the_screen_comes_back_after_save_and_restore_and_after_destroy_and_start(
    stage: Stage, audience: Audience
) -> None:
    audience.expect_complaint("409")
    page = console_of(audience, "owner")
    connected(page)
    stage.virsh("managedsave", OFFICE)
    expect(page.get_by_text("office is saved")).to_be_visible()
    stage.virsh("start", OFFICE)
    connected(page)
    marks(stage, page, "restored")
    stage.virsh("destroy", OFFICE)
    stage.virsh("start", OFFICE)  # at once: the page may never see it off
    stage.office.wait_for_agent()
    connected(page)
    marks(stage, page, "started")


def test_a_page_that_waits_is_there_before_the_first_key_that_firmware_reads(stage: Stage, audience: Audience) -> None:
    stage.virsh("destroy", OFFICE)
    page = console_of(audience, "owner")
    expect(page.get_by_text("office is shut off")).to_be_visible()
    page.evaluate(
        """() => {
            const page = document.querySelector("[data-console]");
            new MutationObserver(() => {
                if (page.dataset.connection === "connected") window.connectedAt ??= Date.now();
            }).observe(page, { attributes: true });
        }"""
    )
    started = time.time()
    stage.virsh("start", OFFICE)
    answered = time.time()
    connected(page)
    took = page.evaluate("window.connectedAt") / 1000 - started
    assert took < (answered - started) + 2.5, (
        f"{took:.2f} s after virsh began, {answered - started:.2f} s of it libvirt"
    )


def test_a_network_that_breaks_without_a_word_is_noticed_and_the_screen_comes_back(
    stage: Stage, audience: Audience
) -> None:
    audience.expect_complaint("ERR_INTERNET_DISCONNECTED")
    audience.expect_complaint("WebSocket")
    page = console_of(audience, "owner")
    connected(page)
    page.context.set_offline(True)  # what was open stays open, and is silent
    expect(page.get_by_text("Your computer is not connected to the network")).to_be_visible(timeout=30_000)
    assert connection(page) == "waiting"
    page.context.set_offline(False)
    connected(page)
    marks(stage, page, "online")


def test_a_display_that_stops_answering_is_given_up_and_sought_again(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("WebSocket")
    page = console_of(audience, "owner")
    connected(page)
    eventually(lambda: has_picture(page))
    proxy = stage.portal.processes["consoleproxy"].pid
    os.kill(proxy, signal.SIGSTOP)  # no packet comes any more, and no end either
    try:
        with page.expect_response("**/console-tickets", timeout=60_000):
            page.evaluate("dispatchEvent(new Event('offline'))")
    finally:
        os.kill(proxy, signal.SIGCONT)
    connected(page)


def test_after_a_laptops_sleep_the_screen_is_a_new_one(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner")
    audience.expect_complaint("willReadFrequently")
    page.clock.install()
    page.goto(f"/machines/{stage.ids[OFFICE]}/console/")
    connected(page)
    with page.expect_response("**/console-tickets"):
        page.clock.fast_forward(90_000)
    connected(page)
    marks(stage, page, "awake")


def test_a_machine_that_sleeps_says_why_its_screen_is_black_and_wakes_by_a_click(
    stage: Stage, audience: Audience
) -> None:
    page = console_of(audience, "owner")
    connected(page)
    stage.virsh("dompmsuspend", OFFICE, "mem")
    expect(hint(page, "standing")).to_contain_text("office sleeps, so its screen is black")
    page.get_by_role("button", name="Wake up").click()
    expect(page.locator(CONSOLE)).to_have_attribute("data-state", "running", timeout=30_000)
    expect(hint(page, "standing")).to_be_hidden()


def test_an_empty_screen_is_said_to_be_empty_and_a_key_brings_it_back(stage: Stage, audience: Audience) -> None:
    stage.virsh("destroy", OFFICE)  # woken from sleep its screen stays the BIOS's: QEMU reset the card, Linux does not
    stage.make_run(OFFICE)
    page = console_of(audience, "owner")
    connected(page)
    stage.in_guest(OFFICE, r"printf '\033[2J\033[?25l' >/dev/tty1")
    expect(hint(page, "blank")).to_contain_text("the guest's screen is empty", timeout=30_000)
    stage.in_guest(OFFICE, "echo here again >/dev/tty1")
    expect(hint(page, "blank")).to_be_hidden(timeout=12_500)
