"""Mails of notices: collected, at most one a minute, each notice once, in the reader's language."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import close_old_connections, connection
from django.utils import timezone

from hypervisor.states import State
from lifecycle.models import Operation, Status
from lifecycle.operations import advance
from machines.models import Host, Machine
from machines.signals import machine_changed
from notices import mailing, tasks
from notices.choices import choose
from notices.models import Mailbox, Notice
from tests.cast import MakeMachine
from tests.machines.processes import portal_environment
from tests.notices.conftest import Translate
from tests.notices.test_telling import crash

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("portal_mails", "owner_has_address", "told_nothing_yet"),
]


def fail(machine: Machine, by: User) -> None:
    row = Operation.objects.create(machine=machine, kind="save", requested_by=by, status=Status.RUNNING)
    advance(row, status=Status.FAILED, message="The disk is full.")


def later(seconds: float) -> None:
    """Let this much time pass: everything that was written is that much older."""
    back = timedelta(seconds=seconds)
    for row in Notice.objects.all():
        mailed = row.mailed_at and row.mailed_at - back
        Notice.objects.filter(pk=row.pk).update(created_at=row.created_at - back, mailed_at=mailed)
    for box in Mailbox.objects.exclude(mailed_at=None):
        Mailbox.objects.filter(pk=box.pk).update(mailed_at=box.mailed_at - back)


def test_a_failed_operation_is_mailed_as_plain_text_with_a_link(machine: Machine, owner: User) -> None:
    fail(machine, owner)
    assert mailing.write_to(owner.pk)
    [sent] = mail.outbox
    operation = Operation.objects.get()
    assert sent.to == ["owner@example.org"]
    assert sent.from_email == "portal@example.org"
    assert sent.subject == "machine: “Save” failed. The disk is full."
    assert sent.content_subtype == "plain"
    assert not getattr(sent, "alternatives", [])
    assert f"The disk is full.\nhttp://testserver/operations/{operation.pk}/\n" in sent.body
    assert "http://testserver/profile/#notices" in sent.body
    assert Notice.objects.get().mailed_at


def test_a_finished_operation_is_not_mailed_unless_its_user_chose_so(machine: Machine, owner: User) -> None:
    for wanted in (False, True):
        if wanted:
            choose(owner, {"operation_finished": (True, True)})
        row = Operation.objects.create(machine=machine, kind="save", requested_by=owner, status=Status.RUNNING)
        advance(row, status=Status.SUCCEEDED)
        assert mailing.write_to(owner.pk) is wanted


def test_what_was_chosen_for_mail_only_is_mailed_and_in_no_page(machine: Machine, owner: User, client_of) -> None:
    choose(owner, {"crashed": (False, True)})
    crash(machine)
    assert client_of(owner).get("/api/v1/notices").json()["items"] == []
    assert mailing.write_to(owner.pk)
    assert mail.outbox[0].subject == "machine crashed."


def test_the_message_to_the_workers_waits_to_collect_and_is_sent_once(
    make_machine: MakeMachine, owner: User, tasks_waiting: Callable[[], int]
) -> None:
    for number in range(5):
        crash(make_machine(f"machine-{number}", owner=owner))
    assert tasks_waiting() == 1


def test_two_hundred_crashes_are_one_mail_and_a_line_each(host: Host, owner: User, client_of) -> None:
    fleet = [
        Machine(uuid=uuid.uuid4(), host=host, name=f"machine-{number}", owner=owner, state=State.CRASHED)
        for number in range(200)
    ]
    for machine in Machine.objects.bulk_create(fleet):
        machine_changed.send_robust(sender=Machine, machine=machine, rebooted=False)
    later(15)
    assert mailing.due() == [owner.pk]
    tasks.mail(owner.pk)
    tasks.mail(owner.pk)
    [sent] = mail.outbox
    assert sent.subject == "200 notices · kvmportal"
    assert sent.body.count("crashed.") == 200
    answer = client_of(owner).get("/api/v1/notices?limit=200").json()
    assert (answer["unread"], len(answer["items"])) == (200, 200)


def test_nobody_is_written_to_twice_within_a_minute_and_what_came_since_goes_with_the_next(
    make_machine: MakeMachine, owner: User
) -> None:
    crash(make_machine("first", owner=owner))
    assert mailing.write_to(owner.pk)
    crash(make_machine("second", owner=owner))
    later(50)
    assert mailing.due() == []
    assert not mailing.write_to(owner.pk)
    later(11)
    assert mailing.due() == [owner.pk]
    assert mailing.write_to(owner.pk)
    assert [sent.subject for sent in mail.outbox] == ["first crashed.", "second crashed."]
    later(3600)
    assert not mailing.write_to(owner.pk), "there is nothing to say"


def test_beat_sends_tasks_for_those_whose_message_was_lost(
    machine: Machine, owner: User, tasks_waiting: Callable[[], int], redis_server
) -> None:
    crash(machine)
    redis_server.empty()
    tasks.mail_due()
    assert tasks_waiting() == 0, "it still collects"
    later(15)
    tasks.mail_due()
    assert tasks_waiting() == 1


def test_workers_at_the_same_time_send_one_mail(machine: Machine, owner: User) -> None:
    crash(machine)
    start, sent = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        try:
            sent.append(mailing.write_to(owner.pk))
        finally:
            close_old_connections()
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(sent) == [False, False, False, True]
    assert len(mail.outbox) == 1


def test_a_worker_that_is_killed_while_it_sends_leaves_no_second_mail(machine: Machine, owner: User) -> None:
    crash(machine)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code = f"""
import django; django.setup()
from django.conf import settings
settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
settings.EMAIL_HOST, settings.EMAIL_PORT, settings.DEFAULT_FROM_EMAIL = "127.0.0.1", {port}, "portal@example.org"
from notices import mailing
mailing.write_to({owner.pk})
"""
        worker = subprocess.Popen([sys.executable, "-c", code], env=portal_environment())
        silent.settimeout(60)
        asked, _ = silent.accept()  # it has claimed its rows, and waits for the mail server to greet
        worker.kill()
        worker.wait()
        asked.close()
    assert Notice.objects.get().mailed_at
    later(61)
    assert mailing.due() == []
    assert not mailing.write_to(owner.pk)
    assert mail.outbox == []


def test_a_mail_server_that_is_down_gets_it_a_minute_later(machine: Machine, owner: User, settings) -> None:
    crash(machine)
    working = settings.EMAIL_BACKEND
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    assert not mailing.write_to(owner.pk)
    assert Notice.objects.get().mailed_at is None
    settings.EMAIL_BACKEND = working
    assert not mailing.write_to(owner.pk), "the turn is spent"
    later(61)
    assert mailing.due() == [owner.pk]
    assert mailing.write_to(owner.pk)


def test_a_mail_server_that_falls_silent_is_in_doubt_and_not_asked_again(
    machine: Machine, owner: User, settings
) -> None:
    crash(machine)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = silent.getsockname()
        settings.EMAIL_TIMEOUT = 0.3
        assert not mailing.write_to(owner.pk)
    assert Notice.objects.get().mailed_at


def test_what_is_a_day_old_is_left_to_the_page(machine: Machine, owner: User) -> None:
    crash(machine)
    later(24 * 3600 + 1)
    assert mailing.due() == []
    assert not mailing.write_to(owner.pk)


def test_a_mail_says_nothing_about_a_machine_that_may_no_longer_be_seen(
    machine: Machine, make_machine: MakeMachine, owner: User
) -> None:
    crash(machine)
    crash(make_machine("kept", owner=owner))
    Machine.objects.filter(pk=machine.pk).update(owner=None)
    assert mailing.write_to(owner.pk)
    assert mail.outbox[0].subject == "kept crashed."
    later(61)
    crash(make_machine("lost", owner=owner))
    Machine.objects.filter(name="lost").update(owner=None)
    assert not mailing.write_to(owner.pk)
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("lack", ["address", "backend", "sender", "account"])
def test_who_cannot_be_written_to_gets_no_mail(machine: Machine, owner: User, settings, lack: str) -> None:
    if lack == "backend":
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    elif lack == "sender":
        settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    else:
        change = {"address": {"email": ""}, "account": {"is_active": False}}[lack]
        User.objects.filter(pk=owner.pk).update(**change)
    crash(machine)
    assert not Notice.objects.filter(by_mail=True).exists()
    Notice.objects.update(by_mail=True)  # as if they could be written to when it happened
    later(15)
    assert mailing.due() == []
    assert not mailing.write_to(owner.pk)
    assert mail.outbox == []


def test_a_mail_is_in_the_language_in_which_its_reader_read_last(
    machine: Machine, owner: User, client_of, translate: Translate
) -> None:
    translate({"%(machine)s crashed.": "%(machine)s ist abgestürzt.", "All notices: %(url)s": "Alles: %(url)s"})
    browser = client_of(owner)
    browser.get("/notices/", headers={"Accept-Language": "de"})
    crash(machine)
    assert mailing.write_to(owner.pk)
    assert mail.outbox[0].subject == "machine ist abgestürzt."
    assert "Alles: http://testserver/notices/" in mail.outbox[0].body
    for language, words in (("de", "ist abgestürzt."), ("en", "crashed.")):
        answer = browser.get("/api/v1/notices", headers={"Accept-Language": language}).json()
        assert answer["items"][0]["text"] == f"machine {words}"
    browser.get("/notices/", headers={"Accept-Language": "en"})
    assert mailing.language_of(owner) == "en"


def test_a_name_of_several_lines_does_not_break_the_subject(make_machine: MakeMachine, owner: User) -> None:
    crash(make_machine("a\nBcc: all@example.org", owner=owner))
    assert mailing.write_to(owner.pk)
    assert mail.outbox[0].subject == "a Bcc: all@example.org crashed."
    assert mail.outbox[0].recipients() == ["owner@example.org"]


def test_old_notices_are_deleted_and_younger_ones_kept(machine: Machine, owner: User, settings) -> None:
    settings.NOTICES_DAYS = 3
    for days in (1, 2.9, 3.1, 100):
        created = timezone.now() - timedelta(days=days)
        Notice.objects.create(user=owner, key=str(days), kind="crashed", machine=machine, created_at=created)
    tasks.delete_old()
    assert sorted(Notice.objects.values_list("key", flat=True)) == ["1", "2.9"]


def test_a_worker_knows_the_tasks_and_beat_their_times(settings) -> None:
    from kvmportal.celery import app

    app.loader.import_default_modules()
    planned = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {"notices.mail_due", "notices.delete_old"} <= planned
    assert planned | {mailing.TASK} <= set(app.tasks)
