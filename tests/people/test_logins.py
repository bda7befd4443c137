"""Whether a login is still alive: what consoles and sockets ask again and again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from people.logins import is_alive, login_digest
from people.models import ApiToken
from tests.cast import ClientOf


@pytest.fixture
def session_login(client_of: ClientOf, owner: User) -> str:
    return f"session:{client_of(owner).session.session_key}"


@pytest.fixture
def token_login(owner: User) -> str:
    return f"token:{ApiToken.make(owner.pk, 'script')[0].pk}"


def test_session_and_token_are_alive_for_their_user_only(
    session_login: str, token_login: str, owner: User, viewer: User
) -> None:
    for login in (session_login, token_login):
        assert is_alive(login, owner.pk)
        assert not is_alive(login, viewer.pk)


def test_login_ends_with_its_row(session_login: str, token_login: str, owner: User) -> None:
    Session.objects.all().delete()
    ApiToken.objects.all().delete()
    assert not is_alive(session_login, owner.pk)
    assert not is_alive(token_login, owner.pk)


def test_login_ends_when_its_user_is_disabled(session_login: str, token_login: str, owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert not is_alive(session_login, owner.pk)
    assert not is_alive(token_login, owner.pk)


def test_session_ends_with_its_time(session_login: str, owner: User) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not is_alive(session_login, owner.pk)


def test_session_ends_when_an_administrator_sets_another_password(session_login: str, owner: User) -> None:
    owner.set_password("set by an administrator")
    owner.save()
    assert not is_alive(session_login, owner.pk)


def test_digest_does_not_show_the_login() -> None:
    assert login_digest("session:abc") == login_digest("session:abc")
    assert "abc" not in login_digest("session:abc")
    assert len(login_digest("session:abc")) == 64
