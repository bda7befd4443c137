"""People in the admin: made, put into a role and disabled there; and what has no place in it."""

from __future__ import annotations

from django.contrib.admin.sites import site
from django.contrib.auth.models import Group, User
from django.test import Client

import kvmportal.urls  # noqa: F401  # loads the admin's pages
from people.roles import HELPDESK_GROUP
from tests.cast import ClientOf

PEOPLE = "/admin/auth/user/"
PASSWORD = "a-long-enough-phrase"


def change_form(person: User, **changes: str | int) -> dict[str, str | int]:
    """What the browser posts from a person's page with nothing changed, and then these changes."""
    form: dict[str, str | int] = {
        "username": person.username,
        "date_joined_0": person.date_joined.strftime("%Y-%m-%d"),
        "date_joined_1": person.date_joined.strftime("%H:%M:%S"),
    }
    return form | ({"is_active": "on"} if person.is_active else {}) | changes


def test_admin_makes_a_person_puts_them_into_the_helpdesk_and_disables_them(client_of: ClientOf, admin: User) -> None:
    client, newcomer = client_of(admin), Client()
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(f"{PEOPLE}add/", {"username": "newcomer", **passwords}).status_code == 302
    person = User.objects.get(username="newcomer")
    page = f"{PEOPLE}{person.pk}/change/"
    assert newcomer.post("/login/", {"username": "newcomer", "password": PASSWORD}).status_code == 302

    helpdesk = Group.objects.get(name=HELPDESK_GROUP)
    assert client.post(page, change_form(person, groups=helpdesk.pk)).status_code == 302
    assert list(person.groups.all()) == [helpdesk]
    assert newcomer.get("/").status_code == 200

    form = change_form(person, groups=helpdesk.pk)
    del form["is_active"]
    assert client.post(page, form).status_code == 302
    person.refresh_from_db()
    assert not person.is_active
    assert newcomer.get("/")["Location"].startswith("/login/")
    again = Client().post("/login/", {"username": "newcomer", "password": PASSWORD})
    assert again.status_code != 302


def test_the_portals_own_schedule_is_not_edited_there(client_of: ClientOf, admin: User) -> None:
    assert not [model for model in site._registry if model._meta.app_label == "django_celery_beat"]
    assert client_of(admin).get("/admin/django_celery_beat/periodictask/").status_code == 404
