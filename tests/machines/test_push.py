"""The one sender: after the commit, in order, lists at most once a second."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from django.db import connection, transaction

from kvmportal.environment import ROOT
from machines import push

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_push_waits_for_the_commit(machine, pushes):
    pushes.take()
    with transaction.atomic():
        push.machine(machine)
        assert pushes.take() == []
    assert machine.uuid in pushes.machines()


def test_what_is_rolled_back_is_not_pushed(machine, pushes):
    pushes.take()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        push.machine(machine)
        _ = 1 / 0
    assert pushes.machines() == {}


def test_a_machine_is_sent_as_it_is_when_it_is_pushed(machine, pushes):
    with transaction.atomic():
        push.machine(machine)
        machine.name = "later"
    assert pushes.machines()[machine.uuid]["name"] == "machine"


def test_many_pushes_keep_their_order(machine, pushes):
    pushes.take()
    for number in range(300):
        push.operation(machine.uuid, {"id": number})
    assert [message["operation"]["id"] for _, message in pushes.take()] == list(range(300))


def test_a_list_is_told_at_once_and_then_once_a_second_and_the_last_news_is_not_lost(pushes):
    began = time.monotonic()
    for _ in range(20):
        push.listing([7], everything=False, changed="state")
    push.listing([7], everything=False, changed="machines")
    push.listing([7], everything=False, changed="state")
    first = pushes.take()
    second = pushes.take(wait=1.5)
    assert first == [("user.7", {"type": "listing", "changed": "state"})]
    assert second == [("user.7", {"type": "listing", "changed": "machines"})]
    assert time.monotonic() - began > 1


def test_rights_and_logins_are_told_to_the_sockets_themselves(pushes):
    push.rights([7])
    push.login_ended("session:abc")
    push.user_disabled(8)
    told = dict(pushes.take())
    assert told["user.7"] == {"type": "rights.changed"}
    assert told["user.8"] == {"type": "login.ended"}
    [login] = [group for group in told if group.startswith("login.")]
    assert "abc" not in login


def test_a_process_that_ends_sends_what_it_has_queued(pushes):
    code = "import django; django.setup(); from machines import push; push.rights(range(1000, 1200))"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "kvmportal.settings"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment, timeout=60)
    assert len(pushes.take()) == 200


def test_many_threads_push_through_one(machine, pushes):
    def push_one(number: int) -> None:
        push.operation(machine.uuid, {"id": number})
        connection.close()

    pushes.take()
    threads = [threading.Thread(target=push_one, args=[number]) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pushes.take()) == 40
    assert [thread.name for thread in threading.enumerate()].count("push") == 1
