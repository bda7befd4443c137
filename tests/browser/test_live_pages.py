"""Open pages follow what happens elsewhere: on the host by virsh, in rights by an administrator, to the host itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, expect_state, operation, path_of, press, shown
from tests.browser.stage import Stage, eventually

pytestmark = [pytest.mark.guest, pytest.mark.browser]

POLLED = 15_000  # milliseconds: changes without an event are found every 5 s
QUICK = 2.0  # seconds in which another machine's page and operation must answer; they take a tenth


@pytest.fixture
def viewers_right(stage: Stage) -> Iterator[None]:
    yield
    stage.grant(stage.office, "viewer")


def fact(page, guest, name):
    return shown(page, guest).locator(f'[data-fact="{name}"]').first


def test_whatever_virsh_does_shows_in_open_pages(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    rows, page = audience.page_of("owner", "/"), audience.page_of("viewer", path_of(office))
    for command, state in (
        ("suspend", "paused"),
        ("resume", "running"),
        ("managedsave", "saved"),
        ("start", "running"),
        ("destroy", "shutoff"),
        ("start", "running"),
    ):
        office.virsh(command)
        expect_state(rows, office, state)
        expect_state(page, office, state)


def test_what_sends_no_event_shows_too(stage: Stage, audience: Audience) -> None:
    shelf = stage.shelf
    page = audience.page_of("owner", path_of(shelf))
    shelf.virsh("autostart")
    expect(fact(page, shelf, "autostart")).to_contain_text("starts with its host", timeout=POLLED)
    shelf.virsh("autostart", "--disable")
    expect(fact(page, shelf, "autostart")).to_have_text("no", timeout=POLLED)
    shelf.virsh("snapshot-create-as", "first")
    expect(fact(page, shelf, "snapshots")).to_have_text("1", timeout=POLLED)
    shelf.virsh("snapshot-delete", "first")
    expect(fact(page, shelf, "snapshots")).to_have_text("0", timeout=POLLED)


def test_a_machine_defined_by_virsh_appears_and_undefined_it_says_so(stage: Stage, audience: Audience) -> None:
    admin = audience.page_of("admin", "/")
    owner = audience.page_of("owner", "/")
    guest = stage.define("newcomer")
    try:
        expect(shown(admin, guest)).to_be_visible(timeout=LIMIT)
        expect(shown(owner, guest)).to_have_count(0)
        stage.give(guest)
        expect(shown(owner, guest)).to_be_visible(timeout=LIMIT)
        guest.virsh("undefine")
        expect_state(owner, guest, "undefined")
        expect_state(admin, guest, "undefined")
    finally:
        stage.forget("newcomer")


def test_a_right_that_is_taken_away_takes_the_row_and_given_again_brings_it(
    stage: Stage, audience: Audience, viewers_right: None
) -> None:
    page = audience.page_of("viewer", "/")
    expect(shown(page, stage.office)).to_be_visible()
    audience.expect_complaint("/picture/")  # the page may just be fetching the screen's picture
    stage.revoke(stage.office)
    expect(shown(page, stage.office)).to_have_count(0, timeout=5000)
    stage.grant(stage.office, "viewer")
    expect(shown(page, stage.office)).to_be_visible(timeout=5000)


def test_a_right_that_grows_enables_the_buttons(stage: Stage, audience: Audience, viewers_right: None) -> None:
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("viewer", path_of(office))
    expect(operation(page, office, "suspend")).to_have_attribute("aria-disabled", "true")
    stage.grant(office, "operator")
    press(page, office, "suspend")
    expect_state(page, office, "paused")
    office.wait_for_state("paused")
    stage.grant(office, "viewer")
    expect(operation(page, office, "resume")).to_have_attribute("aria-disabled", "true", timeout=5000)


def test_a_stopped_qemu_process_slows_nobody_else_down(stage: Stage, audience: Audience) -> None:
    office, lab = stage.office, stage.lab
    stage.make_run(office)
    stage.make_run(lab)
    page = audience.page_of("owner", path_of(lab))
    stalled = audience.page_of("owner", path_of(office))
    os.kill(office.qemu_pid, signal.SIGSTOP)
    try:
        press(stalled, office, "suspend")  # will wait for a process that does not answer
        for name, state in (("suspend", "paused"), ("resume", "running")) * 3:
            begun = time.monotonic()
            press(page, lab, name)
            expect_state(page, lab, state)
            assert time.monotonic() - begun < QUICK
        begun = time.monotonic()
        page.goto("/")
        expect(shown(page, lab)).to_be_visible()
        assert time.monotonic() - begun < QUICK
        lab.virsh("suspend")
        expect_state(page, lab, "paused", limit=POLLED)
        lab.virsh("resume")
        expect_state(page, lab, "running", limit=POLLED)
    finally:
        os.kill(office.qemu_pid, signal.SIGCONT)
    stage.make_run(office)


def test_a_host_that_goes_away_is_said_and_comes_back_by_itself(stage: Stage, audience: Audience) -> None:
    office = stage.office
    stage.make_run(office)
    rows, page = audience.page_of("owner", "/"), audience.page_of("owner", path_of(office))
    stage.libvirt.end()
    try:
        expect(shown(page, office)).to_have_attribute("data-reachable", "0", timeout=LIMIT)
        expect(shown(rows, office)).to_have_attribute("data-reachable", "0", timeout=LIMIT)
        expect(page.locator(".unreachable-note")).to_contain_text("last seen")
        expect(page.locator(".unreachable-note")).to_be_visible()
        expect(shown(rows, office).get_by_text("last seen")).to_be_visible()
        expect(shown(page, office)).to_have_attribute("data-state", "running")  # no state is invented
        expect(operation(page, office, "suspend")).to_have_attribute("aria-disabled", "true")
    finally:
        stage.libvirt.start()
    expect(shown(page, office)).not_to_have_attribute("data-reachable", "0", timeout=LIMIT)
    expect(shown(rows, office)).not_to_have_attribute("data-reachable", "0", timeout=LIMIT)
    press(page, office, "suspend")
    expect_state(rows, office, "paused")
    press(page, office, "resume")
    expect_state(rows, office, "running")


def test_pages_catch_up_after_the_web_process_was_away(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("ERR_CONNECTION_REFUSED")
    audience.expect_complaint("ERR_CONNECTION_RESET")
    audience.expect_complaint("/ws/updates/")
    office = stage.office
    stage.make_run(office)
    page = audience.page_of("owner", path_of(office))
    bar = page.locator("[data-connection-bar]")
    stage.portal.stop_one("web")
    expect(bar).to_be_visible(timeout=LIMIT)
    office.virsh("suspend")
    stage.portal.start_one("web")
    stage.portal.wait_ready()
    expect_state(page, office, "paused")
    expect(bar).to_be_hidden(timeout=LIMIT)
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1


def test_lists_show_a_machine_that_came_while_the_web_process_was_away(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("ERR_CONNECTION_REFUSED")
    audience.expect_complaint("/ws/updates/")
    page = audience.page_of("owner", "/")
    page.evaluate("window.neverReloaded = true")
    expect(shown(page, stage.office)).to_be_visible()
    stage.portal.stop_one("web")
    try:
        guest = stage.define("newcomer")
        stage.give(guest)
    finally:
        stage.portal.start_one("web")
        stage.portal.wait_ready()
    try:
        expect(shown(page, guest)).to_be_visible(timeout=LIMIT)
        assert page.evaluate("window.neverReloaded")
    finally:
        stage.forget("newcomer")


def test_a_page_asks_by_itself_for_news_that_nobody_pushed(stage: Stage, audience: Audience) -> None:
    shelf = stage.shelf
    page = audience.page_of("admin", "/profile/")
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(str(frame))))
    page.clock.install()
    page.goto(path_of(shelf))
    eventually(lambda: page.wait_for_timeout(50) or any('"versions"' in frame for frame in sent))
    owner = fact(page, shelf, "owner")
    change = (
        "known = Machine.objects.filter(uuid=uuid);"
        " known.update(owner=User.objects.get(username='stranger'), version=known.get().version + 1)"
    )
    try:
        stage.give(shelf, "viewer")
        expect(owner).to_have_text("viewer", timeout=5000)
        stage.backstage.run(change, uuid=str(shelf.uuid))
        page.wait_for_timeout(1000)
        expect(owner).to_have_text("viewer")  # indeed, nobody pushed it
        page.clock.fast_forward(31_000)
        expect(owner).to_have_text("stranger", timeout=5000)
    finally:
        stage.give(shelf)


def test_what_was_asked_while_the_worker_was_dead_is_done_when_it_is_back(stage: Stage, audience: Audience) -> None:
    lab = stage.lab
    stage.make_run(lab)
    page = audience.page_of("owner", path_of(lab))
    os.kill(stage.portal.processes["worker-quick"].pid, signal.SIGKILL)
    press(page, lab, "suspend")
    expect(page.locator("[data-job-panel]")).to_be_visible(timeout=LIMIT)
    stage.portal.start_one("worker-quick")
    expect_state(page, lab, "paused", limit=2 * LIMIT)
    expect(page.locator("[data-job-panel]")).to_be_hidden(timeout=2 * LIMIT)
    eventually(lambda: lab.state == "paused")
