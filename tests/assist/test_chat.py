"""The chat beside a console: both sides, live, plain, limited."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from assist import chat, moves
from assist.models import Assist, ChatMessage
from tests.assist.conftest import code, post
from tests.cast import ClientOf
from tests.machines.sockets import Socket, Web, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path) as web:
        yield web


def test_both_sides_write_and_read(client_of: ClientOf, active: Assist, owner: User, helpdesk: User) -> None:
    user, helper = client_of(owner), client_of(helpdesk)
    first = post(user, f"assists/{active.pk}/messages", {"text": "Look at the printer."})
    assert first.status_code == 201
    assert post(helper, f"assists/{active.pk}/messages", {"text": "I see it."}).status_code == 201
    for client in (user, helper):
        items = client.get(f"/api/v1/assists/{active.pk}/messages").json()["items"]
        assert [(item["by"], item["text"]) for item in items] == [
            ("owner", "Look at the printer."),
            ("helpdesk", "I see it."),
        ]
    later = user.get(f"/api/v1/assists/{active.pk}/messages?after={first.json()['id']}").json()["items"]
    assert [item["text"] for item in later] == ["I see it."]


def test_others_neither_read_nor_write(
    client_of: ClientOf, active: Assist, stranger: User, viewer: User, operator: User, second_helper: User, admin: User
) -> None:
    path = f"assists/{active.pk}/messages"
    seen = {
        user.username: (client_of(user).get(f"/api/v1/{path}").status_code, post(client_of(user), path, {"text": "x"}))
        for user in (stranger, viewer, operator, second_helper, admin)
    }
    assert {name: (reading, writing.status_code) for name, (reading, writing) in seen.items()} == {
        "stranger": (404, 404),
        "viewer": (404, 404),
        "operator": (404, 404),
        "second-helper": (403, 403),
        "admin": (200, 403),
    }
    assert not ChatMessage.objects.exists()


def test_both_sides_hear_at_once_and_nobody_else(
    web: Web, active: Assist, owner: User, helpdesk: User, second_helper: User
) -> None:
    with (
        Socket(web, sign_in(owner)) as user,
        Socket(web, sign_in(helpdesk)) as helper,
        Socket(web, sign_in(second_helper)) as other,
    ):
        for socket in (user, helper, other):
            socket.watch(active.machine)
        chat.say(active, owner, "<b>Look</b>")
        for socket in (user, helper):
            told = socket.take_until("chat")[-1]["message"]
            assert (told["by"], told["text"], told["assist"]) == ("owner", "<b>Look</b>", active.pk)
        assert "chat" not in [message["type"] for message in other.rest()]


def test_text_is_plain_and_limited(client_of: ClientOf, active: Assist, owner: User) -> None:
    client, path = client_of(owner), f"assists/{active.pk}/messages"
    assert post(client, path, {"text": "a\x07b\x1b]0;x"}).json()["text"] == "ab]0;x"
    assert post(client, path, {"text": "x" * chat.LONGEST}).status_code == 201
    assert post(client, path, {"text": "x" * (chat.LONGEST + 1)}).status_code == 400
    empty = post(client, path, {"text": " \n "})
    assert (empty.status_code, code(empty)) == (400, "bad_message")


def test_markup_is_shown_as_text(client_of: ClientOf, active: Assist, owner: User, helpdesk: User) -> None:
    chat.say(active, owner, "<script>alert(1)</script>")
    page = client_of(helpdesk).get(f"/help/{active.pk}/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_who_writes_too_fast_waits(client_of: ClientOf, active: Assist, owner: User, helpdesk: User) -> None:
    client, path = client_of(owner), f"assists/{active.pk}/messages"
    answers = [post(client, path, {"text": str(number)}).status_code for number in range(chat.AT_MOST)]
    assert set(answers) == {201}
    refused = post(client, path, {"text": "one more"})
    assert (refused.status_code, code(refused)) == (429, "too_fast")
    assert post(client_of(helpdesk), path, {"text": "I am another."}).status_code == 201
    ChatMessage.objects.update(at=timezone.now() - chat.WITHIN - timedelta(seconds=1))
    assert post(client, path, {"text": "later"}).status_code == 201


def test_it_begins_when_somebody_took_it_and_ends_with_the_help(
    client_of: ClientOf, waiting: Assist, owner: User, helpdesk: User
) -> None:
    client, path = client_of(owner), f"assists/{waiting.pk}/messages"
    assert post(client, path, {"text": "Is anybody there?"}).status_code == 409
    moves.take(waiting, helpdesk)
    assert post(client, path, {"text": "Hello."}).status_code == 201
    moves.decline(waiting, owner)
    assert post(client, path, {"text": "Never mind."}).status_code == 409
    assert [message["text"] for message in client.get(f"/api/v1/{path}").json()["items"]] == ["Hello."]
