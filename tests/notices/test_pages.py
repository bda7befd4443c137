"""The page of notices, the bell on every page, the choices on the profile page, and the API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import html

from machines.models import Grant, Machine
from notices.choices import choices_of, choose
from notices.models import Notice, NoticeChoice
from notices.page import LENGTH
from tests.cast import ClientOf, MakeMachine
from tests.machines.conftest import Pushes

pytestmark = pytest.mark.django_db
PAGE, READ, CHOOSE = "/notices/", "/notices/read/", "/profile/notices/"


@pytest.fixture
def make_notice(machine: Machine, owner: User):
    """A function that makes a notice of a crash, the owner's unless told otherwise."""
    Notice.objects.all().delete()

    def make(number: int = 0, **fields) -> Notice:
        defaults = {"user": owner, "kind": "crashed", "machine": machine, "parameters": {"how": "crashed"}}
        return Notice.objects.create(key=f"test:{number}", url=f"/machines/{machine.uuid}/", **(defaults | fields))

    return make


def page_of(client: Client, path: str = PAGE) -> html.HtmlElement:
    answer = client.get(path)
    assert answer.status_code == 200
    return html.fromstring(answer.content.decode())


def numbers(page: html.HtmlElement) -> list[int]:
    return [int(row.get("data-notice")) for row in page.cssselect("li[data-notice]")]


def test_the_page_shows_what_happened_with_a_link(client_of: ClientOf, owner: User, make_notice) -> None:
    notice = make_notice()
    page = page_of(client_of(owner))
    [row] = page.cssselect("li[data-notice]")
    assert row.get("data-unread") is not None
    assert row.cssselect("a")[0].text_content() == "machine crashed."
    assert row.cssselect("a")[0].get("href") == notice.url


def test_an_empty_page_says_what_will_be_there(client_of: ClientOf, stranger: User) -> None:
    assert "When an operation ends" in page_of(client_of(stranger)).cssselect(".empty")[0].text_content()


def test_nobody_sees_or_marks_the_notices_of_others(
    client_of: ClientOf, admin: User, viewer: User, make_notice
) -> None:
    notice = make_notice()
    for user in (admin, viewer):
        client = client_of(user)
        assert numbers(page_of(client)) == []
        client.post(READ, {"id": notice.pk})
        client.post(READ, {"up_to": notice.pk})
        assert client.get("/api/v1/notices").json() == {"items": [], "next": None, "unread": 0}
    notice.refresh_from_db()
    assert notice.read_at is None


def test_nothing_is_shown_about_a_machine_that_may_no_longer_be_seen(
    client_of: ClientOf, viewer: User, machine: Machine, make_notice
) -> None:
    make_notice(user=viewer)
    make_notice(1, user=viewer, machine=None, kind="of-nothing")
    client = client_of(viewer)
    assert len(numbers(page_of(client))) == 2
    Grant.objects.filter(user=viewer).delete()
    [row] = page_of(client).cssselect("li[data-notice]")
    assert "machine" not in row.text_content()
    answer = client.get("/api/v1/notices").json()
    assert (len(answer["items"]), answer["unread"]) == (1, 1)


def test_the_bell_leads_to_the_page_without_scripts_and_costs_no_page_a_query(
    client_of: ClientOf, admin: User, make_notice
) -> None:
    make_notice(user=admin)
    client = client_of(admin)
    for path in ("/", "/operations/", "/profile/", PAGE, "/admin/"):
        page = page_of(client, path)
        assert page.cssselect("details[data-notices] summary[aria-label='Notices']")
        assert page.cssselect(f"details[data-notices] a[href='{PAGE}']")
    with CaptureQueriesContext(connection) as queries:
        client.get("/")
    assert not [query for query in queries if "notices_" in query["sql"]]


def test_one_is_marked_read_by_a_plain_form(client_of: ClientOf, owner: User, make_notice) -> None:
    first, second = make_notice(0), make_notice(1)
    client = client_of(owner)
    answer = client.post(READ, {"id": first.pk, "next": PAGE})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    unread = [int(row.get("data-notice")) for row in page_of(client).cssselect("li[data-unread]")]
    assert unread == [second.pk]


def test_all_are_marked_read_but_what_came_since_the_page_was_drawn(
    client_of: ClientOf, owner: User, make_notice
) -> None:
    make_notice(0)
    make_notice(1)
    client = client_of(owner)
    [button] = page_of(client).cssselect("button[name=up_to]")
    late = make_notice(2)
    client.post(READ, {"up_to": button.get("value")})
    assert list(Notice.objects.filter(read_at=None)) == [late]


@pytest.mark.parametrize("body", [{}, {"id": "x"}, {"up_to": "-1"}, {"up_to": "9" * 30}, {"id": "²"}])
def test_nonsense_marks_nothing(client_of: ClientOf, owner: User, make_notice, body: dict[str, str]) -> None:
    make_notice()
    assert client_of(owner).post(READ, body).status_code == 302
    assert Notice.objects.filter(read_at=None).count() == 1


def test_the_form_does_not_lead_to_another_site(client_of: ClientOf, owner: User) -> None:
    assert client_of(owner).post(READ, {"next": "https://example.org/"})["Location"] == PAGE


def test_other_tabs_hear_that_notices_were_read(
    client_of: ClientOf, owner: User, make_notice, pushes: Pushes, django_capture_on_commit_callbacks
) -> None:
    notice = make_notice()
    client = client_of(owner)
    for expected in ([f"user.{owner.pk}"], []):
        with django_capture_on_commit_callbacks(execute=True):
            client.post(READ, {"id": notice.pk})
        assert [group for group, message in pushes.take() if message["type"] == "notices"] == expected


def test_pages_follow_each_other_without_gap_or_repetition(
    client_of: ClientOf, owner: User, make_notice, django_assert_max_num_queries
) -> None:
    made = [make_notice(number).pk for number in range(2 * LENGTH + 1)]
    client, path, seen = client_of(owner), PAGE, []
    client.get(PAGE)
    while path:
        with django_assert_max_num_queries(7):
            page = page_of(client, path)
        seen += numbers(page)
        older = page.cssselect("a[rel=next]")
        path = PAGE + older[0].get("href") if older else ""
    assert seen == made[::-1]
    assert page.cssselect(f"a[href='{PAGE}'].btn"), "a way back to the newest"


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 30, "²"])
def test_a_place_that_is_none_is_refused_in_words(client_of: ClientOf, owner: User, before: str) -> None:
    answer = client_of(owner).get(PAGE, {"before": before})
    assert answer.status_code == 400
    assert "is not a place in this list" in answer.content.decode()


def test_choices_show_the_defaults_and_keep_what_is_chosen(
    client_of: ClientOf, owner: User, portal_mails: None, owner_has_address: None
) -> None:
    client = client_of(owner)
    assert boxes(page_of(client, "/profile/")) == {
        "operation_finished.page": True,
        "operation_finished.mail": False,
        **{f"{kind}.{way}": True for kind in REST for way in ("page", "mail")},
    }
    answer = client.post(CHOOSE, {"operation_finished.mail": "on", "crashed.page": "on", "nonsense.page": "on"})
    assert (answer.status_code, answer["Location"]) == (302, "/profile/")
    chosen = {name for name, on in boxes(page_of(client, "/profile/")).items() if on}
    assert chosen == {"operation_finished.mail", "crashed.page"}
    assert NoticeChoice.objects.count() == len(REST) + 1
    client.post(CHOOSE, {"crashed.page": "on"})
    assert NoticeChoice.objects.count() == len(REST) + 1


def test_only_administrators_choose_what_only_they_are_told(client_of: ClientOf, admin: User, owner: User) -> None:
    name = "departed.page"
    assert [name in boxes(page_of(client_of(person), "/profile/")) for person in (admin, owner)] == [True, False]


def test_choices_are_ones_own(client_of: ClientOf, owner: User, stranger: User) -> None:
    client_of(owner).post(CHOOSE, {})
    assert all(choice.page for choice in choices_of(stranger))
    assert not any(choice.page for choice in choices_of(owner))


def test_the_profile_says_that_the_portal_sends_no_mail(client_of: ClientOf, owner: User, settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    page = page_of(client_of(owner), "/profile/")
    assert "This portal sends no mail" in page.text_content()
    assert all(box.get("disabled") is not None for box in page.cssselect("input[name$='.mail']"))
    assert not page.cssselect("input[name$='.page'][disabled]")


def test_the_profile_says_that_ones_account_has_no_address(
    client_of: ClientOf, owner: User, portal_mails: None
) -> None:
    choose(owner, {"operation_finished": (True, True)})
    client = client_of(owner)
    page = page_of(client, "/profile/")
    assert "Your account has no mail address" in page.text_content()
    assert page.cssselect("input[name='crashed.mail'][disabled]")
    client.post(CHOOSE, {})
    assert {choice.kind.name: choice.mail for choice in choices_of(owner)}["operation_finished"], "as it was chosen"


def test_the_api_lists_pages_with_the_count_of_unread(client_of: ClientOf, script_of, owner: User, make_notice) -> None:
    made = [make_notice(number).pk for number in range(5)]
    script = script_of(owner)
    first = script.get("/api/v1/notices?limit=3").json()
    assert [item["id"] for item in first["items"]] == made[:1:-1]
    rest = script.get(f"/api/v1/notices?limit=3&cursor={first['next']}").json()
    assert [item["id"] for item in rest["items"]] == made[1::-1]
    assert (rest["next"], rest["unread"]) == (None, 5)
    item = first["items"][0]
    created_at = item.pop("created_at")
    assert created_at
    assert item == {
        "id": made[-1],
        "kind": "crashed",
        "level": "error",
        "text": "machine crashed.",
        "machine": item["machine"],
        "url": f"/machines/{item['machine']}/",
        "own": False,
        "read_at": None,
    }


def test_the_api_marks_notices_read(script_of, owner: User, viewer: User, make_notice) -> None:
    made = [make_notice(number).pk for number in range(4)]
    other = make_notice(9, user=viewer)
    script = script_of(owner)

    def read(**body: object) -> dict[str, int]:
        return script.post("/api/v1/notices/read", body, content_type="application/json").json()

    assert read(ids=[made[3], other.pk]) == {"unread": 3}
    assert read(up_to=made[1]) == {"unread": 1}
    unread = script.get("/api/v1/notices?unread=true").json()["items"]
    assert [item["id"] for item in unread] == [made[2]]
    assert read() == {"unread": 1}
    other.refresh_from_db()
    assert other.read_at is None
    for body in ({"ids": "all"}, {"ids": [0]}, {"all": True}, {"ids": [1] * 501}):
        assert read(**body)["error"]["code"] == "bad_parameters"


def test_the_api_costs_no_query_for_each_notice(
    script_of, owner: User, make_notice, make_machine: MakeMachine, django_assert_max_num_queries
) -> None:
    script = script_of(owner)
    script.get("/api/v1/notices")
    for number in range(20):
        make_notice(number, machine=make_machine(f"machine-{number}", owner=owner))
    with django_assert_max_num_queries(5):
        assert len(script.get("/api/v1/notices").json()["items"]) == 20


REST = (
    "operation_failed",
    "crashed",
    "shared",
    "right_asked",
    "right_answered",
    "machine_asked",
    "machine_answered",
    "help_asked",
)


def boxes(page: html.HtmlElement) -> dict[str, bool]:
    """The check boxes of the choices, and whether they are ticked."""
    return {box.get("name"): box.get("checked") is not None for box in page.cssselect("#notices input[type=checkbox]")}
