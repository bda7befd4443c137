"""Files for virt-viewer: who gets one, what it holds, and that it is a secret which nobody keeps."""

from __future__ import annotations

import configparser
import hashlib
import json
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from redis import Redis

from consoles.models import ConsolePolicy, ConsoleSession
from consoles.proxy import redis_names, viewer_tickets
from consoles.proxy.tickets import Denied
from hypervisor.states import State
from kvmportal.environment import BadEnvironment, read
from machines.models import Grant, GrantRole, Machine
from tests.cast import ClientOf

SPICE, VNC = "https://portal.test:6443", "portal.test:5999"


@pytest.fixture(autouse=True)
def _doors(settings: object) -> None:
    settings.CONSOLE_SPICE_PUBLIC, settings.CONSOLE_VNC_PUBLIC = SPICE, VNC


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """The cast's machine, with both displays."""
    machine.graphics = ["vnc", "spice"]
    machine.save()
    return machine


def press(client: Client, machine: Machine, **form: str):
    return client.post(f"/machines/{machine.uuid}/viewer-file/", form)


def ask(client: Client, machine: Machine, **wanted: object):
    url = f"/api/v1/machines/{machine.uuid}/viewer-file"
    return client.post(url, wanted, content_type="application/json")


def values(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser.sections() == ["virt-viewer"]
    return dict(parser["virt-viewer"])


def claim(redis: Redis, secret: str) -> dict[str, object]:
    key = f"console:ticket:{hashlib.sha256(f'viewer.{secret}'.encode()).hexdigest()}"
    assert 50 < redis.ttl(key) <= 60
    kept = json.loads(redis.get(key))
    assert redis.ttl(redis_names.lease_key(kept["session"])) > redis.ttl(key) + redis_names.RENEW_SECONDS
    return kept


def test_spice_file_leads_through_the_door_and_holds_one_secret(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    answer = press(client_of(owner), machine)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-virt-viewer"
    assert answer["Content-Disposition"] == f'attachment; filename="{machine.name}.vv"'
    assert answer["Cache-Control"] == "no-store"
    file = values(answer.content.decode())
    proxy = urlsplit(file.pop("proxy"))
    assert (proxy.scheme, proxy.hostname, proxy.port, proxy.username) == ("https", "portal.test", 6443, "ticket")
    assert file == {
        "type": "spice",
        "title": machine.name,
        "host": str(machine.uuid),
        "port": "5900",
        "enable-usbredir": "1",
        "enable-smartcard": "0",
        "delete-this-file": "1",
        "toggle-fullscreen": "shift+f11",
        "release-cursor": "shift+f12",
        "secure-attention": "ctrl+alt+end",
    }
    kept = claim(redis, proxy.password)
    row = ConsoleSession.objects.get()
    assert (kept["session"], kept["machine"], kept["client"]) == (str(row.pk), str(machine.uuid), "viewer")
    assert (kept["protocol"], kept["mode"], kept["channel"]) == ("spice", "control", None)
    assert "microphone" not in kept
    assert (row.user, row.client, row.protocol, row.mode) == (owner, "viewer", "spice", "control")
    assert not any(proxy.password in name or proxy.password in str(redis.get(name)) for name in redis.scan_iter())


def test_vnc_file_names_the_door_as_the_server(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    file = values(press(client_of(owner), machine, protocol="vnc").content.decode())
    assert (file["type"], file["host"], file["port"], file["username"]) == ("vnc", "portal.test", "5999", "ticket")
    assert "proxy" not in file
    assert claim(redis, file["password"])["protocol"] == "vnc"


def test_who_may_only_view_gets_a_file_that_says_so(
    client_of: ClientOf, viewer: User, machine: Machine, redis: Redis
) -> None:
    file = values(press(client_of(viewer), machine).content.decode())
    assert (file["title"], file["enable-usbredir"]) == (f"{machine.name} (view only)", "0")
    assert claim(redis, urlsplit(file["proxy"]).password)["mode"] == "view"


def test_owner_may_ask_for_a_file_that_only_looks(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    file = values(press(client_of(owner), machine, protocol="vnc", mode="view").content.decode())
    assert claim(redis, file["password"])["mode"] == "view"


def test_microphone_is_let_in_only_when_it_is_ticked(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    client = client_of(owner)
    assert client.get(f"/machines/{machine.uuid}/").content.decode().count('name="microphone"') == 1
    file = values(press(client, machine, protocol="spice", microphone="1").content.decode())
    assert claim(redis, urlsplit(file["proxy"]).password)["microphone"] is True


def test_script_gets_the_same_by_the_api(
    script_of: ClientOf, owner: User, viewer: User, machine: Machine, redis: Redis
) -> None:
    answer = ask(script_of(owner), machine, protocol="vnc", mode="control")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-virt-viewer")
    assert answer["Cache-Control"] == "no-store"
    assert claim(redis, values(answer.content.decode())["password"])["by_token"] is True
    assert ask(script_of(viewer), machine, mode="view").status_code == 200
    refused = ask(script_of(viewer), machine, mode="control")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert ask(script_of(owner), machine, protocol="telnet").status_code == 400
    assert ask(script_of(owner), machine, port=5900).status_code == 400


def test_strangers_and_people_without_the_right_get_none(
    client_of: ClientOf, client: Client, stranger: User, helpdesk: User, machine: Machine, script_of: ClientOf
) -> None:
    assert press(client, machine).status_code == 302
    assert press(client_of(stranger), machine).status_code == 404
    assert press(client_of(helpdesk), machine).status_code == 403
    assert ask(client, machine).status_code == 401
    assert ask(script_of(stranger), machine).status_code == 404
    assert client_of(stranger).get(f"/machines/{machine.uuid}/viewer-file/").status_code == 405
    assert not ConsoleSession.objects.exists()


def test_page_without_its_csrf_token_gets_none(owner: User, machine: Machine) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert press(client, machine).status_code == 403


@pytest.mark.parametrize("form", [{"protocol": "telnet"}, {"mode": "root"}])
def test_form_that_makes_no_sense_leads_back(
    client_of: ClientOf, owner: User, machine: Machine, form: dict[str, str]
) -> None:
    answer = press(client_of(owner), machine, **form)
    assert (answer.status_code, answer["Location"]) == (302, f"/machines/{machine.uuid}/")


def test_machine_that_is_off_or_lacks_the_display_says_so(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine
) -> None:
    machine.graphics = ["vnc"]
    machine.save()
    assert ask(script_of(owner), machine, protocol="spice").json()["error"]["code"] == "no_display"
    assert ask(script_of(owner), machine, protocol="serial").json()["error"]["code"] == "no_viewer"
    machine.state = State.SHUTOFF
    machine.save()
    assert ask(script_of(owner), machine, protocol="vnc").json()["error"]["code"] == "state_conflict"
    client = client_of(owner)
    page = client.get(press(client, machine)["Location"]).content.decode()
    assert "it has no picture now" in page


def test_portal_without_doors_offers_none(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, settings: object
) -> None:
    client, url = client_of(owner), f"/machines/{machine.uuid}/"
    assert client.get(url).content.decode().count('name="protocol"') == 2
    settings.CONSOLE_SPICE_PUBLIC = ""
    assert client.get(url).content.decode().count('name="protocol"') == 1
    assert ask(script_of(owner), machine).json()["error"]["code"] == "no_viewer"
    settings.CONSOLE_VNC_PUBLIC = ""
    assert "/viewer-file/" not in client.get(url).content.decode()


def test_name_that_would_be_more_lines_stays_one_value(client_of: ClientOf, owner: User, machine: Machine) -> None:
    machine.name = "a\\b\nproxy=http://evil.test:1\n[other]"
    machine.save()
    text = press(client_of(owner), machine, protocol="vnc").content.decode()
    assert "title=a\\\\b\\nproxy=http://evil.test:1\\n[other]\n" in text
    assert text.count("\n[") == 0
    assert "proxy" not in values(text)


def test_file_stays_what_it_is_when_its_right_is_taken_away(
    client_of: ClientOf,
    viewer: User,
    machine: Machine,
    redis: Redis,
    django_capture_on_commit_callbacks: object,
) -> None:
    file = values(press(client_of(viewer), machine, protocol="vnc").content.decode())
    session = claim(redis, file["password"])["session"]
    with django_capture_on_commit_callbacks(execute=True):
        Grant.objects.get(user=viewer, role=GrantRole.VIEWER).delete()
    assert not redis.exists(redis_names.lease_key(session))


def test_file_that_nobody_opens_is_written_off(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    from consoles.auditor import Auditor

    press(client_of(owner), machine)
    row = ConsoleSession.objects.get()
    redis.delete(redis_names.lease_key(str(row.pk)))
    ConsoleSession.objects.update(asked_at=timezone.now() - timedelta(minutes=3))
    Auditor().look_after_leases()
    row.refresh_from_db()
    assert row.end_reason == "unused"


@pytest.mark.parametrize("protocol", ["spice", "vnc"])
def test_a_file_is_worth_nothing_after_its_minute(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis, protocol: str
) -> None:
    """Redis is told that 59 seconds have gone by."""
    file = values(press(client_of(owner), machine, protocol=protocol).content.decode())
    secret = urlsplit(file["proxy"]).password if protocol == "spice" else file["password"]
    key = redis_names.ticket_key(viewer_tickets.ticket_of(secret))
    assert 59 <= redis.ttl(key) <= viewer_tickets.TICKET_SECONDS == 60
    redis.pexpire(key, redis.pttl(key) - 59_000)
    assert viewer_tickets.claim_of(redis, secret, protocol).machine == machine.uuid
    time.sleep(1.1)
    with pytest.raises(Denied):
        viewer_tickets.claim_of(redis, secret, protocol)


@pytest.mark.parametrize(
    "bad",
    [
        {"CONSOLE_SPICE_PUBLIC": "portal.test:6443"},
        {"CONSOLE_SPICE_PUBLIC": "https://portal.test"},
        {"CONSOLE_SPICE_PUBLIC": "https://portal.test:6443/path"},
        {"CONSOLE_SPICE_PUBLIC": "http://portal.test:6081", "PORTAL_URL": "https://portal.test"},
        {"CONSOLE_VNC_PUBLIC": "portal.test"},
        {"CONSOLE_VNC_PUBLIC": "unix:/run/vnc"},
        {"CONSOLE_VNC_PUBLIC": "portal.test:5999", "PORTAL_URL": "https://portal.test"},
        {"CONSOLE_SPICE_LISTEN": "unix:/run/spice"},
        {"CONSOLE_VNC_LISTEN": "6082"},
        {"CONSOLE_VIEWER_CERT": "/etc/cert.pem"},
        {"CONSOLE_VIEWER_KEY": "/etc/key.pem"},
        {"CONSOLE_VIEWER_CERT": "cert.pem", "CONSOLE_VIEWER_KEY": "key.pem"},
    ],
)
def test_door_that_would_not_work_or_not_be_safe_is_refused_at_the_start(bad: dict[str, str]) -> None:
    with pytest.raises(BadEnvironment) as refusal:
        read(bad)
    assert str(refusal.value).startswith(next(iter(bad)))


def test_portal_of_https_has_doors_with_a_certificate(tmp_path: Path) -> None:
    environment = read(
        {
            "PORTAL_URL": "https://portal.test",
            "CONSOLE_SPICE_PUBLIC": "https://portal.test:6443",
            "CONSOLE_VNC_PUBLIC": "portal.test:5999",
            "CONSOLE_VIEWER_CERT": "/etc/cert.pem",
            "CONSOLE_VIEWER_KEY": "/etc/key.pem",
        }
    )
    assert (environment.console_spice_public, environment.console_vnc_public) == (SPICE, VNC)


def test_machine_that_is_recorded_is_opened_in_the_browser(script_of: ClientOf, owner: User, machine: Machine) -> None:
    ConsolePolicy.objects.create(machine=machine, record=True)
    refused = ask(script_of(owner), machine, protocol="vnc")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "recorded")
    assert ask(script_of(owner), machine, protocol="spice").status_code == 200, "SPICE is not recorded anywhere"


def test_console_offers_virt_viewer_in_its_menu(client_of: ClientOf, owner: User, machine: Machine) -> None:
    page = client_of(owner).get(f"/machines/{machine.uuid}/console/?mode=view").content.decode()
    assert page.count('form="viewer-file"') == 2
    assert '<input type="hidden" name="mode" value="view">' in page
