"""The page of one's own login sessions: where one is logged in, and signing out elsewhere."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from people.logins import is_alive
from tests.cast import PASSWORD, ClientOf

pytestmark = pytest.mark.usefixtures("quick_passwords")

LOGINS = "/profile/logins/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"


def browser(name: str = "owner", agent: str = FIREFOX, password: str = PASSWORD) -> Client:
    client = Client(headers={"User-Agent": agent})
    assert client.post("/login/", {"username": name, "password": password}).status_code == 302
    return client


def row_of(client: Client) -> UserSession:
    return UserSession.objects.get(session_key=client.session.session_key)


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_page_lists_ones_own_browsers_and_marks_this_one(owner: User, viewer: User) -> None:
    here, _there, _of_another = browser(), browser(agent=EDGE), browser("viewer", agent="curl/8")
    page = here.get(LOGINS).content.decode()
    assert "Firefox on Linux" in page
    assert "Edge on Windows" in page
    assert "127.0.0.1" in page
    assert page.count("data-login=") == 2
    assert page.count("this browser") == 1
    assert "Another program" not in page


def test_page_costs_no_query_for_each_browser(owner: User, django_assert_max_num_queries) -> None:
    here = browser()
    for _ in range(10):
        browser()
    with django_assert_max_num_queries(6):
        here.get(LOGINS)


def test_other_browser_is_signed_out_at_once(owner: User) -> None:
    here, there = browser(), browser(agent=EDGE)
    login = f"session:{there.session.session_key}"
    assert is_alive(login, owner.pk)
    assert here.post(f"{LOGINS}{row_of(there).pk}/end/")["Location"] == LOGINS
    assert not is_in(there)
    assert not is_alive(login, owner.pk)
    assert is_in(here)
    assert here.get(LOGINS).content.decode().count("data-login=") == 1


def test_all_other_browsers_are_signed_out_at_once(owner: User, viewer: User) -> None:
    here, there, third, of_another = browser(), browser(), browser(), browser("viewer")
    assert here.post(f"{LOGINS}end-others/")["Location"] == LOGINS
    assert [is_in(client) for client in (here, there, third, of_another)] == [True, False, False, True]


def test_nobody_signs_others_out(owner: User, viewer: User, admin: User) -> None:
    there = browser()
    for name in ("viewer", "admin"):
        assert browser(name).post(f"{LOGINS}{row_of(there).pk}/end/").status_code == 404
    assert is_in(there)


def test_session_that_ended_is_no_longer_listed(owner: User) -> None:
    here, out, late = browser(), browser(), browser()
    out.post("/logout/")
    Session.objects.filter(session_key=late.session.session_key).update(expire_date=timezone.now())
    assert here.get(LOGINS).content.decode().count("data-login=") == 1
    assert UserSession.objects.count() == 2


def test_session_under_an_old_password_is_not_listed(owner: User) -> None:
    browser()
    owner.set_password("set by an administrator")
    owner.save()
    here = browser(password="set by an administrator")
    assert here.get(LOGINS).content.decode().count("data-login=") == 1


def test_changed_password_leaves_this_browser_listed(owner: User) -> None:
    here = browser()
    browser()
    new = {
        "old_password": PASSWORD,
        "new_password1": "another good one 7 horse",
        "new_password2": "another good one 7 horse",
    }
    assert here.post("/profile/password/", new).status_code == 302
    page = here.get(LOGINS).content.decode()
    assert page.count("data-login=") == 1
    assert "this browser" in page


@pytest.mark.parametrize("address", [f"{LOGINS}end-others/", f"{LOGINS}1/end/"])
def test_signing_out_needs_a_post_and_a_login(client_of: ClientOf, owner: User, address: str) -> None:
    assert client_of(owner).get(address).status_code == 405
    assert Client().post(address)["Location"].startswith("/login/?next=")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post(address).status_code == 403


def test_page_needs_a_login_and_is_only_read(client_of: ClientOf, owner: User) -> None:
    assert Client().get(LOGINS)["Location"] == f"/login/?next={LOGINS}"
    assert client_of(owner).post(LOGINS).status_code == 405


def test_administrator_signs_a_browser_out_in_the_admin(client_of: ClientOf, owner: User, admin: User) -> None:
    there, also = browser(), browser()
    page = f"/admin/usersessions/usersession/{row_of(there).pk}/delete/"
    assert client_of(admin).post(page, {"post": "yes"}).status_code == 302
    assert not is_in(there)
    action = {"action": "delete_selected", "_selected_action": [row_of(also).pk], "post": "yes"}
    assert client_of(admin).post("/admin/usersessions/usersession/", action).status_code == 302
    assert not is_in(also)
