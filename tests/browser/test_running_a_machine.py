"""A machine's life in a browser: every button does what it says, by virsh's word, and every other page sees it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, expect_state, operation, path_of, press, shown
from tests.browser.stage import Stage, eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]


def test_owner_runs_the_machine_and_a_second_browser_sees_every_change(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office))
    second = audience.page_of("viewer", "/")
    steps = [
        ("suspend", "paused", "paused"),
        ("resume", "running", "running"),
        ("save", "shut off", "saved"),
        ("restore", "running", "running"),
        ("destroy", "shut off", "shutoff"),
        ("start", "running", "running"),
    ]
    for name, witness, state in steps:
        press(page, office, name)
        expect_state(page, office, state)
        expect_state(second, office, state)
        office.wait_for_state(witness)
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1  # nothing was reloaded


def test_saving_keeps_the_guests_memory(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    office.run("echo kept > /tmp/kept")
    page = audience.page_of("owner", path_of(office))
    press(page, office, "save")
    expect_state(page, office, "saved")
    assert office.virsh("dominfo").count("Managed save:   yes") == 1
    press(page, office, "restore")
    expect_state(page, office, "running")
    office.wait_for_agent()
    assert office.run("cat /tmp/kept") == "kept"


def test_shut_down_asks_the_guest_and_ends_when_it_is_off(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office))
    press(page, office, "shutdown")
    expect_state(page, office, "shutoff")
    assert office.reason == "shutdown"
    expect(page.locator("[data-job-panel]")).to_be_hidden(timeout=LIMIT)
    page.goto(path_of(office, "history/"))
    expect(page.locator("[data-operation-row]").first).to_have_attribute("data-status", "succeeded")


def test_reboot_and_reset_begin_the_guest_anew(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office))
    for name in ("reboot", "reset"):
        office.wait_for_agent()
        office.run("echo gone > /tmp/gone")
        pid = office.qemu_pid
        press(page, office, name)
        ended = ended_operation(stage, office, name)
        assert ended["status"] == "succeeded", ended
        office.wait_for_agent()
        assert office.run("ls /tmp") == ""
        assert office.qemu_pid == pid


def test_a_dangerous_operation_asks_first_and_can_be_declined(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office))
    operation(page, office, "destroy").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("office")
    expect(dialog).to_contain_text("lost")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert office.state == "running"


def test_a_disabled_button_says_why_and_does_nothing(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office))
    button = operation(page, office, "resume")
    expect(button).to_have_attribute("aria-disabled", "true")
    assert "paused" in (button.get_attribute("title") or "")
    button.click(force=True)
    page.wait_for_timeout(300)
    assert office.state == "running"


def test_force_off_ends_a_shutdown_that_the_guest_ignores(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    office.run("killall acpid")
    page = audience.page_of("owner", path_of(office))
    with stage.script("owner") as script:
        asked = script.post(
            f"/machines/{office.uuid}/operations", json={"operation": "shutdown", "parameters": {"mode": "acpi"}}
        )
        assert asked.status_code == 202, asked.text
        expect_state(page, office, "shutdown")
        expect(operation(page, office, "suspend")).to_have_attribute("aria-disabled", "true")
        press(page, office, "destroy")
        expect_state(page, office, "shutoff")
        ended = script.get(f"/operations/{asked.json()['id']}").json()
    assert ended["status"] == "cancelled", ended
    office.wait_for_state("shut off")


def test_without_javascript_plain_forms_do_the_same(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office), java_script_enabled=False)
    operation(page, office, "suspend").click()
    office.wait_for_state("paused")
    page.goto(path_of(office))
    expect(shown(page, office)).to_have_attribute("data-state", "paused", timeout=LIMIT)
    operation(page, office, "destroy").click()
    page.locator("main [data-confirm]").click()
    office.wait_for_state("shut off")
    page.goto("/?q=office&state=shutoff")
    expect(shown(page, office)).to_be_visible()


def ended_operation(stage: Stage, guest: Guest, name: str) -> dict:
    """The newest operation of this name, when it has ended."""
    with stage.script("owner") as script:
        return eventually(
            lambda: next(
                (
                    operation
                    for operation in script.get("/operations", params={"machine": str(guest.uuid)}).json()["items"][:1]
                    if operation["operation"] == name and operation["finished_at"]
                ),
                None,
            ),
            60,
        )
