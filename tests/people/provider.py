"""A real OpenID Connect provider for the tests: django-allauth's, in a Django and a process of its own.

`python -m tests.people.provider make DIRECTORY REDIRECT` makes its database, `... serve DIRECTORY PORT` serves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import httpx
from lxml import html

from demo.servers import Server

CLIENT_ID = "kvmportal"
CLIENT_SECRET = "what only portal and provider know"
PASSWORD = "a password of the provider"
PEOPLE = {
    "alice": {"first_name": "Alice", "last_name": "Liddell", "email": "alice@example.org"},
    "owner": {"email": "owner@example.org"},
    "boss": {"email": "boss@example.org"},
    "helper": {},
    "a b": {},
}
GROUPS = {"boss": ["vm-admins", "everybody"], "helper": ["support"], "owner": ["vm-admins"]}
"""Who is in which groups there; the others are in none, and nothing is said of theirs."""


class OidcProvider(Server):
    """The provider, whose client comes back to this address of the portal."""

    def __init__(self, directory: Path, redirect: str) -> None:
        super().__init__(directory, temporary=True)
        self.redirect = redirect

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        super().prepare()
        key = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self.directory / "key.pem")]
        subprocess.run(["openssl", "genpkey", *key], check=True, capture_output=True)
        subprocess.run(self._call("make", self.redirect), check=True, timeout=300)

    def command(self) -> list[str]:
        return self._call("serve", str(self.port))

    def _call(self, what: str, argument: str) -> list[str]:
        return [sys.executable, "-m", "tests.people.provider", what, str(self.directory), argument]

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.issuer}/.well-known/openid-configuration").status_code == 200
        except httpx.TransportError:
            return False


def visit(url: str, name: str, password: str = PASSWORD, portal: str = "http://testserver/") -> str:
    """Go to the provider, log in there by its forms, and return the address of the portal it sends one back to."""
    with httpx.Client() as browser:
        answer = browser.get(url)
        for _ in range(10):
            if answer.is_redirect:
                place = urljoin(str(answer.url), answer.headers["Location"])
                if place.startswith(portal):
                    return place
                answer = browser.get(place)
                continue
            [form] = [form for form in html.fromstring(answer.text).forms if "password" in form.fields]
            fields = dict(form.fields) | {"login": name, "password": password}
            answer = browser.post(urljoin(str(answer.url), form.action), data=fields)
    raise AssertionError(f"the provider did not send {name} back: {answer.text}")


def make(redirect: str) -> None:
    """Make the provider's database, its people and its client."""
    from allauth.account.models import EmailAddress
    from allauth.idp.oidc.models import Client
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for name, fields in PEOPLE.items():
        user = User.objects.create_user(name, password=PASSWORD, **fields)
        if user.email:
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        user.groups.set(Group.objects.get_or_create(name=group)[0] for group in GROUPS.get(name, []))
    client = Client(id=CLIENT_ID, name="kvmportal", skip_consent=True, scopes="openid\nprofile\nemail")
    client.set_secret(CLIENT_SECRET)
    client.set_redirect_uris([redirect])
    client.save()


def serve(port: int) -> None:
    """Serve until killed."""
    from django.core.servers.basehttp import WSGIServer, get_internal_wsgi_application, run

    run("127.0.0.1", port, get_internal_wsgi_application(), threading=True, server_cls=WSGIServer)


if __name__ == "__main__":
    what, directory, argument = sys.argv[1:]
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.people.provider_settings",
        "PROVIDER_DIRECTORY": directory,
        "OAUTHLIB_INSECURE_TRANSPORT": "1",  # on the loopback
    }
    import django

    django.setup()
    make(argument) if what == "make" else serve(int(argument))
