"""Testing the connection to a host: by libvirt's test driver, a real libvirtd, and one that is not there or hangs."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from demo.libvirtd import PrivateLibvirtd
from lifecycle import host_check, host_tests, tasks
from lifecycle.models import HostTest, Status
from machines.models import Host
from tests.cast import ClientOf
from tests.lifecycle.conftest import StartWorker, eventually

NOWHERE = "qemu+unix:///system?socket=/nowhere/libvirt-sock"


def carried_out(host: Host, by: User) -> HostTest:
    """Ask for a test, and carry it out as the worker would."""
    test = host_tests.request(host, by)
    tasks.test_host(test.pk)
    test.refresh_from_db()
    return test


def to(host: Host, uri: str) -> Host:
    Host.objects.filter(pk=host.pk).update(uri=uri)
    host.refresh_from_db()
    return host


def test_host_that_answers_says_what_it_is_and_how_long_it_took(host: Host, admin: User) -> None:
    test = carried_out(host, admin)
    assert (test.status, test.error_code) == (Status.SUCCEEDED, "")
    assert test.facts.keys() == {
        *("hostname", "libvirt_version", "hypervisor_version", "cpus", "memory_bytes", "domains", "milliseconds"),
    }
    assert test.facts["domains"] >= 1  # the test driver's own machine
    assert 0 <= test.facts["milliseconds"] < 10_000
    assert test.message.startswith(f"Connected: libvirt {test.facts['libvirt_version']} on {test.facts['hostname']}")
    assert test.created_at <= test.started_at <= test.finished_at


def test_real_libvirtd_is_tested_and_the_hosts_row_stays_as_the_watcher_wrote_it(
    host: Host, admin: User, libvirtd: PrivateLibvirtd
) -> None:
    before = Host.objects.filter(pk=to(host, libvirtd.uri).pk).values().get()
    test = carried_out(host, admin)
    assert test.status == Status.SUCCEEDED
    assert (
        test.facts["libvirt_version"] == libvirtd.virsh("version", "--daemon").split("library: libvirt ")[-1].split()[0]
    )
    assert Host.objects.filter(pk=host.pk).values().get() == before


def test_host_that_is_not_there_fails_with_a_sentence_and_libvirts_words(host: Host, admin: User) -> None:
    Host.objects.filter(pk=host.pk).update(reachable=False, enabled=False)
    test = carried_out(to(host, NOWHERE), admin)
    assert (test.status, test.error_code) == (Status.FAILED, "host_unreachable")
    assert test.message.startswith("The host does not answer. Check that it is up")
    assert "/nowhere/libvirt-sock" in test.error_text
    assert test.facts.keys() == {"milliseconds"}


def test_libvirtd_that_hangs_keeps_a_worker_only_until_the_limit(
    host: Host, admin: User, libvirtd: PrivateLibvirtd
) -> None:
    test = host_tests.request(to(host, libvirtd.uri), admin)
    os.kill(libvirtd.pid, signal.SIGSTOP)
    try:
        host_check.run(test.pk, limit=1.0)
    finally:
        os.kill(libvirtd.pid, signal.SIGCONT)
    test.refresh_from_db()
    assert (test.status, test.error_text) == (Status.FAILED, "no answer within 1 s")
    assert 900 < test.facts["milliseconds"] < 8_000


# One at a time


def test_asking_again_while_a_test_is_open_gives_that_one(host: Host, admin: User) -> None:
    first = host_tests.request(host, admin)
    assert host_tests.request(host, admin) == first
    HostTest.objects.update(status=Status.RUNNING)
    assert host_tests.request(host, admin) == first
    HostTest.objects.update(status=Status.FAILED)
    assert host_tests.request(host, admin) != first


def test_test_is_carried_out_once_however_often_its_message_comes(host: Host, admin: User) -> None:
    test = carried_out(host, admin)
    tasks.test_host(test.pk)
    tasks.test_host(test.pk + 1)
    assert HostTest.objects.get(pk=test.pk).finished_at == test.finished_at


def test_latest_five_are_kept_in_view(host: Host, admin: User) -> None:
    for _number in range(6):
        HostTest.objects.create(host=host, requested_by=admin, status=Status.FAILED)
    assert host_tests.latest(host) == list(HostTest.objects.order_by("-pk")[:5])


# Tests that nobody carries out


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"status": Status.QUEUED, "created_at": timedelta(seconds=31)}, True),
        ({"status": Status.QUEUED, "created_at": timedelta(seconds=20)}, False),
        ({"status": Status.RUNNING, "started_at": timedelta(seconds=61)}, True),
        ({"status": Status.RUNNING, "started_at": timedelta(seconds=50)}, False),
    ],
)
def test_test_without_a_worker_is_ended_once(host: Host, admin: User, fields: dict, ended: bool) -> None:
    test = HostTest.objects.create(host=host, requested_by=admin)
    values = {name: timezone.now() - value if isinstance(value, timedelta) else value for name, value in fields.items()}
    HostTest.objects.filter(pk=test.pk).update(**values)
    tasks.end_lost_host_tests()
    first = HostTest.objects.get(pk=test.pk)
    assert (first.status == Status.FAILED, first.error_code == "worker_lost", bool(first.finished_at)) == (ended,) * 3
    tasks.end_lost_host_tests()
    assert HostTest.objects.get(pk=test.pk).finished_at == first.finished_at


def test_worker_that_comes_late_does_not_overwrite_the_end(host: Host, admin: User, monkeypatch) -> None:
    test = host_tests.request(host, admin)

    def slow(_seconds: float, _uri: str) -> dict:
        HostTest.objects.filter(pk=test.pk).update(status=Status.FAILED, message="ended by beat")
        return {"libvirt_version": "9", "hostname": "h", "domains": 0}

    monkeypatch.setattr(host_check, "_within", slow)
    host_check.run(test.pk)
    test.refresh_from_db()
    assert (test.status, test.message) == (Status.FAILED, "ended by beat")


@pytest.mark.django_db(transaction=True)
def test_real_worker_takes_the_test_from_the_queue(host: Host, admin: User, start_worker: StartWorker) -> None:
    start_worker("quick")
    test = host_tests.request(host, admin)
    eventually(lambda: HostTest.objects.get(pk=test.pk).status == Status.SUCCEEDED, 30)


# The API


def address(host: Host, test: int | str = "") -> str:
    return f"/api/v1/hosts/{host.pk}/tests" + (f"/{test}" if test else "")


def test_script_of_an_administrator_asks_and_looks(script_of: ClientOf, admin: User, host: Host) -> None:
    script = script_of(admin)
    answer = script.post(address(host))
    assert answer.status_code == 202
    asked = answer.json()
    assert (asked["host"], asked["status"], asked["requested_by"]) == (host.pk, "queued", "admin")
    assert script.post(address(host)).json()["id"] == asked["id"]
    host_check.run(asked["id"])
    seen = script.get(address(host, asked["id"])).json()
    assert (seen["status"], seen["error"], seen["facts"]["domains"] >= 1) == ("succeeded", None, True)


def test_failed_test_carries_libvirts_words_to_scripts(script_of: ClientOf, admin: User, host: Host) -> None:
    test = carried_out(to(host, NOWHERE), admin)
    error = script_of(admin).get(address(host, test.pk)).json()["error"]
    assert error["code"] == "host_unreachable"
    assert "/nowhere/" in error["text"]


@pytest.mark.parametrize("role", ["owner", "viewer", "stranger", "helpdesk"])
def test_tests_do_not_exist_for_others(script_of: ClientOf, admin: User, host: Host, role: str, request) -> None:
    test = host_tests.request(host, admin)
    script = script_of(request.getfixturevalue(role))
    for answer in (script.post(address(host)), script.get(address(host, test.pk))):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert HostTest.objects.count() == 1


def test_test_of_another_host_is_not_found(script_of: ClientOf, admin: User, host: Host) -> None:
    other = Host.objects.create(name="other", uri=NOWHERE)
    test = host_tests.request(other, admin)
    script = script_of(admin)
    assert script.get(address(host, test.pk)).status_code == 404
    assert script.get(address(other, "99999999999999999999")).status_code == 404
    assert script.post("/api/v1/hosts/424242/tests").status_code == 404


def test_login_session_needs_its_csrf_token_to_ask(host: Host, admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    answer = client.post(address(host))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_failed")
    assert not HostTest.objects.exists()
