"""The examples of docs/reverse-proxy.md, run as they stand there: sign in and a console over one address with TLS."""

from __future__ import annotations

import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect, sync_playwright

from demo import accounts
from demo.kept import Kept
from demo.libvirtd import PrivateLibvirtd
from demo.portal import Portal, fingerprint_of_static_sources
from demo.servers import RedisServer, free_port
from kvmportal.environment import ROOT
from tests.browser.audience import log_in
from tests.browser.conftest import FLAGS, STATIC
from tests.browser.stage import eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser, pytest.mark.full]

PROGRAMS = {"nginx": ("nginx", "usr/sbin/nginx"), "caddy": ("caddy", "usr/bin/caddy")}
PAGE = ROOT / "docs" / "reverse-proxy.md"


def unpacked(name: str) -> Path:
    """Return a reverse proxy's program, unpacked from Debian's package and not installed: nothing starts by itself."""
    package, program = PROGRAMS[name]
    place = ROOT / "var" / "reverse-proxies" / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            subprocess.run(["apt-get", "--quiet", "--quiet", "download", package], cwd=scratch, check=True)
            [archive] = Path(scratch).glob("*.deb")
            subprocess.run(["dpkg", "-x", archive, f"{scratch}/root"], check=True)
            (Path(scratch) / "root").rename(place)
    return place / program


def example(name: str) -> str:
    """Return the configuration that the page shows."""
    [found] = re.findall(rf"```{name}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


def addressed(text: str, front: int, portal: Portal) -> str:
    for port, real in (("6080", portal.console_port), ("8000", portal.port)):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{real}")
    return text.replace("listen 443 ssl;", f"listen 127.0.0.1:{front} ssl;")


def nginx_command(directory: Path, text: str) -> list[str]:
    text = text.replace("/etc/kvmportal/", f"{directory}/").replace("server_name machines.example.org;", "")
    temporary = "".join(
        f"{what}_temp_path {directory}/{what};\n" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"daemon off; pid {directory}/pid; error_log stderr;\nevents {{}}\n"
    whole = f"{head}http {{\naccess_log off;\n{temporary}{text}}}\n"
    (directory / "conf").write_text(whole)
    return [str(unpacked("nginx")), "-c", str(directory / "conf"), "-e", "stderr", "-p", str(directory)]


def caddy_command(directory: Path, text: str, front: int) -> list[str]:
    site = (
        f"https://127.0.0.1:{front} {{\n    bind 127.0.0.1\n    tls {directory}/fullchain.pem {directory}/privkey.pem\n"
    )
    whole = "{\n    admin off\n    auto_https disable_redirects\n}\n" + text.replace("machines.example.org {\n", site)
    (directory / "Caddyfile").write_text(whole)
    return [str(unpacked("caddy")), "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]


def certificate(directory: Path) -> None:
    """Make a certificate that nobody trusts, for this address."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-keyout", directory / "privkey.pem", "-out", directory / "fullchain.pem"]
    subprocess.run([*make, *names, *out], check=True, capture_output=True)


@contextmanager
def portal_behind(
    directory: Path, front: int, libvirt: PrivateLibvirtd
) -> Iterator[tuple[Portal, accounts.Credentials]]:
    """A portal that people reach at https://127.0.0.1:front only."""
    with RedisServer(directory / "redis", temporary=True) as redis:
        portal = Portal(
            directory,
            redis_url=redis.url,
            database_url=f"sqlite:///{directory / 'db.sqlite3'}",
            secret_key=secrets.token_urlsafe(48),
            static_root=STATIC / fingerprint_of_static_sources()[:12],
            extra={
                "PORTAL_URL": f"https://127.0.0.1:{front}",
                "CONSOLE_PUBLIC_URL": f"wss://127.0.0.1:{front}/console",
                "CONSOLE_ORIGINS": "",
                **dict.fromkeys(("CONSOLE_SPICE_PUBLIC", "CONSOLE_SPICE_LISTEN"), ""),
                **dict.fromkeys(("CONSOLE_VNC_PUBLIC", "CONSOLE_VNC_LISTEN"), ""),
            },
        )
        credentials = accounts.load_credentials(directory / "none.json", portal.url)
        portal.prepare()
        accounts.write(portal, "people", users=credentials["users"], host_uri=libvirt.uri)
        try:
            portal.start()
            portal.wait_ready()
            yield portal, credentials
        finally:
            portal.stop()


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_pages_sockets_and_consoles_share_one_address(
    name: str, tmp_path: Path, libvirtd: PrivateLibvirtd, guest_image, guest_type
) -> None:
    front = free_port()
    certificate(tmp_path)
    guest = Guest.define(libvirtd, f"kvmportal-test-behind-{name}", guest_image, domain_type=guest_type)
    with ExitStack() as stack:
        stack.callback(guest.remove)
        guest.virsh("start")
        portal, credentials = stack.enter_context(portal_behind(tmp_path / "portal", front, libvirtd))
        text = addressed(example(name), front, portal)
        command = nginx_command(tmp_path, text) if name == "nginx" else caddy_command(tmp_path, text, front)
        env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        kept = stack.enter_context(Kept(command, log=tmp_path / "front.log", env=env))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        stack.callback(browser.close)
        page = browser.new_context(base_url=f"https://127.0.0.1:{front}", ignore_https_errors=True).new_page()
        eventually(lambda: kept.running and answers(page))
        log_in(page, "admin", credentials["users"]["admin"]["password"])
        row = page.locator(f'[data-machine="{guest.uuid}"]').first
        expect(row).to_have_attribute("data-state", re.compile("running|idle"), timeout=60_000)
        page.goto(f"/machines/{guest.uuid}/console/")
        expect(page.locator("[data-console]")).to_have_attribute("data-connection", "connected", timeout=60_000)
        page.goto(f"/machines/{guest.uuid}/console/?protocol=serial")
        expect(page.locator("[data-console]")).to_have_attribute("data-connection", "connected", timeout=60_000)
        guest.virsh("suspend")
        expect(page.locator("[data-console]")).to_have_attribute("data-state", "paused", timeout=30_000)


def answers(page: Page) -> bool:
    """Whether the portal's sign-in page comes through the reverse proxy."""
    try:
        return page.goto("/login/").status == 200
    except PlaywrightError:  # nobody listens yet
        return False
