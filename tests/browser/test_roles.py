"""What each role meets in the browser: the viewer only views, the helpdesk only sees, the stranger finds nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.browser.audience import Audience
from tests.browser.pages import operation, path_of, shown
from tests.browser.stage import Stage

pytestmark = [pytest.mark.guest, pytest.mark.browser]

OPERATIONS = ("suspend", "save", "destroy", "shutdown", "reboot", "reset")


def test_viewer_has_no_button_that_works(stage: Stage, audience: Audience) -> None:
    stage.make_run(stage.office)
    page = audience.page_of("viewer", path_of(stage.office))
    for name in OPERATIONS:
        expect(operation(page, stage.office, name)).to_have_attribute("aria-disabled", "true")
    expect(page.locator("[data-obstacle]")).to_contain_text("operator")
    with stage.script("viewer") as script:
        answer = script.post(f"/machines/{stage.office.uuid}/operations", json={"operation": "destroy"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    assert stage.office.state == "running"


def test_viewer_sees_only_what_is_shared(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("viewer", "/")
    expect(shown(page, stage.office)).to_be_visible()
    assert page.locator("tr[data-machine]").count() == 1


def test_stranger_finds_nothing(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("404")
    page = audience.page_of("stranger", "/")
    assert page.locator("tr[data-machine]").count() == 0
    for part in ("", "history/", "definition/", "console/"):
        answer = page.goto(path_of(stage.office, part))
        assert answer.status == 404, part
        assert "office" not in page.content()
    with stage.script("stranger") as script:
        assert script.get(f"/machines/{stage.office.uuid}").status_code == 404
        for path, body in (
            ("operations", {"operation": "destroy"}),
            ("console-tickets", {"protocol": "vnc", "mode": "view"}),
        ):
            assert script.post(f"/machines/{stage.office.uuid}/{path}", json=body).status_code == 404, path
    assert stage.office.state == "running"


def test_helpdesk_sees_every_state_and_does_nothing(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("403")
    page = audience.page_of("helpdesk", "/")
    for guest in stage.guests.values():
        expect(shown(page, guest)).to_be_visible()
    page.goto(path_of(stage.office))
    for name in OPERATIONS:
        expect(operation(page, stage.office, name)).to_have_attribute("aria-disabled", "true")
    assert page.goto(path_of(stage.office, "console/")).status == 403
    with stage.script("helpdesk") as script:
        answer = script.post(f"/machines/{stage.office.uuid}/console-tickets", json={"protocol": "vnc", "mode": "view"})
    assert answer.status_code == 403


def test_nobody_gets_anywhere_without_a_login(stage: Stage, audience: Audience) -> None:
    page = audience.window()
    for path in ("/", path_of(stage.office), path_of(stage.office, "console/"), "/operations/", "/profile/"):
        page.goto(path)
        assert "/login/" in page.url, path


def test_a_socket_without_login_is_refused(stage: Stage) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"{stage.url.replace('http', 'ws')}/ws/updates/", origin=stage.url),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_an_administrator_gives_a_machine_away_in_the_admin(stage: Stage, audience: Audience) -> None:
    guest = stage.define("gift")
    try:
        owner = audience.page_of("owner", "/")
        admin = audience.page_of("admin", "/")
        expect(shown(admin, guest)).to_be_visible(timeout=20_000)
        admin.goto(f"/admin/machines/machine/{guest.uuid}/change/")
        choose_owner(admin, "owner")
        admin.locator('input[name="_save"]').click()
        expect(shown(owner, guest)).to_be_visible(timeout=10_000)
    finally:
        stage.forget("gift")


def choose_owner(page, name: str) -> None:
    """Choose in Django's search box."""
    page.locator(".field-owner .select2-selection").click()
    page.locator(".select2-search__field").fill(name)
    page.locator(".select2-results__option", has_text=name).first.click()
