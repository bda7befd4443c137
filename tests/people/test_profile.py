"""The profile page: one's own API tokens and password."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from people.forms import MOST_TOKENS
from people.models import ApiToken, digest_of
from tests.cast import PASSWORD, ClientOf

PROFILE = "/profile/"
TOKENS = "/profile/tokens/"
NEW_PASSWORD = "another good one 7 horse"


def change_password(client: Client, old: str = PASSWORD, new: str = NEW_PASSWORD):
    data = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/profile/password/", data)


def test_profile_lists_only_ones_own_tokens(client_of: ClientOf, owner: User, stranger: User) -> None:
    ApiToken.make(owner.pk, "backup script")
    ApiToken.make(stranger.pk, "someone else's")
    page = client_of(owner).get(PROFILE).content.decode()
    assert "backup script" in page
    assert "someone else" not in page
    assert "never used" in page


def test_profile_costs_no_query_for_each_token(client_of: ClientOf, owner: User, django_assert_max_num_queries) -> None:
    client = client_of(owner)
    for number in range(20):
        ApiToken.make(owner.pk, f"script {number}")
    with django_assert_max_num_queries(6):
        client.get(PROFILE)


def test_made_token_is_shown_once_and_kept_only_as_a_digest(client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    made = client.post(TOKENS, {"name": "backup script"})
    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    token = re.search(r"kvmp_[\w-]{43}", made.content.decode())[0]
    row = ApiToken.objects.get()
    assert (row.user, row.name, row.digest) == (owner, "backup script", digest_of(token))
    assert token not in client.get(PROFILE).content.decode()
    assert not any(token in str(session.get_decoded()) for session in Session.objects.all())


def test_made_token_signs_its_user_in(client_of: ClientOf, owner: User) -> None:
    page = client_of(owner).post(TOKENS, {"name": "script"}).content.decode()
    token = re.search(r"kvmp_[\w-]{43}", page)[0]
    assert Client().get("/api/v1/machines", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_token_needs_a_sensible_name(client_of: ClientOf, owner: User, name: str) -> None:
    refused = client_of(owner).post(TOKENS, {"name": name})
    assert refused.status_code == 400
    assert not ApiToken.objects.exists()


def test_token_name_is_shown_as_text_not_as_markup(client_of: ClientOf, owner: User) -> None:
    page = client_of(owner).post(TOKENS, {"name": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;" in page


def test_nobody_has_more_tokens_than_can_be_kept_an_eye_on(client_of: ClientOf, owner: User) -> None:
    ApiToken.objects.bulk_create(
        ApiToken(user=owner, name=f"script {number}", digest=digest_of(str(number))) for number in range(MOST_TOKENS)
    )
    refused = client_of(owner).post(TOKENS, {"name": "one more"})
    assert refused.status_code == 400
    assert b"Revoke one first" in refused.content
    assert ApiToken.objects.count() == MOST_TOKENS


def test_owner_revokes_a_token_and_it_stops_working(client_of: ClientOf, owner: User) -> None:
    row, token = ApiToken.make(owner.pk, "script")
    client = client_of(owner)
    asked = client.post(f"{TOKENS}{row.pk}/revoke/")
    assert "Revoke “script”?" in asked.content.decode()
    assert ApiToken.objects.exists()
    answer = client.post(f"{TOKENS}{row.pk}/revoke/", {"confirm": "1"})
    assert answer["Location"] == PROFILE
    assert Client().get("/api/v1/machines", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("role", ["stranger", "helpdesk", "admin"])
def test_others_cannot_revoke_ones_token(client_of: ClientOf, owner: User, role: str, request) -> None:
    row, _ = ApiToken.make(owner.pk, "script")
    other = request.getfixturevalue(role)
    assert client_of(other).post(f"{TOKENS}{row.pk}/revoke/", {"confirm": "1"}).status_code == 404
    assert ApiToken.objects.filter(pk=row.pk).exists()


def test_unknown_token_cannot_be_revoked(client_of: ClientOf, owner: User) -> None:
    assert client_of(owner).post(f"{TOKENS}999/revoke/").status_code == 404


@pytest.mark.parametrize("address", ["/profile/tokens/", "/profile/tokens/1/revoke/", "/profile/password/"])
def test_changes_need_a_post(client_of: ClientOf, owner: User, address: str) -> None:
    assert client_of(owner).get(address).status_code == 405


def test_profile_cannot_be_posted_to(client_of: ClientOf, owner: User) -> None:
    assert client_of(owner).post(PROFILE).status_code == 405


@pytest.mark.parametrize("address", ["/profile/tokens/", "/profile/tokens/1/revoke/", "/profile/password/"])
def test_anonymous_changes_lead_to_the_login_page(client: Client, db: None, address: str) -> None:
    assert client.post(address)["Location"].startswith("/login/?next=")


def test_anonymous_profile_leads_to_the_login_page(client: Client, db: None) -> None:
    assert client.get(PROFILE)["Location"] == "/login/?next=/profile/"


def test_changed_password_signs_out_every_other_browser(client_of: ClientOf, owner: User, viewer: User) -> None:
    here, there, someone_else = client_of(owner), client_of(owner), client_of(viewer)
    assert change_password(here)["Location"] == PROFILE
    assert here.get(PROFILE).status_code == 200
    assert there.get(PROFILE).status_code == 302
    assert someone_else.get(PROFILE).status_code == 200
    assert Session.objects.count() == 2
    owner.refresh_from_db()
    assert owner.check_password(NEW_PASSWORD)


def test_wrong_old_password_changes_nothing(client_of: ClientOf, owner: User) -> None:
    refused = change_password(client_of(owner), old="wrong")
    assert refused.status_code == 400
    assert b"old password was entered incorrectly" in refused.content
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


@pytest.mark.parametrize("weak", ["short1", "password123", "8402840284", "theowner1"])
def test_weak_new_password_is_refused(client_of: ClientOf, owner: User, weak: str) -> None:
    assert change_password(client_of(owner), new=weak).status_code == 400
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)
