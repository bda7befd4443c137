"""An authenticator app and recovery codes: set up, asked for after the password, removed."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from people.logins import is_alive
from people.models import ApiToken
from tests.cast import PASSWORD, ClientOf
from tests.people.codes import code_of

pytestmark = pytest.mark.usefixtures("quick_passwords")

INDEX = "/profile/second-factor/"
APP = f"{INDEX}app/"
CODES = f"{INDEX}codes/"


def with_password(client: Client | None = None, name: str = "owner"):
    client = client or Client()
    return client, client.post("/login/", {"username": name, "password": PASSWORD, "next": "/operations/"})


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def confirm(client: Client, page: str) -> None:
    """Say one's password once more, on the way to this page."""
    asked = client.get(page)
    assert asked["Location"] == f"/profile/again/?next={page.replace('/', '%2F')}"
    answer = client.post("/profile/again/", {"password": PASSWORD, "next": page})
    assert answer["Location"] == page


@pytest.fixture
def secret(client_of: ClientOf, owner: User) -> str:
    """The key of an app that the owner set up."""
    client = client_of(owner)
    confirm(client, APP)
    page = client.get(APP).content.decode()
    assert "data:image/svg+xml;base64," in page
    secret = re.search(r"data-totp-secret>([A-Z2-7]+)<", page)[1]
    assert client.post(APP, {"code": code_of(secret)})["Location"] == CODES
    return secret


@pytest.fixture
def recovery_codes(client_of: ClientOf, owner: User, secret: str) -> list[str]:
    client = client_of(owner)
    confirm(client, CODES)
    shown = re.search(r"data-recovery-codes>(.*?)</pre>", client.get(CODES).content.decode(), re.DOTALL)[1]
    return shown.split()


def test_password_alone_no_longer_signs_in(owner: User, secret: str) -> None:
    client, answer = with_password()
    assert answer["Location"].startswith("/login/code/")
    assert not is_in(client)
    assert not is_alive(f"session:{client.session.session_key}", owner.pk)
    assert client.get("/api/v1/machines").status_code == 401
    assert client.post("/login/code/", {"code": code_of(secret)})["Location"] == "/operations/"
    assert is_in(client)


def test_session_gets_a_new_key_with_the_code(owner: User, secret: str) -> None:
    client, _ = with_password()
    before = client.session.session_key
    client.post("/login/code/", {"code": code_of(secret)})
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


def test_wrong_code_is_refused_and_guessing_is_slow(owner: User, secret: str) -> None:
    client, _ = with_password()
    wrong = "000000" if code_of(secret) != "000000" else "000001"
    for _ in range(5):
        assert b"That code is not right" in client.post("/login/code/", {"code": wrong}).content
    assert b"Too many logins failed" in client.post("/login/code/", {"code": code_of(secret)}).content
    assert not is_in(client)


def test_code_works_once(owner: User, secret: str) -> None:
    code = code_of(secret)
    for expected in (True, False):
        client, _ = with_password()
        client.post("/login/code/", {"code": code})
        assert is_in(client) == expected


def test_recovery_code_works_once_in_place_of_the_app(owner: User, recovery_codes: list[str]) -> None:
    assert len(set(recovery_codes)) == 10
    for expected in (True, False):
        client, _ = with_password()
        client.post("/login/code/", {"code": recovery_codes[0]})
        assert is_in(client) == expected


def test_new_recovery_codes_replace_the_old_ones(client_of: ClientOf, owner: User, recovery_codes: list[str]) -> None:
    client = client_of(owner)
    confirm(client, f"{CODES}new/")
    assert client.post(f"{CODES}new/")["Location"] == CODES
    other, _ = with_password()
    other.post("/login/code/", {"code": recovery_codes[1]})
    assert not is_in(other)


def test_disabled_person_is_refused_after_the_code_too(owner: User, secret: str) -> None:
    client, _ = with_password()
    User.objects.filter(pk=owner.pk).update(is_active=False)
    client.post("/login/code/", {"code": code_of(secret)})
    assert not is_in(client)


def test_step_of_the_code_is_not_reached_without_a_password(owner: User, secret: str) -> None:
    for answer in (Client().get("/login/code/"), Client().post("/login/code/", {"code": code_of(secret)})):
        assert (answer.status_code, answer["Location"]) == (302, "/login/")


def test_cancelling_forgets_the_password(owner: User, secret: str) -> None:
    client, _ = with_password()
    assert client.get("/login/code/").status_code == 200
    client.post("/logout/")
    assert client.get("/login/code/")["Location"] == "/login/"


def test_secrets_are_not_readable_in_the_database(owner: User, secret: str, recovery_codes: list[str]) -> None:
    kept = " ".join(str(row.data) for row in Authenticator.objects.all())
    assert secret not in kept
    assert not any(code in kept for code in recovery_codes)


def test_another_secret_key_opens_no_account(owner: User, secret: str, settings) -> None:
    settings.SECRET_KEY = "another key of the portal " * 2
    client, _ = with_password()
    client.post("/login/code/", {"code": code_of(secret)})
    assert not is_in(client)


def test_api_token_needs_no_code(owner: User, secret: str) -> None:
    _, token = ApiToken.make(owner.pk, "script")
    assert Client().get("/api/v1/machines", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_app_is_removed_and_the_password_is_enough_again(client_of: ClientOf, owner: User, secret: str) -> None:
    client = client_of(owner)
    confirm(client, f"{APP}remove/")
    assert client.get(f"{APP}remove/").status_code == 200
    assert client.post(f"{APP}remove/")["Location"] == INDEX
    assert not Authenticator.objects.exists()
    assert is_in(with_password()[0])


def test_administrator_removes_the_app_of_who_lost_their_phone(
    client_of: ClientOf, owner: User, admin: User, secret: str
) -> None:
    row = Authenticator.objects.get(user=owner, type="totp")
    page = client_of(admin).get(f"/admin/mfa/authenticator/{row.pk}/change/")
    assert page.status_code == 200
    assert row.data["secret"].encode() not in page.content
    client_of(admin).post(f"/admin/mfa/authenticator/{row.pk}/delete/", {"post": "yes"})
    assert is_in(with_password()[0])


def test_wrong_password_does_not_lead_on_to_a_new_app(client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    assert b"That is not your password" in client.post("/profile/again/", {"password": "wrong", "next": APP}).content
    assert client.get(APP).status_code == 302
    assert client.post(APP, {"code": "123456"}).status_code == 302


def test_app_that_shows_other_codes_is_not_set_up(client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    confirm(client, APP)
    client.get(APP)
    assert b"That code is not right" in client.post(APP, {"code": "not one"}).content
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize(
    "page", [APP, f"{APP}remove/", CODES, f"{CODES}new/", f"{INDEX}passkeys/add/", f"{INDEX}passkeys/1/remove/"]
)
def test_pages_of_the_second_factor_need_a_login(db: None, page: str) -> None:
    for answer in (Client().get(page), Client().post(page)):
        assert answer["Location"].startswith("/login/?next=")


@pytest.mark.parametrize("page", [f"{APP}remove/", CODES, f"{CODES}new/", f"{INDEX}passkeys/add/"])
def test_pages_that_need_the_password_once_more_refuse_other_methods(
    client_of: ClientOf, owner: User, secret: str, page: str
) -> None:
    client = client_of(owner)
    confirm(client, page)
    assert client.delete(page).status_code == 405


def test_other_pages_of_the_second_factor_refuse_other_methods(client_of: ClientOf, owner: User, secret: str) -> None:
    assert client_of(owner).post(INDEX).status_code == 405
    assert client_of(owner).delete("/profile/again/").status_code == 405
    client, _ = with_password()
    assert client.delete("/login/code/").status_code == 405


def test_code_that_was_used_stays_used_for_as_long_as_it_would_be_taken(owner: User, secret: str) -> None:
    """django-allauth itself remembers it for 30 s of 90."""
    code = code_of(secret, 1)
    with_code = Client()
    with_password(with_code)
    with_code.post("/login/code/", {"code": code})
    assert is_in(with_code)
    [key] = [key for key in cache._cache.get_client().scan_iter() if b"allauth.mfa.totp.used" in key]
    cache._cache.get_client().delete(key)
    client, _ = with_password()
    client.post("/login/code/", {"code": code})
    assert not is_in(client)
