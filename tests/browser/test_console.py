"""The console in a real browser at a real guest: working on it, looking at it, losing it and getting it back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import expect

from demo.libvirtd import LibvirtFailed
from tests.browser.audience import PHONE, Audience
from tests.browser.console_page import (
    CONSOLE,
    connected,
    connection,
    console_of,
    has_picture,
    menu,
    sessions,
    type_into,
)
from tests.browser.stage import OFFICE, Stage, eventually

pytestmark = [pytest.mark.guest, pytest.mark.browser]


@pytest.fixture(autouse=True)
def _office_runs(stage: Stage) -> None:
    stage.make_run(OFFICE)


def end_grants(stage: Stage) -> None:
    stage.backstage.run("[grant.delete() for grant in Grant.objects.filter(user__username='viewer')]")


@pytest.fixture
def restored_grant(stage: Stage) -> Iterator[None]:
    yield
    code = (
        "Grant.objects.get_or_create(machine_id=uuid, user=User.objects.get(username='viewer'), "
        "defaults={'role': 'viewer'})"
    )
    stage.backstage.run(code, uuid=str(stage.ids[OFFICE]))


def test_owner_sees_the_screen_and_types_into_the_machine(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    eventually(lambda: has_picture(page))
    type_into(page, "touch /tmp/typed\n")
    eventually(lambda: "typed" in stage.in_guest(OFFICE, "ls /tmp"))
    assert page.locator(CONSOLE).get_attribute("data-mode") == "control"

    page.goto("/")
    row = eventually(lambda: (rows := sessions(stage, user__username="owner"))[0]["ended"] and rows[0])
    assert row["end_reason"] == "left"
    assert row["bytes_to_client"] > 1000
    assert row["bytes_from_client"] > 100
    assert row["address"] == "127.0.0.1"


def test_tickets_are_asked_for_once_and_before_the_screen_is_loaded(audience: Audience) -> None:
    page = audience.page_of("owner")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto(f"/machines/{audience.stage.ids[OFFICE]}/console/")
    connected(page)
    assert asked.count("console-tickets") == 1
    assert "tickets." in next(name for name in asked if name.endswith(".js") and "theme" not in name)


def test_ctrl_alt_del_reaches_the_machine_which_reboots(stage: Stage, audience: Audience) -> None:
    stage.in_guest(OFFICE, "touch /tmp/before")
    page = console_of(audience, "owner")
    connected(page)
    menu(page, "Keys").get_by_role("button", name="Ctrl-Alt-Del").click()

    def rebooted() -> bool:
        with suppress(LibvirtFailed):  # its agent is away meanwhile
            return stage.in_guest(OFFICE, "test -e /tmp/before || echo gone") == "gone"
        return False

    eventually(rebooted, 60)


def test_viewer_looks_and_cannot_touch(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "viewer")
    connected(page)
    eventually(lambda: has_picture(page))
    expect(page.get_by_text("View only")).to_be_visible()
    expect(menu(page, "Keys").get_by_role("button", name="Ctrl-Alt-Del")).to_be_disabled()
    type_into(page, "touch /tmp/viewer\n")
    time.sleep(0.5)
    assert "viewer" not in stage.in_guest(OFFICE, "ls /tmp")
    assert sessions(stage, user__username="viewer")[0]["mode"] == "view"


def test_owner_may_only_look_when_that_is_asked_for(audience: Audience) -> None:
    page = console_of(audience, "owner", query="?mode=view")
    connected(page)
    assert page.locator(CONSOLE).get_attribute("data-mode") == "view"


def test_a_viewer_does_not_throw_the_owner_out(audience: Audience) -> None:
    owner, viewer = console_of(audience, "owner"), console_of(audience, "viewer")
    connected(viewer)
    connected(owner)
    time.sleep(0.5)
    assert connection(owner) == connection(viewer) == "connected"


def test_stranger_and_helpdesk_do_not_get_the_page(stage: Stage, audience: Audience) -> None:
    for role, status in (("stranger", 404), ("helpdesk", 403)):
        audience.expect_complaint(str(status))
        page = audience.page_of(role)
        assert page.goto(f"/machines/{stage.ids[OFFICE]}/console/").status == status
        assert page.locator(CONSOLE).count() == 0


def test_no_secret_is_in_the_page_its_address_or_the_log(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner")
    tickets, sockets = [], []
    page.on(
        "response",
        lambda answer: answer.url.endswith("console-tickets") and tickets.extend(answer.json()["tickets"]),
    )
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"/machines/{stage.ids[OFFICE]}/console/")
    connected(page)
    assert len(tickets) == 1
    assert not any(tickets[0] in text for text in [page.content(), page.url, *sockets])
    for log in (stage.portal.directory / "log").iterdir():
        assert tickets[0] not in log.read_text()


def test_revoking_the_right_closes_the_screen_within_a_second_and_giving_it_brings_it_back(
    stage: Stage, audience: Audience, restored_grant: None
) -> None:
    audience.expect_complaint("404")
    page = console_of(audience, "viewer")
    connected(page)
    started = time.monotonic()
    end_grants(stage)
    expect(page.locator(CONSOLE)).to_have_attribute("data-connection", "closed", timeout=3000)
    assert time.monotonic() - started < 1.5
    expect(page.get_by_text("You no longer have the right to this screen")).to_be_visible()
    assert eventually(lambda: sessions(stage, end_reason="revoked"))
    assert page.locator("[data-screen] canvas").count() == 0


def test_an_administrator_ends_the_console_and_it_stays_ended_until_asked(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    code = """
from consoles import sessions
from consoles.proxy.endings import Ending
sessions.end(list(sessions.not_ended().values_list("pk", flat=True)), Ending.ENDED_BY_ADMIN)
"""
    stage.backstage.run(code)
    expect(page.get_by_text("An administrator ended this console")).to_be_visible()
    assert connection(page) == "closed"
    page.get_by_role("button", name="Connect again").click()
    connected(page)


def test_logging_out_elsewhere_ends_the_console(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner", fresh=True)
    connected(page)
    other = page.context.new_page()
    other.goto("/")
    other.evaluate("document.querySelector('form[action*=logout]').submit()")
    page.wait_for_url(re.compile("/login/"), timeout=5000)


def test_viewer_is_offered_no_button_that_he_may_not_press(stage: Stage, audience: Audience) -> None:
    stage.virsh("destroy", OFFICE)
    page = console_of(audience, "viewer")
    expect(page.get_by_text("office is shut off")).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_hidden()


@pytest.mark.parametrize("viewport", [PHONE, {"width": 320, "height": 560}])
def test_the_page_fits_a_phone(audience: Audience, viewport) -> None:
    page = console_of(audience, "viewer", viewport=viewport)
    connected(page)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    for control in page.locator(".console-bar .btn:visible").all():
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= viewport["width"] + 0.5
    canvas = page.locator("[data-screen] canvas").bounding_box()
    assert canvas["width"] <= viewport["width"]


def test_without_javascript_the_page_says_what_it_needs(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner", java_script_enabled=False)
    expect(page.get_by_text("The console needs JavaScript")).to_be_visible()
