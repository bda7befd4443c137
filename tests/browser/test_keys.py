"""Keys and an NMI that an administrator sends in a browser; the guest itself is the witness that they came."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, path_of
from tests.browser.stage import Stage, eventually

pytestmark = [pytest.mark.guest, pytest.mark.browser]

TYPED = "KEY_M KEY_K KEY_D KEY_I KEY_R KEY_SPACE KEY_SLASH KEY_X"  # on the shell of tty1
NMIS = "grep NMI: /proc/interrupts"


def test_an_administrator_types_presses_chords_and_injects_an_nmi(stage: Stage, audience: Audience) -> None:
    lab = stage.lab
    stage.make_run(lab)
    audience.expect_complaint("400")
    page = audience.page_of("admin", path_of(lab, "keys/"))
    own, notices = page.locator("#keys-own"), page.locator("[data-toasts]")
    own.fill("KEY_NONSENSE KEY_A")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("KEY_NONSENSE")
    assert own.input_value() == "KEY_NONSENSE KEY_A"

    own.fill(TYPED)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(notices).to_contain_text("“Send keys” succeeded", timeout=LIMIT)
    page.get_by_role("button", name="Enter", exact=True).click()
    eventually(lambda: lab.run("test -d /x && echo there") == "there")
    page.get_by_role("button", name="SysRq H").click()
    eventually(lambda: "sysrq: HELP" in lab.run("dmesg"))

    before = lab.run(NMIS)
    inject = page.locator(".panel").get_by_role("button", name="Inject NMI")
    inject.click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("lab")
    dialog.get_by_role("button", name="Cancel").click()
    assert lab.run(NMIS) == before
    inject.click()
    dialog.locator("[data-confirm]").click()
    eventually(lambda: lab.run(NMIS) != before)
    assert lab.state == "running"
    page.goto(path_of(lab, "history/"))
    kinds = page.locator("[data-operation-row] .name")
    expect(kinds).to_contain_text(["Inject NMI", "Send keys", "Send keys", "Send keys"])


def test_others_have_neither_page_nor_button_that_works(stage: Stage, audience: Audience) -> None:
    lab = stage.lab
    stage.make_run(lab)
    for status in ("403", "404"):
        audience.expect_complaint(status)
    for role, status in (("owner", 403), ("helpdesk", 403), ("stranger", 404)):
        page = audience.page_of(role)
        assert page.goto(path_of(lab, "keys/")).status == status, role
        with stage.script(role) as script:
            for asked in ({"operation": "inject-nmi"}, {"operation": "send-keys", "parameters": {"keys": ["KEY_A"]}}):
                assert script.post(f"/machines/{lab.uuid}/operations", json=asked).status_code == status, role
    page = audience.page_of("owner", path_of(lab))
    page.locator(".more > summary").click()
    expect(page.locator('.more [data-operation="inject-nmi"]')).to_have_attribute("aria-disabled", "true")
