"""The pages of help, as they are without scripts: who sees what, and that forms do what buttons say."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import html

from assist import chat, moves
from assist.models import Assist, ChatMessage
from consoles import thumbnails
from machines.access import Right, right_over
from machines.models import Machine
from tests.cast import ClientOf, MakeMachine

pytestmark = pytest.mark.django_db(transaction=True)


def buttons(client: Client, path: str) -> list[str]:
    """What the page offers to do with an assist."""
    page = html.fromstring(client.get(path).content)
    return [button.get("data-help-move") for button in page.cssselect("main [data-help-move]")]


@pytest.mark.parametrize("path", ["/help/", "/help/{assist}/", "/help/{assist}/picture/", "/machines/{machine}/help/"])
def test_anonymous_visitors_are_sent_to_the_login_page(client: Client, waiting: Assist, path: str) -> None:
    path = path.format(assist=waiting.pk, machine=waiting.machine_id)
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={path}")


def test_who_may_open_which_page(
    client_of: ClientOf, waiting: Assist, stranger: User, viewer: User, owner: User, helpdesk: User, admin: User
) -> None:
    paths = ("/help/", f"/help/{waiting.pk}/", f"/machines/{waiting.machine_id}/help/")
    seen = {
        user.username: [client_of(user).get(path).status_code for path in paths]
        for user in (stranger, viewer, owner, helpdesk, admin)
    }
    assert seen == {
        "stranger": [200, 404, 404],
        "viewer": [200, 404, 403],
        "owner": [200, 200, 200],
        "helpdesk": [200, 200, 200],
        "admin": [200, 200, 200],
    }


def test_everything_can_be_done_by_plain_forms(
    client_of: ClientOf, machine: Machine, owner: User, helpdesk: User
) -> None:
    user, helper = client_of(owner), client_of(helpdesk)
    asked = user.post(f"/machines/{machine.uuid}/help/ask/", {"note": "It does not print."})
    assist = Assist.objects.get()
    page = f"/help/{assist.pk}/"
    assert (asked.status_code, asked["Location"]) == (302, page)
    assert buttons(user, page) == ["withdraw"]
    assert buttons(helper, "/help/") == ["take"]

    helper.post(f"{page}take/")
    assert buttons(helper, page) == ["release"]
    assert buttons(user, page) == buttons(user, f"/machines/{machine.uuid}/") == ["accept", "decline"]
    user.post(f"{page}accept/", {"next": f"/machines/{machine.uuid}/"})
    assert buttons(helper, page) == ["join", "end"]
    joined = helper.post(f"{page}join/")
    assert joined["Location"] == f"/machines/{machine.uuid}/console/?protocol=vnc&mode=view"

    user.post(f"{page}say/", {"text": "Hello."})
    assert ChatMessage.objects.get().text == "Hello."
    assert buttons(user, page) == ["end"]
    user.post(f"{page}end/")
    assert Assist.objects.get().state == "ended"
    assert buttons(user, page) == []


def test_get_changes_nothing(client_of: ClientOf, taken: Assist, owner: User, helpdesk: User) -> None:
    for user in (owner, helpdesk):
        for name in moves.MOVE:
            assert client_of(user).get(f"/help/{taken.pk}/{name}/").status_code == 405
    assert Assist.objects.get().state == "taken"


def test_unknown_moves_and_ways_are_not_found(client_of: ClientOf, taken: Assist, helpdesk: User) -> None:
    client = client_of(helpdesk)
    assert client.post(f"/help/{taken.pk}/explode/").status_code == 404
    assert client.post(f"/machines/{taken.machine_id}/help/explode/").status_code == 404


def test_a_refusal_is_said_and_what_was_typed_stays(client_of: ClientOf, machine: Machine, helpdesk: User) -> None:
    answer = client_of(helpdesk).post(f"/machines/{machine.uuid}/help/break-glass/", {"note": "short"})
    assert answer.status_code == 400
    assert "Write why, in at least 10 characters." in answer.content.decode()


def test_the_second_helper_reads_who_took_it(client_of: ClientOf, taken: Assist, second_helper: User) -> None:
    answer = client_of(second_helper).post(f"/help/{taken.pk}/take/", follow=True)
    assert "helpdesk has taken it." in answer.content.decode()


def test_the_form_offers_what_the_reader_may_do(
    client_of: ClientOf, machine: Machine, owner: User, helpdesk: User, admin: User
) -> None:
    def ways(user: User) -> list[str]:
        page = html.fromstring(client_of(user).get(f"/machines/{machine.uuid}/help/").content)
        return [form.get("action").split("/")[-2] for form in page.cssselect("main form")]

    assert ways(owner) == ["ask"]
    assert ways(helpdesk) == ["offer", "break-glass"]
    assert ways(admin) == ["ask", "offer"]


def test_a_machines_page_leads_to_help_for_those_who_may_ask(
    client_of: ClientOf, machine: Machine, owner: User, viewer: User, helpdesk: User
) -> None:
    path = f"/machines/{machine.uuid}/help/"
    pages = [client_of(user).get(machine.get_absolute_url()).content.decode() for user in (owner, viewer, helpdesk)]
    assert [f'href="{path}"' in page for page in pages] == [True, False, True]


def test_helpers_are_told_how_many_wait_and_others_are_not(
    client_of: ClientOf, waiting: Assist, owner: User, helpdesk: User
) -> None:
    def count(user: User) -> list[str]:
        """What the header's script fetches and shows, for who helps."""
        page = html.fromstring(client_of(user).get("/").content)
        links = page.cssselect("body[data-helps] header a[data-help]")
        parts = [client_of(user).get(f"{link.get('href')}?part=count").content for link in links]
        return [html.fromstring(part).text_content() for part in parts]

    assert (count(owner), count(helpdesk)) == ([], ["1"])
    moves.take(waiting, helpdesk)
    assert count(helpdesk) == [""]


def test_a_helper_reads_state_history_agent_and_picture_policy_but_no_screen(
    client_of: ClientOf, machine: Machine, helpdesk: User
) -> None:
    client = client_of(helpdesk)
    page = client.get(machine.get_absolute_url()).content.decode()
    assert "Guest agent" in page
    assert re.search(r'data-fact="picture-policy">may be taken<', page)
    thumbnails.switch(machine, on=False)
    assert 'data-fact="picture-policy">may not be taken<' in client.get(machine.get_absolute_url()).content.decode()
    assert client.get(f"{machine.get_absolute_url()}history/").status_code == 200
    assert client.get(f"{machine.get_absolute_url()}console/").status_code == 403
    assert client.post(f"{machine.get_absolute_url()}operations/shutdown/").status_code == 403


@pytest.mark.parametrize("words", ["owner", "sick-one", "192.0.2.7", "host-1", "owner host-1 192.0.2"])
def test_a_helper_finds_a_machine_by_user_name_address_and_host(
    client_of: ClientOf, make_machine: MakeMachine, owner: User, helpdesk: User, words: str
) -> None:
    machine = make_machine("sick-one", owner=owner, addresses=[{"address": "192.0.2.7", "prefix": 24}])
    found = client_of(helpdesk).get("/api/v1/machines", {"q": words}).json()["items"]
    assert [item["uuid"] for item in found] == [str(machine.uuid)]
    assert client_of(helpdesk).get("/api/v1/machines", {"q": f"{words} elsewhere"}).json()["items"] == []


def test_chat_is_not_shown_to_other_helpers(client_of: ClientOf, active: Assist, owner: User, second_helper: User):
    chat.say(active, owner, "My password is hunter2.")
    page = client_of(second_helper).get(f"/help/{active.pk}/").content.decode()
    assert "hunter2" not in page
    assert "It does not print." in page


def test_the_queue_costs_no_more_queries_for_more_rows(
    client_of: ClientOf, make_machine: MakeMachine, owner: User, helpdesk: User, django_assert_max_num_queries
) -> None:
    for number in range(4):
        moves.ask(make_machine(f"m{number}", owner=owner), owner, "")
    client = client_of(helpdesk)
    with django_assert_max_num_queries(14):
        assert client.get("/help/").status_code == 200


def test_the_lines_of_a_machine_are_for_those_who_may_see_it(
    client_of: ClientOf, active: Assist, stranger: User, viewer: User
) -> None:
    path = f"/machines/{active.machine_id}/help/lines/"
    assert client_of(stranger).get(path).status_code == 404
    page = client_of(viewer).get(path).content.decode()
    assert "helpdesk helps owner with machine and may see its screen." in page
    assert "data-help-move" not in page


def test_the_admin_lists_what_was_and_changes_nothing(client_of: ClientOf, active: Assist, admin: User, owner: User):
    chat.say(active, owner, "Hello.")
    client = client_of(admin)
    assert "machine" in client.get("/admin/assist/assist/?q=machine").content.decode()
    page = client.get(f"/admin/assist/assist/{active.pk}/change/").content.decode()
    assert "Hello." in page
    assert "consented" in page
    assert 'name="_save"' not in page
    assert client.get("/admin/assist/assist/add/").status_code == 403
    assert right_over(active.helper, active.machine) is Right.VIEW
