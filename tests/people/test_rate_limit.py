"""Guessing passwords is slow: failed logins are counted by name and by address, in Redis, for all processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client

from demo.servers import RedisServer
from kvmportal.environment import ROOT
from tests.cast import PASSWORD, ClientOf

pytestmark = pytest.mark.usefixtures("quick_passwords")

TOO_MANY = b"Too many logins failed"
OTHER_PROCESS = """
import django; django.setup()
from allauth.account.adapter import get_adapter
from allauth.core import context
from django.test import RequestFactory
request = RequestFactory().post("/login/")
with context.request_context(request):
    for _ in range(5):
        get_adapter().pre_authenticate(request, username="owner")
"""


def log_in(name: str = "owner", password: str = PASSWORD, **headers: str):
    return Client(headers=headers).post("/login/", {"username": name, "password": password})


def test_sixth_wrong_password_under_a_name_is_not_even_tried(owner: User, viewer: User) -> None:
    for _ in range(5):
        assert TOO_MANY not in log_in(password="wrong").content
    assert TOO_MANY in log_in(password="wrong").content
    assert TOO_MANY in log_in().content
    assert TOO_MANY in log_in(name=" OWNER ").content
    assert log_in(name="viewer").status_code == 302


def test_name_may_log_in_again_after_the_wait(owner: User, settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"login_failed": "100/m/ip,2/3s/key"}
    began = time.monotonic()
    for _ in range(2):
        log_in(password="wrong")
    assert TOO_MANY in log_in().content
    while (answer := log_in()).status_code == 200:
        assert time.monotonic() - began < 30
        time.sleep(0.1)
    assert answer.status_code == 302
    assert time.monotonic() - began >= 3


def test_names_that_do_not_exist_are_counted_like_those_that_do(owner: User) -> None:
    for _ in range(5):
        log_in(name="nobody", password="wrong")
    assert TOO_MANY in log_in(name="nobody", password="wrong").content


def test_address_that_tries_many_names_waits(owner: User) -> None:
    for number in range(20):
        log_in(name=f"guess{number}", password="wrong")
    assert TOO_MANY in log_in().content


def test_right_passwords_are_not_counted(owner: User) -> None:
    for _ in range(25):
        assert log_in().status_code == 302


def test_all_processes_count_together(owner: User, redis_server: RedisServer) -> None:
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "kvmportal.settings"}
    subprocess.run([sys.executable, "-c", OTHER_PROCESS], cwd=ROOT, env=environ, check=True, timeout=60)
    assert TOO_MANY in log_in().content


def test_behind_a_proxy_each_person_has_an_address(owner: User, settings) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(20):
        log_in(name=f"guess{number}", password="wrong", **{"X-Forwarded-For": f"10.9.9.{number}, 192.0.2.1"})
    assert TOO_MANY in log_in(**{"X-Forwarded-For": "10.9.9.99, 192.0.2.1"}).content
    assert log_in(**{"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}).status_code == 302


def test_without_a_proxy_nobody_is_believed_about_their_address(owner: User) -> None:
    for number in range(20):
        log_in(name=f"guess{number}", password="wrong", **{"X-Forwarded-For": f"192.0.2.{number}"})
    assert TOO_MANY in log_in(**{"X-Forwarded-For": "192.0.2.99"}).content


def test_while_nothing_can_count_nobody_logs_in_and_the_page_says_so(owner: User, redis_server: RedisServer) -> None:
    redis_server.end()
    try:
        answer = log_in()
    finally:
        redis_server.start()
    assert answer.status_code == 200
    assert b"a part of the portal does not answer" in answer.content
    assert log_in().status_code == 302


def test_old_password_is_not_guessed_in_a_stolen_session(client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    data = {"old_password": "wrong", "new_password1": "x", "new_password2": "x"}
    for _ in range(5):
        assert client.post("/profile/password/", data).status_code == 400
    refused = client.post("/profile/password/", data)
    assert refused.status_code == 429
    assert b"too often" in refused.content
