"""Signing in and out."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from tests.cast import PASSWORD, ClientOf

LOGIN = "/login/"


def log_in(client: Client, name: str = "owner", password: str = PASSWORD, **more: str):
    return client.post(LOGIN, {"username": name, "password": password, **more})


def test_owner_logs_in_and_comes_to_the_machines(client: Client, owner: User) -> None:
    response = log_in(client)
    assert response.status_code == 302
    assert response["Location"] == reverse("lifecycle:machines")
    assert client.session["_auth_user_id"] == str(owner.pk)


def test_login_page_shows_a_form_and_no_navigation(client: Client, db: None) -> None:
    page = client.get(LOGIN)
    assert page.status_code == 200
    assert b'name="password"' in page.content
    assert b'href="/operations/"' not in page.content


def test_wrong_password_says_so_and_does_not_say_which_was_wrong(client: Client, owner: User) -> None:
    wrong = log_in(client, password="wrong")
    nobody = log_in(client, name="nobody", password="wrong")
    assert wrong.status_code == nobody.status_code == 200
    sentence = b"Please enter a correct username and password"
    assert sentence in wrong.content
    assert sentence in nobody.content
    assert "_auth_user_id" not in client.session


def test_disabled_user_cannot_log_in(client: Client, owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert log_in(client).status_code == 200
    assert "_auth_user_id" not in client.session


def test_login_goes_on_to_the_page_that_was_wanted(client: Client, owner: User) -> None:
    assert log_in(client, next="/profile/")["Location"] == "/profile/"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "https://testserver@evil.example/",
        "\thttps://evil.example",
    ],
)
def test_login_never_leads_to_another_site(client: Client, owner: User, elsewhere: str) -> None:
    assert log_in(client, next=elsewhere)["Location"] == reverse("lifecycle:machines")
    signed_in = client.get(LOGIN, {"next": elsewhere})
    assert signed_in["Location"] == reverse("lifecycle:machines")


@pytest.mark.parametrize("back", ["/login/", "/login/?next=/login/"])
def test_login_page_never_leads_to_itself(client_of: ClientOf, owner: User, back: str) -> None:
    assert client_of(owner).get(LOGIN, {"next": back})["Location"] == reverse("lifecycle:machines")


def test_session_gets_a_new_key_at_login(client: Client, owner: User) -> None:
    session = client.session
    session["before"] = True
    session.save()
    client.cookies["sessionid"] = session.session_key
    log_in(client)
    assert client.cookies["sessionid"].value != session.session_key
    assert not Session.objects.filter(session_key=session.session_key).exists()


def test_logging_out_needs_a_post_and_deletes_the_session(client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    assert client.get("/logout/").status_code == 405
    assert client.get("/profile/").status_code == 200
    assert client.post("/logout/")["Location"] == LOGIN
    assert not Session.objects.exists()
    assert client.get("/profile/").status_code == 302


def test_logging_out_needs_the_csrf_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    refused = client.post("/logout/")
    assert refused.status_code == 403
    assert b"reload it and try again" in refused.content
    assert client.get("/profile/").status_code == 200


def test_logging_in_needs_the_csrf_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert log_in(client).status_code == 403


def test_passwords_are_kept_as_slow_salted_hashes(owner: User) -> None:
    algorithm, iterations, _salt, _hash = owner.password.split("$")
    assert algorithm == "pbkdf2_sha256"
    assert int(iterations) >= 600_000
