"""Sharing a machine on its page, as the one who shares and the one it is shared with see it, live."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT, operation, path_of, shown
from tests.browser.stage import OFFICE, Stage
from tests.browser.test_console import CONSOLE, connected, console_of

pytestmark = [pytest.mark.guest, pytest.mark.browser]

GONE = 5000  # milliseconds: five times what is promised


@pytest.fixture(autouse=True)
def _as_it_was(stage: Stage) -> Iterator[None]:
    stage.make_run(OFFICE)
    yield
    stage.revoke(stage.office, "stranger")
    stage.revoke(stage.office, "viewer")
    stage.grant(stage.office, "viewer")


def share(page: Page, stage: Stage, user: str, role: str) -> None:
    page.goto(path_of(stage.office, "access/"))
    page.get_by_label("With the user").fill(user)
    page.get_by_label("As", exact=True).select_option(role)
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(f'[data-holder="{user}"]')).to_be_visible(timeout=LIMIT)


def test_what_is_shared_appears_live_and_what_is_revoked_vanishes_with_its_console(
    stage: Stage, audience: Audience
) -> None:
    others = audience.page_of("stranger", "/")
    expect(others.get_by_text("No machine is yours yet")).to_be_visible()
    owner = audience.page_of("owner")
    share(owner, stage, "stranger", "operator")
    expect(shown(others, stage.office)).to_be_visible(timeout=GONE)
    audience.expect_complaint("/picture/")  # the list may just be fetching the screen's picture
    console = console_of(audience, "stranger")
    connected(console)

    owner.get_by_role("button", name="Revoke the access of stranger").click()
    began = time.monotonic()
    expect(console.locator(CONSOLE)).to_have_attribute("data-connection", "closed", timeout=GONE)
    expect(console.get_by_text("You no longer have the right to this screen")).to_be_visible()
    expect(shown(others, stage.office)).to_have_count(0, timeout=GONE)
    assert time.monotonic() - began < GONE / 1000
    expect(owner.locator('[data-holder="stranger"]')).to_have_count(0)


def test_what_expires_vanishes_by_itself_with_its_console(stage: Stage, audience: Audience) -> None:
    stage.grant(stage.office, "viewer", "stranger")
    others = audience.page_of("stranger", "/")
    expect(shown(others, stage.office)).to_be_visible()
    owner = audience.page_of("owner", path_of(stage.office, "access/"))
    console = console_of(audience, "stranger")
    connected(console)
    code = (
        "from datetime import timedelta\n"
        "for grant in Grant.objects.filter(machine_id=uuid, user__username='stranger'):\n"
        "    grant.expires_at = timezone.now() + timedelta(seconds=2)\n"
        "    grant.save()\n"
        "value = 1"
    )
    stage.backstage.run(code, uuid=str(stage.office.uuid))
    expect(console.locator(CONSOLE)).to_have_attribute("data-connection", "closed", timeout=2000 + GONE)
    expect(shown(others, stage.office)).to_have_count(0, timeout=GONE)
    expect(owner.locator('[data-holder="stranger"]')).to_have_count(0, timeout=GONE)


def test_an_ask_arrives_live_and_is_granted_by_one_click(stage: Stage, audience: Audience) -> None:
    owner = audience.page_of("owner", "/")
    expect(shown(owner, stage.office)).to_be_visible()
    viewer = audience.page_of("viewer", path_of(stage.office))
    expect(operation(viewer, stage.office, "suspend")).to_have_attribute("aria-disabled", "true")
    viewer.get_by_role("button", name="Ask owner to become operator").click()

    notice = owner.locator("[data-toast]").filter(has_text="viewer wants to be operator of office")
    notice.get_by_role("button", name="Grant for 1 hour").click()
    expect(viewer.locator("[data-toast]", has_text="owner made you operator of office")).to_be_visible()
    expect(operation(viewer, stage.office, "suspend")).not_to_have_attribute("aria-disabled", "true")
    expect(viewer.get_by_role("button", name="Ask owner to become operator")).to_have_count(0)
    expect(notice).to_have_count(0)


@pytest.fixture
def nothing_may_run(stage: Stage) -> Iterator[None]:
    """The shelf's owner may not run one more machine than runs."""
    code = (
        "from hypervisor.states import ACTIVE_STATES\n"
        "from people.models import Quota\n"
        "owner = User.objects.get(username='owner')\n"
        "running = Machine.objects.filter(owner=owner, state__in=ACTIVE_STATES).count()\n"
        "Quota.objects.create(user=owner, running=running)"
    )
    stage.backstage.run(code)
    yield
    code = (
        "from people.models import Quota\n"
        "from sharing.models import Ask\n"
        "Quota.objects.filter(user__username='owner').delete()\n"
        "Ask.objects.filter(role='').delete()"
    )
    stage.backstage.run(code)


@pytest.mark.usefixtures("nothing_may_run")
def test_room_in_a_quota_is_asked_for_and_given_by_one_click(stage: Stage, audience: Audience) -> None:
    admin = audience.page_of("admin", "/")
    expect(shown(admin, stage.shelf)).to_be_visible()
    owner = audience.page_of("owner", path_of(stage.shelf))
    start = operation(owner, stage.shelf, "start")
    expect(start).to_have_attribute("aria-disabled", "true")
    owner.get_by_text("Why are some not possible now?").click()
    expect(owner.locator('[data-why="start"]')).to_contain_text("Running at once would be")
    owner.get_by_role("button", name="Ask an administrator for room").click()
    expect(owner.get_by_text("You asked an administrator for room")).to_be_visible()

    notice = admin.locator("[data-toast]").filter(has_text="owner asks to raise the quota of owner (Running at once:")
    notice.get_by_role("button", name="Raise to").click()
    expect(owner.locator("[data-toast]", has_text="there is room for shelf")).to_be_visible()
    expect(start).not_to_have_attribute("aria-disabled", "true")
    expect(owner.locator("[data-ask-room]")).to_have_count(0)
    expect(notice).to_have_count(0)


def test_a_right_that_is_taken_while_the_page_loads_is_noticed(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("viewer")
    audience.expect_complaint("/picture/")  # the page may just be fetching the screen's picture

    def taken_first(socket: WebSocketRoute) -> None:
        stage.revoke(stage.office, "viewer")
        socket.connect_to_server()

    page.route_web_socket(re.compile("/ws/updates/"), taken_first)
    page.goto(path_of(stage.office))
    expect(page.get_by_text("You no longer have access to office")).to_be_visible(timeout=GONE)
    expect(page).to_have_url(re.compile("/$"), timeout=GONE)


def test_a_link_is_made_opened_and_taken_on_a_phone(stage: Stage, audience: Audience) -> None:
    owner = audience.page_of("owner", path_of(stage.office, "access/"))
    owner.get_by_role("button", name="Make a link").click()
    address = owner.locator("[data-new-link]").text_content()
    phone = audience.page_of("stranger", address, viewport=PHONE, has_touch=True, is_mobile=True)
    assert phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    phone.get_by_role("button", name="Open it").click()
    expect(shown(phone, stage.office)).to_be_visible(timeout=LIMIT)
    expect(owner.locator('[data-holder="stranger"]')).to_be_visible(timeout=GONE)
    audience.expect_complaint("/picture/")  # the page may just be fetching the screen's picture
    owner.locator("[data-link]").get_by_role("button", name="Revoke").click()
    expect(phone.get_by_text("You no longer have access")).to_be_visible(timeout=GONE)
