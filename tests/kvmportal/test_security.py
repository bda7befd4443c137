"""What holds for every page and address, found by walking all of them: sign-in, headers, no inline code."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.test import AsyncClient, Client
from django.urls import URLPattern, URLResolver, get_resolver
from lxml import html

from kvmportal.environment import ROOT
from machines.models import Machine
from people import views as people_views
from tests.cast import ClientOf

SIGNING_IN = {
    "/login/",
    "/login/disabled/",
    "/login/code/",
    "/login/passkey/",
    "/login/forgotten/",
    "/login/forgotten/sent/",
    "/login/forgotten/done/",
    "/login/forgotten/1/none/",
    "/login/with/cancelled/",
    "/login/with/sso/",
    "/login/with/sso/back/",
    "/logout/",
}
PUBLIC = SIGNING_IN | {"/healthz", "/readyz", "/words/en-0.js"}
ADMIN_PAGES = (
    "/admin/",
    "/admin/machines/host/",
    "/admin/machines/host/add/",
    "/admin/machines/machine/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/group/",
    "/admin/people/apitoken/",
    "/admin/usersessions/usersession/",
    "/admin/mfa/authenticator/",
    "/admin/socialaccount/socialaccount/",
    "/admin/lifecycle/operation/",
    "/admin/consoles/consolesession/",
    "/admin/audit/entry/",
    "/admin/assist/assist/",
)


def addresses(machine: Machine, operation: int) -> list[str]:
    """Return every address of the portal outside the API and the admin, with this machine and operation in it."""
    values = {
        "<uuid:uuid>": str(machine.uuid),
        "<int:pk>": str(operation),
        "<str:kind>": "start",
        "<slug:kind>": "start",
        "<slug:name>": machine.host.name,
        "<str:language>": "en",
        "<slug:fingerprint>": "0",
        "<slug:provider_id>": "sso",
        "<str:uidb36>": "1",
        "<str:key>": "none",
        "<str:secret>": "none",
        "<int:member>": "1",
        "<uuid:session>": str(machine.uuid),
    }
    found = []
    for route in _routes(get_resolver(), "/"):
        for placeholder, value in values.items():
            route = route.replace(placeholder, value)
        if not route.startswith(("/admin/", "/api/")):
            assert "<" not in route, f"tell this test what to write in {route}"
            found.append(route)
    return found


def _routes(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from _routes(pattern, route)


@pytest.fixture
def operation(machine: Machine, owner: User) -> int:
    return machine.operations.create(kind="start", requested_by=owner, status="succeeded").pk


@pytest.fixture
def pages(machine: Machine, operation: int, admin: User, client_of: ClientOf) -> dict[str, object]:
    """Every page that an administrator can open, by its address."""
    client = client_of(admin)
    answers = {address: client.get(address) for address in (*addresses(machine, operation), *ADMIN_PAGES)}
    answers["/admin/machine/change"] = client.get(f"/admin/machines/machine/{machine.pk}/change/")
    answers["/nowhere"] = client.get("/nowhere")
    answers |= {f"signed out: {address}": Client().get(address) for address in SIGNING_IN}
    return answers


def test_the_walk_finds_the_pages_there_are(machine: Machine, operation: int) -> None:
    found = addresses(machine, operation)
    assert {"/", "/login/", "/profile/", f"/machines/{machine.uuid}/", f"/operations/{operation}/"} <= set(found)


def test_every_address_needs_a_sign_in_but_these(machine: Machine, operation: int) -> None:
    for address in addresses(machine, operation):
        if address in PUBLIC:
            continue
        for answer in (Client().get(address), Client().post(address)):
            sent_to_login = answer.status_code == 302 and answer["Location"].startswith("/login/?next=")
            assert sent_to_login or answer.status_code == 405, address


def test_no_page_answers_a_stranger_about_a_machine(
    machine: Machine, operation: int, stranger: User, client_of: ClientOf
) -> None:
    client = client_of(stranger)
    for address in addresses(machine, operation):
        if str(machine.uuid) in address or address.startswith("/operations/1"):
            for answer in (client.get(address), client.post(address)):
                assert answer.status_code in {404, 405}, address


def test_every_answer_carries_the_security_headers(pages: dict) -> None:
    for address, answer in pages.items():
        policy = answer.headers.get("Content-Security-Policy", "")
        assert "default-src 'self'" in policy, address
        assert "script-src 'self'" in policy, address
        assert "unsafe" not in policy, address
        assert "frame-ancestors 'none'" in policy, address
        assert answer.headers["X-Content-Type-Options"] == "nosniff", address
        assert answer.headers["X-Frame-Options"] == "DENY", address
        assert answer.headers["Referrer-Policy"] == "same-origin", address


def test_no_page_holds_inline_code_or_style_that_the_policy_would_refuse(pages: dict) -> None:
    looked_at = 0
    for address, answer in pages.items():
        if answer.status_code not in {200, 404} or not is_page(answer):
            continue
        looked_at += 1
        tree = html.fromstring(answer.content)
        for script in tree.iter("script"):
            assert script.get("src") or script.get("type") == "application/json", address
        assert not list(tree.iter("style")), address
        assert not tree.xpath("//@style"), address
        assert not [name for node in tree.iter() for name in node.attrib if name.startswith("on")], address
        assert not [url for url in tree.xpath("//@href | //@src | //@action") if _is_elsewhere(url)], address
    assert looked_at >= 15


def is_page(answer: HttpResponse) -> bool:
    """Return whether there is HTML to look at; a part of a page may be empty."""
    is_html = answer.headers.get("Content-Type", "").startswith("text/html")
    return is_html and (answer.streaming or bool(answer.content.strip()))


def _is_elsewhere(url: str) -> bool:
    return url.startswith(("http:", "https:", "//", "javascript:"))


def test_every_form_that_posts_carries_the_csrf_token(pages: dict) -> None:
    for address, answer in pages.items():
        if is_page(answer) and answer.status_code == 200:
            for form in html.fromstring(answer.content).iter("form"):
                if form.get("method", "").lower() == "post":
                    assert form.xpath(".//input[@name='csrfmiddlewaretoken']"), address


def test_session_cookie_is_kept_from_scripts_and_other_sites(client: Client, owner: User) -> None:
    client.post("/login/", {"username": "owner", "password": "correct horse 42 battery"})
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


SETTINGS = """
import json
from django.conf import settings
names = [name for name in dir(settings) if name.startswith(("SESSION_COOKIE", "CSRF_COOKIE", "SECURE_", "DEBUG"))]
print(json.dumps({name: getattr(settings, name) for name in names}))
"""


def run(portal_url: str, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "kvmportal.settings",
        "SECRET_KEY": "k3nP-8f_wQz1x9Lr5vT2yB7mC4dH6jSa0EgUiOpNqRs-W_XtZlY",
        "PORTAL_URL": portal_url,
    }
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)


def test_cookies_are_limited_to_https_where_the_portal_is_reached_by_https() -> None:
    values = json.loads(run("https://vm.example.org", "-c", SETTINGS).stdout)
    assert values["SESSION_COOKIE_SECURE"] is True
    assert values["CSRF_COOKIE_SECURE"] is True
    assert values["SESSION_COOKIE_HTTPONLY"] is True
    assert values["SECURE_HSTS_SECONDS"] > 0
    assert values["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert values["DEBUG"] is False


def test_no_forwarded_header_is_believed_where_the_portal_is_reached_by_http() -> None:
    assert json.loads(run("http://localhost:8000", "-c", SETTINGS).stdout)["SECURE_PROXY_SSL_HEADER"] is None


def test_djangos_own_check_of_a_deployment_finds_nothing_new() -> None:
    checked = run("https://vm.example.org", "manage.py", "check", "--deploy")
    assert checked.returncode == 0
    warnings = {
        word for word in checked.stderr.replace(")", " ").replace("(", " ").split() if word.startswith("security.")
    }
    decided_by_the_site = {"security.W005", "security.W008", "security.W021"}  # HSTS for subdomains, redirect, preload
    assert warnings <= decided_by_the_site


def test_portal_does_not_start_without_a_secret_key() -> None:
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "kvmportal.settings"}
    started = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert started.returncode != 0
    assert "Set SECRET_KEY" in started.stderr


# What people see when a page cannot be shown


def test_unknown_page_says_so_in_the_portals_looks(client_of: ClientOf, owner: User) -> None:
    page = client_of(owner).get("/nowhere/at/all")
    assert page.status_code == 404
    assert b"There is nothing here" in page.content


def test_oversized_form_gets_413_and_the_limit(client: Client, db: None, settings) -> None:
    body = b"username=" + b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    for enforce in (True, False):
        browser = Client(enforce_csrf_checks=enforce)
        browser.get("/login/")
        page = browser.post("/login/", body, "application/x-www-form-urlencoded")
        assert page.status_code == 413
        assert "1.0\u00a0MB" in page.content.decode()


def test_form_with_too_many_fields_gets_400(client: Client, db: None) -> None:
    page = client.post("/login/", {f"field{number}": "x" for number in range(2000)})
    assert page.status_code == 400
    assert b"cannot be understood" in page.content


def test_wrong_host_name_gets_a_plain_400(client: Client, db: None) -> None:
    page = client.get("/login/", headers={"Host": "evil.example"})
    assert page.status_code == 400
    assert b"evil.example" not in page.content


def test_unexpected_error_shows_a_page_without_internals(client_of: ClientOf, owner: User, monkeypatch) -> None:
    client = client_of(owner)
    client.raise_request_exception = False
    monkeypatch.setattr(people_views, "TokenForm", None)
    page = client.get("/profile/")
    assert page.status_code == 500
    assert b"Something went wrong in the portal" in page.content
    assert b"TypeError" not in page.content


def test_csrf_failure_says_what_to_do(owner: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    page = browser.post("/profile/tokens/", {"name": "x"})
    assert page.status_code == 403
    assert b"reload it and try again" in page.content


def test_pages_and_errors_answer_under_asgi_too(db: None) -> None:
    browser = AsyncClient()
    assert async_to_sync(browser.get)("/healthz").status_code == 200
    missing = async_to_sync(browser.get)("/api/v1/nonsense")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"


def test_request_under_asgi_stays_in_one_thread_for_all_middleware(monkeypatch) -> None:
    below: list[str] = []

    def process_response(self: XFrameOptionsMiddleware, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        below.extend(frame.function for frame in inspect.stack() if frame.filename.endswith("utils/deprecation.py"))
        return response

    monkeypatch.setattr(XFrameOptionsMiddleware, "process_response", process_response)
    async_to_sync(AsyncClient().get)("/healthz")
    assert below.count("__call__") > 5, "middleware calls middleware directly, with no change of thread between"
