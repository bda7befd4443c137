"""Saved files when something goes wrong: people read what happened and what to do, scripts too, and nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT, expect_state, path_of
from tests.browser.stage import Stage, eventually
from tests.guest import Guest
from tests.lifecycle.memory_reader import reader_found
from tests.lifecycle.slow_save import slow_save, wait_until_caught
from tests.small_storage import small_storage

pytestmark = [pytest.mark.guest, pytest.mark.browser]


def file_of(stage: Stage, guest: Guest, name: str) -> Path:
    return stage.libvirt.directory / "saved" / f"{guest.uuid}.{name}.save"


def save_to(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Save to a file").click()


def file_row(page: Page, name: str) -> Locator:
    return page.locator(f'[data-saved-file="{name}"]')


def restore(page: Page, name: str) -> None:
    file_row(page, name).get_by_role("button", name="Restore").click()


def expect_failure(page: Page, guest: Guest, sentence: str, said: str) -> None:
    """Find the sentence in the notice and in the history, and libvirt's own words folded on the operation's page."""
    notice = page.locator('[data-toast][data-level="error"]').last
    expect(notice).to_contain_text(sentence, timeout=LIMIT)
    page.goto(path_of(guest, "history/"))
    row = page.locator("[data-operation-row]").first
    expect(row).to_have_attribute("data-status", "failed")
    expect(row).to_contain_text(sentence)
    row.locator(".name").click()
    expect(page.locator("[data-op-message]")).to_contain_text(sentence)
    words = page.locator("[data-op-error] pre")
    expect(words).to_be_hidden()
    page.locator("[data-op-error] summary").click()
    expect(words).to_contain_text(said)
    page.goto(path_of(guest, "saved/"))


def last_error(stage: Stage, guest: Guest) -> dict[str, str]:
    """Return what a script reads of the newest operation."""
    with stage.script("owner") as script:
        newest = script.get("/operations", params={"machine": str(guest.uuid), "limit": 1}).json()["items"][0]
    assert newest["status"] == "failed"
    return {**newest["error"], "message": newest["message"]}


def running_with_a_note(stage: Stage) -> Guest:
    """Have a machine run that remembers a word for as long as its memory is kept."""
    stage.make_run(stage.lab)
    stage.lab.run("echo kept > /tmp/note")
    return stage.lab


def remembers(guest: Guest) -> bool:
    guest.wait_for_agent()
    return guest.run("cat /tmp/note") == "kept"


def test_a_full_disk_is_said_and_the_machine_runs_on(stage: Stage, audience: Audience) -> None:
    lab = running_with_a_note(stage)
    page = audience.page_of("owner", path_of(lab, "saved/"))
    with small_storage(stage.libvirt, stage.libvirt.directory / "saved"):
        save_to(page, "too-large")
        expect_failure(page, lab, "The host's storage may be full: make room there", "write")
        error = last_error(stage, lab)
    assert error["code"] == "hypervisor_error"
    assert "may be full" in error["message"]
    expect_state(page, lab, "running", "idle")
    expect(page.locator(".empty")).to_contain_text("No saved files yet")
    assert lab.state == "running"
    assert remembers(lab)


def test_a_save_is_cancelled_while_it_is_written_and_leaves_no_file(stage: Stage, audience: Audience) -> None:
    lab = running_with_a_note(stage)
    page, phone = (audience.page_of("owner", path_of(lab, "saved/"), viewport=size) for size in (None, PHONE))
    with slow_save(lab) as slow:
        save_to(page, "half")
        wait_until_caught(slow)
        for window in (page, phone):
            panel = window.locator("[data-job-panel]")
            expect(panel).to_contain_text("MiB of", timeout=LIMIT)
            expect(file_row(window, "half")).to_contain_text("It is being written", timeout=LIMIT)
        assert file_of(stage, lab, "half").exists()
        page.locator("[data-job-panel] [data-cancel]").click()
        expect(page.locator("[data-job-panel]")).to_contain_text("ancel")
        page.wait_for_timeout(1000)  # the worker looks at the row twice a second
        slow.go_on()
        expect(page.locator("[data-toast]").last).to_contain_text("cancelled", timeout=LIMIT)
    for window in (page, phone):
        expect_state(window, lab, "running", "idle")
        expect(window.locator(".empty")).to_contain_text("No saved files yet", timeout=LIMIT)
    assert lab.state == "running"
    assert not file_of(stage, lab, "half").exists()
    assert remembers(lab)


def test_a_file_that_vanished_and_a_restore_that_was_interrupted_lose_nothing(stage: Stage, audience: Audience) -> None:
    lab = running_with_a_note(stage)
    page = audience.page_of("owner", path_of(lab, "saved/"))
    save_to(page, "only")
    expect_state(page, lab, "saved")
    path, aside = file_of(stage, lab, "only"), stage.libvirt.directory / "aside"
    path.rename(aside)
    restore(page, "only")
    expect_failure(page, lab, "is not on its host any more", "No such file")
    assert last_error(stage, lab)["code"] == "saved_file_missing"
    expect(file_row(page, "only")).to_contain_text("It was not on its host when last looked for.")
    expect_state(page, lab, "saved")  # it does not boot as if nothing was lost
    assert lab.state == "shut off"

    aside.rename(path)
    with reader_found(stage.libvirt, lab, signal.SIGKILL):
        restore(page, "only")
        expect_failure(page, lab, "file is still there", "")
    assert "file is still there" in last_error(stage, lab)["message"]
    assert (path.exists(), lab.state) == (True, "shut off")
    restore_whatever_it_takes(page, audience, lab)
    expect_state(page, lab, "running", "idle")
    assert lab.state == "running"
    assert remembers(lab)
    expect(file_row(page, "only")).to_contain_text("older than the disks", timeout=LIMIT)
    press_delete(page, "only")
    eventually(lambda: not path.exists())


def restore_whatever_it_takes(page: Page, audience: Audience, guest: Guest) -> None:
    """Restore it, typing the machine's name: it may have run when it was interrupted, nobody can tell."""
    audience.expect_complaint("409")
    restore(page, "only")
    name = page.locator("[name=confirm]")
    expect(name).to_be_visible()
    name.fill(guest.name)
    page.get_by_role("button", name="Restore").click()


def press_delete(page: Page, name: str) -> None:
    file_row(page, name).get_by_role("button", name="Delete").click()
    page.locator(".confirm [data-confirm]").click()
    expect(page.locator(".empty")).to_contain_text("No saved files yet", timeout=LIMIT)
