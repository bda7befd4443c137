"""The live stack and a real Chromium. One of each serves all tests of this package, which reuse its few guests."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from demo import accounts
from demo.guest import GuestImage
from demo.guest_xml import DomainType
from demo.libvirtd import PrivateLibvirtd
from demo.portal import Portal, fingerprint_of_static_sources
from demo.servers import RedisServer
from kvmportal.environment import ROOT
from tests.browser.audience import Audience
from tests.browser.backstage import Backstage
from tests.browser.stage import LAB, OFFICE, SHELF, Stage
from tests.guest import Guest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


STATIC = ROOT / "var" / "test-static"
A_DAY = 86_400.0  # seconds


@pytest.fixture(scope="package")
def static_root() -> Path:
    """Where static files are collected once for all runs that have the same ones; those of older days are removed."""
    root = STATIC / fingerprint_of_static_sources()[:12]
    for other in STATIC.glob("*"):
        if other != root and time.time() - other.stat().st_mtime > A_DAY:
            shutil.rmtree(other, ignore_errors=True)
    return root


@pytest.fixture(scope="package")
def stage(
    tmp_path_factory: pytest.TempPathFactory, guest_image: GuestImage, guest_type: DomainType, static_root: Path
) -> Iterator[Stage]:
    """The whole portal on a private libvirt and a private Redis, with its people, machines and rights."""
    directory: Path = tmp_path_factory.mktemp("portal")
    with ExitStack() as stack:
        libvirt = stack.enter_context(PrivateLibvirtd(temporary=True))
        redis = stack.enter_context(RedisServer(directory / "redis", temporary=True))
        portal = Portal(
            directory,
            redis_url=redis.url,
            database_url=f"sqlite:///{directory / 'db.sqlite3'}",
            secret_key=secrets.token_urlsafe(48),
            static_root=static_root,
            extra={"SHUTDOWN_LIMIT": "30", "DEBUG": "0", "SAVED_FILES_DIR": str(libvirt.directory / "saved")},
        )
        credentials = accounts.load_credentials(directory / "none.json", portal.url)
        portal.prepare()
        accounts.write(portal, "people", users=credentials["users"], host_uri=libvirt.uri)
        backstage = stack.enter_context(Backstage(portal.environment))
        stage = Stage(portal, libvirt, redis, backstage, guest_image, guest_type, credentials)
        for name in (OFFICE, LAB, SHELF):
            stage.define(name)
        stage.give_disk(stage.shelf)
        for guest in (stage.office, stage.lab):
            guest.virsh("start")
        stack.callback(portal.stop)
        portal.start()
        portal.wait_ready()
        ids = [str(guest.uuid) for guest in stage.guests.values()]
        accounts.write(portal, "owners", machines=ids, viewed=str(stage.office.uuid))
        yield stage


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. Ends with this package: Playwright's loop in this thread would stop Django's tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def logins() -> dict[str, object]:
    """Each role's cookies, so that only its first page goes through the login form."""
    return {}


@pytest.fixture(scope="module")
def wire(stage: Stage) -> Iterator[Guest]:
    """A machine of the owner's that has SPICE with QXL and a serial line, and no VNC."""
    guest = stage.define("wire", graphics=("spice",), video="qxl")
    stage.give(guest)
    stage.make_run(guest)
    yield guest
    stage.forget("wire")


@pytest.fixture
def audience(stage: Stage, chromium: Browser, logins: dict[str, object]) -> Iterator[Audience]:
    """The people of the test, each with a browser window; at the end no page may have complained of anything."""
    audience = Audience(stage, chromium, logins)
    yield audience
    complaints = audience.leave()
    assert complaints == []
