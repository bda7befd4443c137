"""Pages of machines and operations as tests read them."""

from __future__ import annotations

from django.test import Client
from lxml import html
from lxml.html import HtmlElement

from machines.models import Machine


def page(client: Client, url: str, status: int = 200, **headers: str) -> HtmlElement:
    response = client.get(url, headers=headers)
    assert response.status_code == status, response
    return html.fromstring(response.content.decode())


def one(tree: HtmlElement, selector: str) -> HtmlElement:
    found = tree.cssselect(selector)
    assert len(found) == 1, (selector, len(found))
    return found[0]


def text(element: HtmlElement) -> str:
    return " ".join(element.text_content().split())


def names(tree: HtmlElement) -> list[str]:
    return [text(name) for name in tree.cssselect("tr[data-machine] .name")]


def messages(client: Client, url: str = "/") -> str:
    return text(one(page(client, url), "[data-toasts]"))


def machine_url(machine: Machine, tab: str = "") -> str:
    return f"/machines/{machine.uuid}/{tab}"


def operation_url(machine: Machine, kind: str) -> str:
    return machine_url(machine, f"operations/{kind}/")
