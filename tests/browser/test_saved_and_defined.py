"""Saving to files, undefining, defining again and autostart by a person at a machine's page; virsh is the witness."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, expect_state, operation, path_of, press
from tests.browser.stage import Stage, eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]


@pytest.fixture
def shelf_as_it_was(stage: Stage) -> Iterator[Guest]:
    shelf = stage.shelf
    before = shelf.virsh("dumpxml", "--inactive")
    yield shelf
    path = stage.libvirt.directory / "before.xml"
    path.write_text(before)
    stage.virsh("define", str(path))
    shelf.virsh("autostart", "--disable")
    eventually(lambda: stage.state_in_portal(shelf) == "shutoff")


def file_row(page: Page, name: str) -> Locator:
    return page.locator(f'[data-saved-file="{name}"]')


def test_an_owner_saves_to_a_file_restores_it_and_is_asked_before_old_memory_meets_newer_disks(
    stage: Stage, audience: Audience
) -> None:
    lab = stage.lab
    stage.make_run(lab)
    page = audience.page_of("owner", path_of(lab, "saved/"))
    expect(page.locator(".empty")).to_contain_text("No saved files yet")
    page.get_by_label("Name").fill("before-lunch")
    page.get_by_role("button", name="Save to a file").click()
    row = file_row(page, "before-lunch")
    expect(row).to_contain_text("has not run since", timeout=LIMIT)
    expect_state(page, lab, "saved")
    assert lab.state == "shut off"
    row.get_by_role("button", name="Restore").click()
    expect_state(page, lab, "running", "idle")
    assert lab.state == "running"
    expect(row).to_contain_text("older than the disks", timeout=LIMIT)
    press(page, lab, "destroy")
    expect_state(page, lab, "shutoff")
    audience.expect_complaint("409")
    row.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("alert")).to_contain_text("has run since then")
    page.locator("[name=confirm]").fill("lob")
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".errorlist")).to_have_text("That is not its name.")
    assert lab.state == "shut off"
    page.locator("[name=confirm]").fill("lab")
    page.get_by_role("button", name="Restore").click()
    expect_state(page, lab, "running", "idle")
    assert lab.state == "running"
    row.get_by_role("button", name="Delete").click()
    page.locator(".confirm [data-confirm]").click()
    expect(page.locator(".empty")).to_contain_text("No saved files yet", timeout=LIMIT)


def test_an_administrator_undefines_a_machine_and_defines_it_again(
    stage: Stage, audience: Audience, shelf_as_it_was: Guest
) -> None:
    shelf = shelf_as_it_was
    page = audience.page_of("admin", path_of(shelf))
    page.locator(".more > summary").click()
    page.locator('[data-form-of="undefine"]').click()
    disk = page.locator("[name=disks]")
    expect(disk).not_to_be_checked()
    page.get_by_role("button", name="Undefine").click()
    expect_state(page, shelf, "undefined")
    assert str(shelf.uuid) not in stage.virsh("list", "--all", "--uuid")
    assert (stage.libvirt.directory / "shelf.qcow2").exists()
    press(page, shelf, "define")
    expect_state(page, shelf, "shutoff")
    assert str(shelf.uuid) in stage.virsh("list", "--all", "--uuid")


def test_autostart_is_a_switch_that_is_true(stage: Stage, audience: Audience, shelf_as_it_was: Guest) -> None:
    shelf = shelf_as_it_was
    page, other = (audience.page_of(role, path_of(shelf)) for role in ("owner", "admin"))
    switch = operation(page, shelf, "autostart")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    for window in (page, other):
        expect(operation(window, shelf, "autostart")).to_have_attribute("aria-checked", "true", timeout=LIMIT)
        expect(window.locator('[data-fact="autostart"]')).to_have_text("starts with its host")
    assert "Autostart:      enable" in shelf.virsh("dominfo")
