"""Help between two people in two browsers, at a real guest: asked for, taken, consented to, and over at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT, path_of
from tests.browser.stage import OFFICE, Stage, eventually
from tests.browser.test_console import CONSOLE, connected, console_of, has_picture, type_into

pytestmark = [pytest.mark.guest, pytest.mark.browser]

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
AT_ONCE = 1000  # milliseconds
NOTE_CLICK = "document.addEventListener('click', () => { window.clickedAt = Date.now(); }, {capture: true})"
NOTE_CLOSING = """() => {
    const page = document.querySelector("[data-console]");
    const note = () => { if (page.dataset.connection === "closed") window.closedAt ??= Date.now(); };
    new MutationObserver(note).observe(page, {attributeFilter: ["data-connection"]});
}"""


@pytest.fixture(autouse=True)
def _office_runs_and_nobody_helps(stage: Stage) -> None:
    stage.make_run(OFFICE)
    stage.in_guest(OFFICE, "rm -f /tmp/by-*")
    stage.backstage.run(
        "from assist import moves\n"
        "from assist.models import OPEN, Assist, EventKind\n"
        "for one in Assist.objects.filter(state__in=OPEN): moves.close(one, EventKind.LIMIT)\n"
        "Assist.objects.update(created_at='2020-01-01T00:00:00Z')"
    )


def typed(stage: Stage) -> set[str]:
    """The names that were typed into the guest."""
    return set(stage.in_guest(OFFICE, "ls /tmp").split())


def open_help(page: Page) -> None:
    page.locator('.console-bar [data-opens="help"]').click()
    expect(page.get_by_role("complementary", name="Help")).to_be_visible()


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def test_help_from_asking_to_its_end(stage: Stage, audience: Audience) -> None:
    helper = audience.page_of("helpdesk", "/help/")
    expect(helper.get_by_text("Nobody waits for help.")).to_be_visible()
    owner = console_of(audience, "owner")
    connected(owner)

    # The user asks; the helper sees it arrive, and takes it.
    open_help(owner)
    owner.get_by_label("What do you need help with?").fill("It does not print.")
    owner.get_by_role("button", name="Ask the helpdesk").click()
    expect(owner.get_by_text("You asked for help. The helpdesk knows.")).to_be_visible()
    row = helper.get_by_role("row").filter(has_text="It does not print.").first
    expect(row).to_be_visible()
    expect(helper.locator("header .help-count")).to_have_text("1")
    row.get_by_role("button", name="Take it").click()
    expect(row.get_by_role("button", name="Give it back")).to_be_visible()
    row.get_by_role("link").first.click()
    expect(helper.get_by_text("owner is asked to let you see the screen.")).to_be_visible()
    expect(helper.get_by_text("Guest agent")).to_be_visible()
    helper_path = helper.url

    # The picture that goes with it is of that time, and is there when the helper looks.
    picture = f"{helper_path}picture/"
    eventually(lambda: helper.request.get(picture).status == 200)
    assert helper.request.get(picture).headers["content-type"] == "image/webp"
    assert helper.request.get(f"{stage.url}{path_of(stage.office, 'console/')}").status == 403

    # The user consents; the helper's page goes to the screen, and keys do nothing there.
    line = owner.get_by_role("alert").filter(has_text="asks to see this screen")
    line.get_by_role("button", name="Let them see the screen").click()
    helper.wait_for_url("**/console/**", wait_until="commit", timeout=LIMIT)
    connected(helper)
    eventually(lambda: has_picture(helper))
    expect(helper.locator(CONSOLE)).to_have_attribute("data-mode", "view")
    expect(owner.get_by_text(f"helpdesk helps owner with {stage.office.name} and may see its screen.")).to_be_visible()
    opener = owner.get_by_role("button", name="Who is here: 2. You type.")
    expect(opener).to_be_visible()
    type_into(helper, "touch /tmp/by-helper-looking\n")
    type_into(owner, "touch /tmp/by-owner\n")
    eventually(lambda: "by-owner" in typed(stage))
    assert "by-helper-looking" not in typed(stage)

    # The user gives control; the helper types; the user takes it back at once.
    opener.click()
    owner.get_by_role("button", name="Give control").click()
    expect(helper.locator(CONSOLE)).to_have_attribute("data-mode", "control")
    type_into(helper, "touch /tmp/by-helper\n")
    eventually(lambda: "by-helper" in typed(stage))
    owner.locator(".console-bar").get_by_role("button", name="Take back control").click()
    expect(helper.locator(CONSOLE)).to_have_attribute("data-mode", "view", timeout=1.5 * AT_ONCE)
    type_into(helper, "touch /tmp/by-helper-later\n")
    type_into(owner, "touch /tmp/by-owner-later\n")
    eventually(lambda: "by-owner-later" in typed(stage))
    assert "by-helper-later" not in typed(stage)

    # They write to each other; what is markup to a browser stays text.
    open_help(owner)
    say(owner, "Is it the <b>driver</b>?")
    expect(helper.locator("[data-chat-unread]")).to_have_text("1")
    open_help(helper)
    expect(helper.locator("[data-chat-list]")).to_contain_text("Is it the <b>driver</b>?")
    expect(helper.locator("[data-chat-unread]")).to_be_hidden()
    say(helper, "It was out of paper.")
    expect(owner.locator("[data-chat-list]")).to_contain_text("It was out of paper.")

    # The user ends it; the helper's screen closes at once.
    owner.evaluate(NOTE_CLICK)
    helper.evaluate(NOTE_CLOSING)
    owner.get_by_role("button", name="End the help").click()
    expect(helper.locator(CONSOLE)).to_have_attribute("data-connection", "closed")
    assert 0 < helper.evaluate("window.closedAt") - owner.evaluate("window.clickedAt") < AT_ONCE
    expect(owner.locator(CONSOLE)).to_have_attribute("data-connection", "connected")
    expect(owner.get_by_role("button", name="Who is here: 1. You type.")).to_be_visible()
    audience.expect_complaint("403")
    answer = helper.goto(path_of(stage.office, "console/"))
    assert answer.status == 403
    helper.goto(helper_path)
    expect(helper.locator("[data-chat-list]")).to_contain_text("Is it the <b>driver</b>?")
    expect(helper.get_by_label("Message")).to_be_hidden()


def test_broken_glass_is_seen_at_once_and_can_be_overruled(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("403")
    owner = console_of(audience, "owner")
    connected(owner)
    elsewhere = audience.page_of("owner", path_of(stage.office), viewport=PHONE, color_scheme="dark")
    helper = audience.page_of("helpdesk", path_of(stage.office))
    helper.get_by_role("link", name="Help with this machine").click()
    helper.get_by_label("The reason").fill("The print server floods the network.")
    helper.get_by_label("Operate the machine too").check()
    helper.get_by_role("button", name="Open it without asking").click()
    for page in (owner, elsewhere):
        banner = page.get_by_role("alert").filter(has_text="helpdesk of the helpdesk has opened this machine")
        expect(banner).to_contain_text("The print server floods the network.", timeout=3000)
    assert elsewhere.evaluate(SIDEWAYS) <= 0

    helper.get_by_role("button", name="Open the screen").click()
    helper.wait_for_url("**/console/**", wait_until="commit", timeout=LIMIT)
    connected(helper)
    expect(helper.locator(CONSOLE)).to_have_attribute("data-mode", "view")  # the owner types
    owner.get_by_role("button", name="Who is here: 2. You type.").click()
    owner.get_by_role("button", name="Give control").click()
    expect(helper.locator(CONSOLE)).to_have_attribute("data-mode", "control")
    owner.locator(".console-bar").get_by_role("button", name="Take back control").click()
    expect(helper.locator(CONSOLE)).to_have_attribute("data-mode", "view", timeout=1.5 * AT_ONCE)

    helper.get_by_role("button", name="End the help").click()
    expect(helper.locator(CONSOLE)).to_have_attribute("data-connection", "closed", timeout=1.5 * AT_ONCE)
    expect(elsewhere.get_by_text("has opened this machine")).to_have_count(0)
    elsewhere.goto(path_of(stage.office, "history/"))
    expect(elsewhere.get_by_text("helpdesk looked without consent")).to_be_visible()
    assert elsewhere.evaluate(SIDEWAYS) <= 0


def test_who_is_elsewhere_is_told_and_the_queue_fits_a_phone(stage: Stage, audience: Audience) -> None:
    owner = audience.page_of("owner", "/profile/")
    helper = audience.page_of("helpdesk", path_of(stage.office), viewport=PHONE, has_touch=True, is_mobile=True)
    helper.get_by_role("link", name="Help with this machine").click()
    assert helper.evaluate(SIDEWAYS) <= 0
    helper.get_by_label("What to say to owner").fill("Shall I look at it?")
    helper.get_by_role("button", name="Offer help").click()
    notice = owner.locator("[data-toast]").filter(has_text="helpdesk offers you help with")
    expect(notice).to_be_visible(timeout=3000)
    notice.get_by_role("link", name="Look at it").click()
    expect(owner.get_by_text("Shall I look at it?")).to_be_visible()
    assert helper.evaluate(SIDEWAYS) <= 0
    owner.get_by_role("button", name="No", exact=True).click()
    expect(helper.locator("[data-help-state]").first).to_contain_text("declined", timeout=3000)
    helper.goto("/help/")
    assert helper.evaluate(SIDEWAYS) <= 0
    for button in helper.locator("[data-help-move]:visible").all():
        assert button.bounding_box()["height"] >= 44
