"""Looking without consent: a written reason, seen by the machine's people, mailed, kept, told to other apps."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from assist import moves, tasks
from assist.models import Assist, AssistEvent
from machines.access import Right, right_over
from machines.models import Machine
from tests.assist.conftest import code, post
from tests.cast import ClientOf

pytestmark = pytest.mark.django_db(transaction=True)

REASON = "The owner is ill and the print server hangs."


def test_it_needs_a_reason_in_words(client_of: ClientOf, machine: Machine, helpdesk: User) -> None:
    for reason in ("", "  because  ", "\x00" * 20):
        answer = post(client_of(helpdesk), f"machines/{machine.uuid}/break-glass", {"reason": reason})
        assert (answer.status_code, code(answer)) == (400, "reason_needed")
    assert post(client_of(helpdesk), f"machines/{machine.uuid}/break-glass").status_code == 400
    assert right_over(helpdesk, machine) is Right.SEE
    assert not Assist.objects.exists()


def test_it_gives_the_right_to_look_and_no_more_unless_asked_for(
    client_of: ClientOf, machine: Machine, helpdesk: User, second_helper: User
) -> None:
    post(client_of(helpdesk), f"machines/{machine.uuid}/break-glass", {"reason": REASON})
    post(client_of(second_helper), f"machines/{machine.uuid}/break-glass", {"reason": REASON, "control": True})
    assert right_over(helpdesk, machine) is Right.VIEW
    assert right_over(second_helper, machine) is Right.OPERATE


def test_one_helper_breaks_one_glass_once(client_of: ClientOf, broken: Assist, helpdesk: User) -> None:
    path = f"machines/{broken.machine_id}/break-glass"
    answer = post(client_of(helpdesk), path, {"reason": REASON})
    assert (answer.status_code, code(answer)) == (409, "may_already")
    answer = post(client_of(helpdesk), path, {"reason": REASON, "control": True})
    assert (answer.status_code, code(answer)) == (409, "assist_open")


def test_it_does_not_wait_for_a_request_that_is_open(client_of: ClientOf, waiting: Assist, second_helper: User) -> None:
    answer = post(client_of(second_helper), f"machines/{waiting.machine_id}/break-glass", {"reason": REASON})
    assert answer.status_code == 201


def test_the_machines_pages_say_so_with_the_reason_to_those_who_operate_it(
    client_of: ClientOf, broken: Assist, owner: User, viewer: User, operator: User
) -> None:
    for path in (f"/machines/{broken.machine_id}/", f"/machines/{broken.machine_id}/console/"):
        for user, knows_why in ((owner, True), (operator, True), (viewer, False)):
            page = client_of(user).get(path).content.decode()
            assert "helpdesk of the helpdesk looks at this screen without having asked." in page
            assert (REASON in page) is knows_why


def test_the_machines_history_keeps_it(client_of: ClientOf, broken: Assist, owner: User, helpdesk: User) -> None:
    moves.end(broken, helpdesk)
    page = client_of(owner).get(f"/machines/{broken.machine_id}/history/").content.decode()
    assert "helpdesk looked without consent" in page
    assert REASON in page


def test_the_owner_is_told_by_mail_once(machine: Machine, owner: User, helpdesk: User) -> None:
    owner.email = "owner@example.org"
    owner.save()
    machine.owner = owner
    assist = moves.break_glass(machine, helpdesk, REASON)
    tasks.look_after()
    tasks.look_after()
    (sent,) = mail.outbox
    assert sent.to == ["owner@example.org"]
    assert sent.subject == "helpdesk looked at machine without asking"
    assert REASON in sent.body
    assert f"http://testserver/help/{assist.pk}/" in sent.body
    assert AssistEvent.objects.filter(assist=assist, kind="mailed", detail={"to": "owner@example.org"}).count() == 1


def test_a_mail_that_cannot_be_sent_is_tried_again(
    machine: Machine, owner: User, helpdesk: User, settings: Any
) -> None:
    owner.email = "owner@example.org"
    owner.save()
    machine.owner = owner
    moves.break_glass(machine, helpdesk, REASON)
    in_memory = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        1,
    )
    tasks.look_after()
    assert Assist.objects.get().mail_due
    settings.EMAIL_BACKEND = in_memory
    tasks.look_after()
    assert not Assist.objects.get().mail_due
    assert len(mail.outbox) == 1


def test_an_owner_without_an_address_gets_no_mail(broken: Assist) -> None:
    tasks.look_after()
    assert mail.outbox == []
    assert not Assist.objects.get().mail_due
    assert not AssistEvent.objects.filter(kind="mailed").exists()


def test_other_apps_hear_all_facts(heard: list[tuple[str, dict[str, Any]]], machine: Machine, helpdesk: User) -> None:
    assist = moves.break_glass(machine, helpdesk, REASON, control=True)
    assert [name for name, _ in heard] == ["moved", "broke_glass"]
    facts = heard[1][1]
    wanted = {
        "event": "broke_glass",
        "by": "helpdesk",
        "by_id": helpdesk.pk,
        "assist_id": assist.pk,
        "machine": machine.uuid,
        "machine_name": "machine",
        "owner": "owner",
        "reason": REASON,
        "control": True,
        "until": assist.until,
    }
    assert {name: facts[name] for name in wanted} == wanted


def test_own_rows_keep_who_and_why(broken: Assist, helpdesk: User) -> None:
    event = AssistEvent.objects.get(assist=broken)
    assert (event.kind, event.by, event.detail) == (
        "broke_glass",
        helpdesk,
        {"reason": "The owner is ill and the print server hangs."},
    )
