"""A machine's page stays true while it is open, and offers what the list has no room for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lxml import etree
from playwright.sync_api import Route, expect

from tests.browser.audience import DESK, PHONE, Audience
from tests.browser.pages import LIMIT, expect_state, path_of, press, shown
from tests.browser.stage import Stage, eventually
from tests.lifecycle.slow_save import slow_save, wait_until_caught

pytestmark = [pytest.mark.guest, pytest.mark.browser]

HOSTILE = "<b>bold</b>\nsecond line"


@pytest.fixture
def shelfs_definition(stage: Stage) -> Iterator[None]:
    before = stage.shelf.virsh("dumpxml", "--inactive")
    yield
    redefine(stage, before)


@pytest.fixture
def viewers_right(stage: Stage) -> Iterator[None]:
    yield
    stage.grant(stage.office, "viewer")


def redefine(stage: Stage, definition: str) -> None:
    path = stage.libvirt.directory / "redefined.xml"
    path.write_text(definition)
    stage.virsh("define", str(path))
    path.unlink()


def test_a_description_and_a_redefinition_show_without_reload(
    stage: Stage, audience: Audience, shelfs_definition: None
) -> None:
    shelf = stage.shelf
    page = audience.page_of("owner", path_of(shelf))
    definition = audience.page_of("owner", path_of(shelf, "definition/"))
    description = page.locator('[data-fact="description"]')
    expect(description).to_be_hidden()
    shelf.virsh("desc", "--config", "--title", "A new title")
    shelf.virsh("desc", "--config", HOSTILE)
    expect(page.locator('[data-fact="title"]')).to_have_text("A new title", timeout=LIMIT)
    expect(description).to_be_visible(timeout=LIMIT)
    assert description.text_content() == HOSTILE
    expect(definition.locator("#definition")).to_contain_text("A new title", timeout=LIMIT)
    tree = etree.fromstring(shelf.virsh("dumpxml", "--inactive"))
    tree.find("on_crash").text = "preserve"
    tree.remove(tree.find("description"))
    devices = tree.find("devices")
    for device in devices.xpath("graphics | serial | console"):
        devices.remove(device)
    expect(page.locator("a.screen")).to_be_visible()
    redefine(stage, etree.tostring(tree, encoding="unicode"))
    expect(definition.locator("#definition")).to_contain_text("<on_crash>preserve</on_crash>", timeout=LIMIT)
    expect(description).to_be_hidden(timeout=LIMIT)
    expect(page.locator(".columns .screen")).to_contain_text("It has no display", timeout=LIMIT)
    assert not page.locator("dd b").count()


def test_the_right_is_said_anew_when_it_changes(stage: Stage, audience: Audience, viewers_right: None) -> None:
    page = audience.page_of("viewer", path_of(stage.office))
    right = page.locator('[data-fact="right"]')
    expect(right).to_contain_text("viewer")
    stage.grant(stage.office, "operator")
    expect(right).to_contain_text("operator", timeout=LIMIT)


def test_the_guest_agent_can_be_chosen_to_shut_down(stage: Stage, audience: Audience) -> None:
    lab = stage.lab
    stage.make_run(lab)
    page = audience.page_of("owner", path_of(lab))
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        for summary in page.locator(".with-ways summary").all():
            summary.click()
            box = page.locator(".with-ways details[open] .menu-list").bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"], box
            page.keyboard.press("Escape")
    page.locator(".with-ways summary").first.click()
    page.get_by_role("button", name="Shut down by the guest agent").click()
    expect(page.locator("details[open]")).to_have_count(0)
    expect_state(page, lab, "shutoff")
    with stage.script("owner") as script:
        last = script.get("/operations", params={"machine": str(lab.uuid)}).json()["items"][0]
    assert (last["operation"], last["parameters"]) == ("shutdown", {"mode": "agent"})


def test_a_save_is_seen_on_every_page_and_cancelled_by_its_button(stage: Stage, audience: Audience) -> None:
    lab = stage.lab
    stage.make_run(lab)
    rows, page = audience.page_of("owner", "/"), audience.page_of("owner", path_of(lab))
    panel = page.locator("[data-job-panel]")
    with slow_save(lab) as slow:
        press(page, lab, "save")
        wait_until_caught(slow)
        expect(panel.locator("[data-job-text]")).to_contain_text("Saving", timeout=LIMIT)
        expect(panel.locator("[data-job-bytes]")).to_contain_text("iB of ", timeout=LIMIT)
        expect(shown(rows, lab).locator("[data-job-text]")).to_contain_text("Saving", timeout=LIMIT)
        operation = audience.page_of("owner", panel.locator("[data-job-link]").get_attribute("href"))
        expect(operation.locator('[data-op="text"]')).to_contain_text("Saving")
        panel.locator("[data-cancel]").click()
        expect(operation.locator('[data-log="cancel"]')).to_be_visible(timeout=LIMIT)
        page.wait_for_timeout(1000)  # the worker looks whether to cancel twice a second
    expect(operation.locator("[data-operation-page]")).to_have_attribute("data-status", "cancelled", timeout=LIMIT)
    expect(panel).to_be_hidden(timeout=LIMIT)
    expect(shown(rows, lab).locator("[data-job]")).to_have_count(0, timeout=LIMIT)
    expect_state(page, lab, "running", "idle")
    eventually(lambda: lab.state == "running")
    page.goto(path_of(lab, "history/"))
    expect(page.locator("[data-operation-row]").first).to_have_attribute("data-status", "cancelled")


def test_an_answer_that_breaks_off_is_heard_of_all_the_same_and_the_tab_goes_on_living(
    stage: Stage, audience: Audience
) -> None:
    lab, office = stage.lab, stage.office
    for guest in (lab, office):
        stage.make_run(guest)

    def break_off(route: Route) -> None:
        route.fulfill(response=route.fetch(), body="")

    page, asking = audience.page_of("owner", path_of(lab)), f"**/api/v1/machines/{lab.uuid}/operations"
    page.route(asking, break_off)
    press(page, lab, "suspend")
    expect(page.locator("[data-toasts]")).to_contain_text("lab: “Pause” succeeded", timeout=LIMIT)
    page.unroute(asking)
    held: list[Route] = []
    page.route(asking, lambda route: held.append(route))
    press(page, lab, "resume")
    eventually(lambda: held or page.wait_for_timeout(50))
    page.goto("about:blank")  # whoever leaves at once hears of it on the next page, also of what ended in between
    asked = held[0].fetch().json()
    with stage.script("owner") as script:
        eventually(lambda: script.get(f"/operations/{asked['id']}").json()["status"] == "succeeded")
    page.goto(path_of(office))
    expect(page.locator("[data-toasts]")).to_contain_text("lab: “Resume” succeeded", timeout=LIMIT)
    office.virsh("suspend")
    expect_state(page, office, "paused")
    office.virsh("resume")


def test_an_operation_that_ends_before_the_page_listens_is_not_shown_for_ever(stage: Stage, audience: Audience) -> None:
    lab = stage.lab
    stage.make_run(lab)
    page, deaf = audience.page_of("owner", "/profile/"), [True]
    page.route_web_socket("**/ws/updates/", lambda socket: socket.close() if deaf else socket.connect_to_server())
    panel = page.locator("[data-job-panel]")
    with stage.script("owner") as script:
        with slow_save(lab) as slow:
            asked = script.post(f"/machines/{lab.uuid}/operations", json={"operation": "save"}).json()
            wait_until_caught(slow)
            page.goto(path_of(lab))
            expect(panel.locator("[data-job-text]")).to_contain_text("Saving")
        eventually(lambda: script.get(f"/operations/{asked['id']}").json()["status"] == "succeeded")
    deaf.clear()
    expect(panel).to_be_hidden(timeout=LIMIT)
    expect_state(page, lab, "saved")
