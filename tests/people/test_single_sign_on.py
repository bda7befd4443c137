"""Logging in by OpenID Connect: a real provider in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from lxml import html

from demo.servers import free_port
from kvmportal.services import Provider
from people.provider_roles import give_roles
from people.roles import is_helpdesk
from tests.cast import PASSWORD, ClientOf
from tests.people.provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, visit

pytestmark = pytest.mark.usefixtures("quick_passwords")

START = "/login/with/sso/"
BACK = f"{START}back/"


@pytest.fixture(scope="module")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("oidc") / "server", f"http://testserver{BACK}") as server:
        yield server


@pytest.fixture(autouse=True)
def provider(db: None, settings, oidc: OidcProvider) -> Provider:
    """The portal as it is with that provider."""
    settings.PROVIDER = Provider(oidc.issuer, CLIENT_ID, CLIENT_SECRET, "Example ID", new_users=True)
    return settings.PROVIDER


def start(client: Client, **fields: str) -> str:
    """Press the button; return where the browser is sent."""
    page = client.post(START, fields)
    assert page.status_code == 200
    [refresh] = html.fromstring(page.content).xpath("//meta[@http-equiv='refresh']/@content")
    return refresh.partition("url=")[2]


def log_in(name: str = "alice", client: Client | None = None, **fields: str) -> tuple[Client, HttpResponse]:
    """Go to the provider and come back as this person of it."""
    client = client or Client()
    place = urlsplit(visit(start(client, **fields), name))
    return client, client.get(f"{place.path}?{place.query}")


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_login_page_offers_the_provider_by_its_name() -> None:
    page = Client().get("/login/?next=/operations/").content.decode()
    assert "Log in with Example ID" in page
    assert page.count('value="/operations/"') == 3


def test_login_page_offers_no_provider_where_there_is_none(settings) -> None:
    settings.PROVIDER = None
    assert b"Log in with Example ID" not in Client().get("/login/").content
    assert Client().post(START).status_code == 404
    assert Client().get(BACK).status_code == 404


def test_page_of_links_is_there_only_where_a_provider_is(settings, owner: User, client_of: ClientOf) -> None:
    assert client_of(owner).get("/profile/linked/").status_code == 200
    settings.PROVIDER = None
    assert client_of(owner).get("/profile/linked/").status_code == 404
    assert b"/profile/linked/" not in client_of(owner).get("/profile/").content


def test_person_of_the_provider_logs_in_and_gets_an_account_without_a_password() -> None:
    client, answer = log_in(next="/operations/")
    assert answer["Location"] == "/operations/"
    assert is_in(client)
    alice = User.objects.get()
    assert (alice.username, alice.email) == ("alice", "alice@example.org")
    assert not alice.has_usable_password()
    assert not (alice.is_staff or alice.is_superuser)
    page = client.get("/profile/").content
    assert b"keeps no password of yours" in page


def test_same_person_comes_back_to_the_same_account() -> None:
    log_in()
    User.objects.update(username="renamed")
    client, _ = log_in()
    assert is_in(client)
    assert User.objects.count() == 1


def test_browser_is_sent_with_state_and_proof_key() -> None:
    asked = parse_qs(urlsplit(start(Client())).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["client_id"] == [CLIENT_ID]
    assert asked["redirect_uri"] == [f"http://testserver{BACK}"]
    assert set(asked["scope"][0].split()) == {"openid", "profile", "email"}
    assert asked["state"][0]


def test_answer_is_taken_in_the_browser_that_asked_and_once() -> None:
    client = Client()
    place = urlsplit(visit(start(client), "alice"))
    other = Client()
    assert other.get(f"{place.path}?{place.query}").status_code == 401
    assert not is_in(other)
    client.get(f"{place.path}?{place.query}")
    assert is_in(client)
    client.post("/logout/")
    assert client.get(f"{place.path}?{place.query}").status_code == 401
    assert not is_in(client)


def test_session_gets_a_new_key_at_login() -> None:
    client = Client()
    address = start(client)
    before = client.session.session_key
    place = urlsplit(visit(address, "alice"))
    client.get(f"{place.path}?{place.query}")
    assert client.session.session_key != before


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_login_never_leads_to_another_site(elsewhere: str) -> None:
    _, answer = log_in(next=elsewhere)
    assert answer["Location"] == "/"


def test_name_of_an_account_that_is_there_does_not_open_it(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(email="owner@example.org")
    client, answer = log_in("owner")
    assert answer.status_code == 403
    assert "There is an account named “owner” already" in answer.content.decode()
    assert not is_in(client)
    assert not SocialAccount.objects.exists()


def test_owner_links_their_account_and_logs_in_by_it_from_then_on(owner: User, client_of: ClientOf) -> None:
    here = Client()
    here.post("/login/", {"username": "owner", "password": PASSWORD})
    _, answer = log_in("owner", here, process="connect")
    assert answer["Location"] == "/profile/linked/"
    page = here.get("/profile/linked/").content.decode()
    assert "Example ID" in page
    client, _ = log_in("owner")
    assert client.session["_auth_user_id"] == str(owner.pk)

    account = SocialAccount.objects.get()
    assert here.post("/profile/linked/", {"account": account.pk}).status_code == 302
    assert not SocialAccount.objects.exists()


def test_link_of_another_person_is_not_removed(owner: User, viewer: User, client_of: ClientOf) -> None:
    account = SocialAccount.objects.create(user=owner, provider="sso", uid="1")
    assert client_of(viewer).post("/profile/linked/", {"account": account.pk}).status_code == 200
    assert SocialAccount.objects.exists()


def test_last_way_in_is_not_removed() -> None:
    client, _ = log_in()
    client.post("/profile/linked/", {"account": SocialAccount.objects.get().pk})
    assert SocialAccount.objects.exists()


def test_account_of_the_provider_is_linked_to_one_person_only(owner: User, viewer: User, client_of: ClientOf) -> None:
    log_in("owner", client_of(owner), process="connect")
    log_in("owner", client_of(viewer), process="connect")
    assert SocialAccount.objects.get().user == owner


def test_strangers_get_no_account_where_the_portal_makes_none(settings, provider: Provider) -> None:
    settings.PROVIDER = replace(provider, new_users=False)
    client, answer = log_in()
    assert answer.status_code == 403
    assert b"You have no account here" in answer.content
    assert not is_in(client)
    assert not User.objects.exists()


def test_name_that_cannot_be_one_here_is_refused() -> None:
    _client, answer = log_in("a b")
    assert b"cannot be the name of an account here" in answer.content
    assert not User.objects.exists()


def test_disabled_person_is_refused(provider: Provider) -> None:
    log_in()
    User.objects.update(is_active=False)
    client, answer = log_in()
    assert answer["Location"] == "/login/disabled/"
    assert b"This account is disabled" in client.get("/login/disabled/").content
    assert not is_in(client)


@pytest.fixture(params=["groups", "realm_access.roles"])
def role_giver(request: pytest.FixtureRequest, settings, provider: Provider) -> Provider:
    """The provider, whose groups give roles, by either claim."""
    groups = {"superuser_group": "vm-admins", "staff_group": "clerks", "helpdesk_group": "support"}
    settings.PROVIDER = replace(provider, groups_claim=request.param, **groups)
    return settings.PROVIDER


def roles_of(name: str) -> tuple[bool, bool, bool]:
    user = User.objects.get(username=name)
    return user.is_superuser, user.is_staff, is_helpdesk(user)


@pytest.mark.usefixtures("role_giver")
def test_groups_of_the_provider_give_roles_to_who_is_new() -> None:
    for name in ("boss", "helper", "alice"):
        client, _ = log_in(name)
        assert is_in(client)
        assert (client.get("/admin/").status_code == 200) == (name == "boss")
    assert roles_of("boss") == (True, True, False)
    assert roles_of("helper") == (False, False, True)
    assert roles_of("alice") == (False, False, False)


def test_roles_are_given_and_taken_at_each_login(settings, role_giver: Provider) -> None:
    settings.PROVIDER = replace(role_giver, superuser_group="", staff_group="everybody")
    log_in("boss")
    assert roles_of("boss") == (False, True, False)
    settings.PROVIDER = replace(role_giver, helpdesk_group="everybody")
    log_in("boss")
    assert roles_of("boss") == (True, True, True)
    settings.PROVIDER = replace(role_giver, superuser_group="others")
    log_in("boss")
    assert roles_of("boss") == (False, False, False)


def test_roles_whose_groups_are_not_named_stay_as_the_portal_has_them(settings, role_giver: Provider) -> None:
    settings.PROVIDER = replace(role_giver, superuser_group="", staff_group="")
    log_in("alice")
    User.objects.update(is_superuser=True, is_staff=True)
    log_in("alice")
    assert roles_of("alice") == (True, True, False)


def test_provider_that_does_not_send_the_claim_gives_no_role_and_takes_those_it_gave(
    settings, role_giver: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    log_in("boss")
    settings.PROVIDER = replace(role_giver, groups_claim="realm_access.nothing")
    log_in("boss")
    assert roles_of("boss") == (False, False, False)
    assert "did not send the claim 'realm_access.nothing'" in caplog.text


@pytest.mark.usefixtures("role_giver")
def test_linked_account_of_the_portal_keeps_the_roles_of_the_portal(owner: User, client_of: ClientOf) -> None:
    owner.set_password(PASSWORD)
    owner.save()
    here = Client()
    here.post("/login/", {"username": "owner", "password": PASSWORD})
    log_in("owner", here, process="connect")
    client, _ = log_in("owner")
    assert client.session["_auth_user_id"] == str(owner.pk)
    assert roles_of("owner") == (False, False, False)


@pytest.mark.parametrize(
    "sent", [{}, {"groups": None}, {"groups": {"vm-admins": True}}, {"groups": [["vm-admins"], 7]}, "vm-admins"]
)
def test_claim_of_another_shape_gives_no_role(role_giver: Provider, sent: object) -> None:
    user = User.objects.create_user("somebody")
    give_roles(user, {"userinfo": sent}, replace(role_giver, groups_claim="groups"))
    assert roles_of("somebody") == (False, False, False)


def test_claim_in_the_id_token_or_of_one_word_counts(role_giver: Provider) -> None:
    user = User.objects.create_user("somebody")
    give_roles(
        user,
        {"userinfo": {}, "id_token": {"https://example.org/role": "vm-admins"}},
        replace(role_giver, groups_claim="https://example.org/role"),
    )
    assert roles_of("somebody") == (True, True, False)


def test_scopes_that_are_set_are_asked_for(settings, provider: Provider) -> None:
    settings.PROVIDER = replace(provider, scopes=("openid", "profile", "groups"))
    [scope] = parse_qs(urlsplit(start(Client())).query)["scope"]
    assert set(scope.split()) == {"openid", "profile", "groups"}


def test_subjects_of_another_issuer_are_other_people(settings, provider: Provider) -> None:
    log_in()
    first = SocialAccount.objects.get()
    assert provider.issuer not in first.uid
    User.objects.update(username="from the first issuer")
    settings.PROVIDER = replace(provider, issuer=f"{provider.issuer}/.well-known/openid-configuration")
    client, _ = log_in()
    assert is_in(client)
    assert User.objects.count() == 2


def test_wrong_secret_of_the_portal_signs_nobody_in(settings, provider: Provider) -> None:
    settings.PROVIDER = replace(provider, client_secret="not that")
    client, answer = log_in()
    assert answer.status_code == 401
    assert b"did not vouch for you" in answer.content
    assert not is_in(client)


def test_provider_that_does_not_answer_is_said(settings, provider: Provider) -> None:
    settings.PROVIDER = replace(provider, issuer=f"http://127.0.0.1:{free_port()}")
    page = Client().post(START)
    assert page.status_code == 503
    assert b"Example ID does not answer" in page.content


def test_address_that_is_no_provider_is_said(settings, provider: Provider) -> None:
    settings.PROVIDER = replace(provider, issuer=f"{provider.issuer}/nothing/here")
    assert Client().post(START).status_code == 503


def test_cancelling_there_leads_back_to_the_login_page() -> None:
    client = Client()
    state = parse_qs(urlsplit(start(client)).query)["state"][0]
    answer = client.get(BACK, {"error": "access_denied", "state": state})
    assert answer["Location"] == "/login/with/cancelled/"
    assert client.get("/login/with/cancelled/").status_code == 200


def test_going_there_needs_a_post_with_the_csrf_token_and_coming_back_a_get() -> None:
    assert Client().get(START).status_code == 405
    assert Client(enforce_csrf_checks=True).post(START).status_code == 403
    assert Client().post(BACK).status_code == 405
    assert Client().post("/login/with/cancelled/").status_code == 405
    assert Client().post("/login/disabled/").status_code == 405


def test_page_of_links_needs_a_login() -> None:
    for answer in (Client().get("/profile/linked/"), Client().post("/profile/linked/")):
        assert answer["Location"] == "/login/?next=/profile/linked/"
