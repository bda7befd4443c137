"""Passkeys, in a real Chromium with an authenticator that its own protocol offers to tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.browser.audience import PHONE
from tests.browser.conftest import FLAGS
from tests.browser.test_every_page import SIDEWAYS, brightness
from tests.cast import PASSWORD, ClientOf, person

pytestmark = pytest.mark.usefixtures("quick_passwords")

INDEX = "/profile/second-factor/"
ADD = f"{INDEX}passkeys/add/"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class Device:
    """A window of Chromium and the authenticator in its computer."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.page = context.new_page()
        listen(self.page, self.complaints)
        self.protocol: CDPSession = context.new_cdp_session(self.page)
        self.protocol.send("WebAuthn.enable")
        added = self.protocol.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        self.authenticator = added["authenticatorId"]

    def verifies(self, whether: bool) -> None:
        """Let the finger be the right one, or not."""
        where = {"authenticatorId": self.authenticator, "isUserVerified": whether}
        self.protocol.send("WebAuthn.setUserVerified", where)

    def credentials(self) -> list[dict]:
        return self.protocol.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})["credentials"]


@pytest.fixture
def portal(quick_passwords: None, live_server: LiveServer, settings) -> Iterator[str]:
    """The portal at http://localhost, where browsers have passkeys without TLS."""
    settings.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
    person("owner")
    yield live_server.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def chromium(portal: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def device(portal: str, chromium: Browser) -> Iterator[Device]:
    context = chromium.new_context(base_url=portal, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    device = Device(context)
    yield device
    context.close()
    assert device.complaints == []


def listen(page: Page, complaints: list[str]) -> None:
    """Collect what the page complains of, but that this server has no sockets."""

    def hear(text: str) -> None:
        if "/ws/updates/" not in text:
            complaints.append(text)

    page.on("console", lambda message: hear(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: hear(str(error)))


def log_in(page: Page) -> None:
    page.goto("/login/")
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_out(page: Page) -> None:
    page.locator("summary.header-user").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login/"))


def make_passkey(page: Page, name: str = "My laptop") -> None:
    page.goto(INDEX)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the passkey").click()
    page.wait_for_url("**/codes/")


@pytest.mark.browser
def test_passkey_is_made_logs_in_without_a_password_and_is_removed(device: Device) -> None:
    page = device.page
    log_in(page)
    expect(page.locator("summary.header-user")).to_be_visible()
    make_passkey(page)
    assert len(device.credentials()) == 1
    page.goto(INDEX)
    expect(page.locator("[data-passkey-row]")).to_contain_text("My laptop")
    expect(page.locator("[data-passkey-row]")).to_contain_text("never used")
    log_out(page)

    page.goto("/login/?next=/operations/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url(re.compile("^http://[^/]+/operations/"))
    page.goto(INDEX)
    expect(page.locator("[data-passkey-row]")).not_to_contain_text("never used")

    page.get_by_role("link", name="Remove My laptop").click()
    page.get_by_role("button", name="Use a passkey").or_(page.get_by_label("Password")).first.wait_for()
    if page.get_by_label("Password").is_visible():
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.wait_for_url(f"**{INDEX}**")
    expect(page.locator("[data-passkey-row]")).to_have_count(0)
    log_out(page)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_text("This passkey does not log you in here")).to_be_visible()
    assert "/login/" in page.url


@pytest.mark.browser
def test_passkey_is_the_second_factor_after_a_password(device: Device) -> None:
    page = device.page
    log_in(page)
    make_passkey(page)
    log_out(page)
    log_in(page)
    page.wait_for_url("**/login/code/**")
    page.goto("/profile/")
    assert "/login/" in page.url
    log_in_again = page.get_by_role("button", name="Use a passkey")
    page.goto("/login/code/")
    log_in_again.click()
    expect(page.locator("summary.header-user")).to_be_visible()


@pytest.mark.browser
def test_wrong_finger_opens_nothing_and_the_page_says_what_else_can_be_done(device: Device) -> None:
    page = device.page
    log_in(page)
    make_passkey(page)
    log_out(page)
    device.verifies(False)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_text("No passkey was used. Try again, or log in another way.")).to_be_visible(timeout=70_000)
    page.goto("/profile/")
    assert "/login/" in page.url


@pytest.mark.browser
def test_pages_of_logging_in_fit_a_phone_in_the_dark(portal: str, chromium: Browser) -> None:
    context = chromium.new_context(base_url=portal, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    page = context.new_page()
    complaints: list[str] = []
    listen(page, complaints)
    for path in ("/login/", "/login/forgotten/", "/login/disabled/"):
        page.goto(path)
        assert page.evaluate(SIDEWAYS) <= 0, path
        assert brightness(page) < 80, path
    log_in(page)
    for path in ("/profile/", "/profile/logins/", INDEX, "/profile/again/", f"{INDEX}app/"):
        page.goto(path)
        assert page.evaluate(SIDEWAYS) <= 0, path
        assert brightness(page) < 80, path
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_alt_text("The key as a QR code")).to_be_visible()
    assert page.evaluate(SIDEWAYS) <= 0
    for button in page.locator("main .btn:visible").all():
        assert button.bounding_box()["height"] >= 44
    context.close()
    assert complaints == []


def test_start_of_a_login_by_passkey_tells_nothing_about_anybody(db: None) -> None:
    answer = Client().get("/login/passkey/", headers={"Accept": "application/json"})
    options = answer.json()["request_options"]["publicKey"]
    assert options.get("allowCredentials", []) == []
    assert options["userVerification"] == "required"
    assert Client().get("/login/passkey/")["Location"] == "/login/"


def test_invented_passkey_signs_nobody_in(owner: User) -> None:
    client = Client()
    client.get("/login/passkey/", headers={"Accept": "application/json"})
    for invented in ("{}", '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}', "none", ""):
        assert client.post("/login/passkey/", {"credential": invented})["Location"] == "/login/"
    assert client.get("/profile/").status_code == 302


def test_passkey_of_another_is_not_removed(client_of: ClientOf, owner: User, viewer: User) -> None:
    row = Authenticator.objects.create(user=viewer, type="webauthn", data={"name": "x", "credential": {}})
    client = client_of(owner)
    address = f"{INDEX}passkeys/{row.pk}/remove/"
    client.post("/profile/again/", {"password": PASSWORD, "next": address})
    for answer in (client.get(address), client.post(address)):
        assert answer.status_code == 404
    assert Authenticator.objects.exists()


def test_passkey_needs_the_password_once_more(client_of: ClientOf, owner: User) -> None:
    for answer in (client_of(owner).get(ADD), client_of(owner).post(ADD, {"credential": "{}"})):
        assert answer["Location"].startswith("/profile/again/")
