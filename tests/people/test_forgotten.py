"""A forgotten password: a mail with a link that works once, and honest words where no mail is sent."""

from __future__ import annotations

import re
import smtplib
import time

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from kvmportal.services import Mail
from people.logins import is_alive
from tests.cast import PASSWORD, ClientOf, person

pytestmark = pytest.mark.usefixtures("quick_passwords")

FORGOTTEN = "/login/forgotten/"
NEW = "another good one 7 horse"


@pytest.fixture
def sends_mail(settings) -> None:
    settings.MAIL = Mail(sender="portal@example.org", host="mail.example.org", port=587)
    settings.DEFAULT_FROM_EMAIL = settings.MAIL.sender


@pytest.fixture
def forgetful(owner: User) -> User:
    owner.email = "Owner@example.org"
    owner.save()
    return owner


def ask(address: str = "owner@example.org", **headers: str):
    return Client(headers=headers).post(FORGOTTEN, {"email": address})


def link_in_mail() -> str:
    [message] = mail.outbox
    return re.search(r"http://testserver(/login/forgotten/\S+)", message.body)[1]


def set_password(client: Client, link: str, password: str = NEW):
    page = client.get(link, follow=True)
    assert page.status_code == 200
    address = page.redirect_chain[-1][0] if page.redirect_chain else link
    return client.post(address, {"password1": password, "password2": password})


def test_mail_says_whose_password_and_leads_to_a_new_one(sends_mail: None, forgetful: User) -> None:
    assert ask()["Location"] == f"{FORGOTTEN}sent/"
    [message] = mail.outbox
    assert message.to == ["owner@example.org"]
    assert message.from_email == "portal@example.org"
    assert "account owner is forgotten" in message.body
    client = Client()
    assert set_password(client, link_in_mail())["Location"] == f"{FORGOTTEN}done/"
    assert b"Your password is changed" in client.get(f"{FORGOTTEN}done/").content
    assert client.get("/profile/").status_code == 302
    forgetful.refresh_from_db()
    assert forgetful.check_password(NEW)


def test_new_password_signs_every_browser_out(sends_mail: None, forgetful: User, client_of: ClientOf) -> None:
    thief = client_of(forgetful)
    ask()
    set_password(Client(), link_in_mail())
    assert thief.get("/profile/").status_code == 302
    assert not is_alive(f"session:{thief.session.session_key}", forgetful.pk)


def test_failed_logins_before_the_new_password_no_longer_count(sends_mail: None, forgetful: User) -> None:
    for _ in range(6):
        failed = Client().post("/login/", {"username": "owner", "password": "what was it"})
    assert b"Too many logins failed" in failed.content
    ask()
    set_password(Client(), link_in_mail())
    assert Client().post("/login/", {"username": "owner", "password": NEW}).status_code == 302


def test_link_works_once(sends_mail: None, forgetful: User) -> None:
    ask()
    link = link_in_mail()
    set_password(Client(), link)
    again = Client().get(link)
    assert b"used already, or it is too old" in again.content
    set_password(Client(), link, "yet another one 8 horse")
    forgetful.refresh_from_db()
    assert forgetful.check_password(NEW)


def test_link_works_for_an_hour(sends_mail: None, forgetful: User, settings) -> None:
    assert settings.PASSWORD_RESET_TIMEOUT == 3600
    settings.PASSWORD_RESET_TIMEOUT = 1
    ask()
    time.sleep(2.1)  # the link knows whole seconds
    assert b"used already, or it is too old" in Client().get(link_in_mail()).content


@pytest.mark.parametrize(
    "link", [f"{FORGOTTEN}1/none/", f"{FORGOTTEN}zzz/c5x-0123456789abcdef/", f"{FORGOTTEN}1/set-password/"]
)
def test_invented_link_changes_nothing(sends_mail: None, forgetful: User, link: str) -> None:
    page = Client().get(link)
    assert b"used already, or it is too old" in page.content
    Client().post(link, {"password1": NEW, "password2": NEW})
    forgetful.refresh_from_db()
    assert forgetful.check_password(PASSWORD)


def test_weak_new_password_is_refused(sends_mail: None, forgetful: User) -> None:
    ask()
    assert set_password(Client(), link_in_mail(), "password123").status_code == 200
    forgetful.refresh_from_db()
    assert forgetful.check_password(PASSWORD)


def test_unknown_address_and_disabled_person_get_no_mail_and_the_same_answer(sends_mail: None, forgetful: User) -> None:
    person("gone", email="gone@example.org", is_active=False)
    for address in ("nobody@example.org", "gone@example.org"):
        assert ask(address)["Location"] == f"{FORGOTTEN}sent/"
    assert mail.outbox == []


def test_link_names_the_portal_whatever_host_was_asked(sends_mail: None, forgetful: User) -> None:
    ask(Host="localhost")
    assert "http://testserver/login/forgotten/" in mail.outbox[0].body
    assert "localhost" not in mail.outbox[0].body


def test_asking_is_limited(sends_mail: None, forgetful: User) -> None:
    for _ in range(5):
        assert ask().status_code == 302
    assert ask().status_code == 429
    assert len(mail.outbox) == 5


def test_mail_server_that_fails_is_told_to_the_log_only(
    sends_mail: None, forgetful: User, settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert issubclass(smtplib.SMTPException, OSError)
    assert ask()["Location"] == f"{FORGOTTEN}sent/"
    assert "could not be sent" in caplog.text


def test_portal_without_mail_says_so_and_whom_to_ask(forgetful: User) -> None:
    page = Client().get(FORGOTTEN)
    assert page.status_code == 200
    assert b"This portal sends no mail" in page.content
    assert b'name="email"' not in page.content
    refused = ask()
    assert refused.status_code == 409
    assert mail.outbox == []


@pytest.mark.parametrize("page", [f"{FORGOTTEN}sent/", f"{FORGOTTEN}done/"])
def test_pages_that_only_tell_are_only_read(db: None, page: str) -> None:
    assert Client().get(page).status_code == 200
    assert Client().post(page).status_code == 405


def test_page_refuses_other_methods(sends_mail: None, db: None) -> None:
    assert Client().get(FORGOTTEN).status_code == 200
    assert Client().delete(FORGOTTEN).status_code == 405


def test_second_factor_is_still_asked_for_after_a_new_password(sends_mail: None, forgetful: User) -> None:
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    TOTP.activate(forgetful, generate_totp_secret())
    ask()
    set_password(Client(), link_in_mail())
    client = Client()
    assert client.post("/login/", {"username": "owner", "password": NEW})["Location"].startswith("/login/code/")
