"""Whose address a request has behind reverse proxies."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import Entry
from tests.cast import PASSWORD

CAME_FROM = "203.0.113.9"


def address_kept(header: str | None) -> str | None:
    """Log in with this header, and return the address that the trail has of it."""
    headers = {"X-Forwarded-For": header} if header is not None else {}
    answer = Client(headers=headers).post("/login/", {"username": "owner", "password": PASSWORD}, REMOTE_ADDR=CAME_FROM)
    assert answer.status_code == 302
    return Entry.objects.filter(kind="login.ok").latest("pk").address


@pytest.mark.parametrize(
    ("proxies", "header", "kept"),
    [
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "10.0.0.1, 192.0.2.1", "192.0.2.1"),
        (2, "10.0.0.1, 192.0.2.1, 198.51.100.7", "192.0.2.1"),
        (1, "2001:DB8::7", "2001:db8::7"),
        (2, "192.0.2.1", CAME_FROM),
        (1, "somewhere", CAME_FROM),
        (1, "", CAME_FROM),
        (1, None, CAME_FROM),
        (0, "192.0.2.1", CAME_FROM),
    ],
)
def test_the_address_is_the_one_that_the_outermost_trusted_proxy_saw(
    owner: User, settings, proxies: int, header: str | None, kept: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert address_kept(header) == kept
