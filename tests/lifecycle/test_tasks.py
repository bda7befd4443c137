"""The way to the workers and back: a broker that is down or forgets, messages that come twice, beat's rounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from demo.servers import RedisServer
from lifecycle import operations, tasks
from lifecycle.models import Operation, Status
from machines.models import Machine
from machines.redis_client import redis_client
from tests.cast import MakeMachine
from tests.lifecycle.conftest import Ask, StartWorker, ended, eventually, fresh

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker_down(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The Redis of this run, which does not answer until the test starts it again."""
    redis_server.end()
    yield redis_server
    redis_server.start()


def waiting_messages(queue: str) -> int:
    return redis_client().llen(queue)


def aged(operation: Operation, seconds: float, *, sent: bool = True) -> Operation:
    """Make a row as old as that."""
    then = timezone.now() - timedelta(seconds=seconds)
    Operation.objects.filter(pk=operation.pk).update(created_at=then, sent_at=then if sent else None)
    return fresh(operation)


def test_accepted_operation_is_sent_to_its_queue_after_the_commit(machine: Machine, ask: Ask) -> None:
    operation = ask(machine, "save")
    assert (waiting_messages("long"), waiting_messages("quick")) == (1, 0)
    assert fresh(operation).sent_at


def test_broker_that_is_down_fails_no_request_and_delays_none(
    machine: Machine, ask: Ask, broker_down: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    operation = ask(machine, "suspend")
    assert time.monotonic() - began < 1
    assert (operation.status, fresh(operation).sent_at) == (Status.QUEUED, None)
    assert "could not be sent" in caplog.text


def test_what_a_broker_did_not_take_is_sent_again_when_it_is_back(
    machine: Machine, ask: Ask, broker_down: RedisServer
) -> None:
    operation = aged(ask(machine, "suspend"), 16, sent=False)
    tasks.resend_queued()
    assert fresh(operation).sent_at is None
    broker_down.start()
    tasks.resend_queued()
    assert waiting_messages("quick") == 1
    assert fresh(operation).sent_at > operation.created_at


def test_what_a_broker_forgot_is_sent_again(machine: Machine, ask: Ask, redis_server: RedisServer) -> None:
    operation = aged(ask(machine, "suspend"), 16)
    redis_server.empty()
    tasks.resend_queued()
    assert waiting_messages("quick") == 1
    tasks.resend_queued()
    assert waiting_messages("quick") == 1, "it was sent a moment ago"
    assert fresh(operation).version == operation.version


def test_only_what_is_queued_for_long_is_sent_again(make_machine: MakeMachine, owner: User, ask: Ask) -> None:
    new = ask(make_machine("new", owner=owner), "suspend")
    running = aged(ask(make_machine("running", owner=owner), "suspend"), 60)
    operations.advance(running, status=Status.RUNNING)
    before = waiting_messages("quick")
    tasks.resend_queued()
    assert waiting_messages("quick") == before
    assert fresh(new).status == Status.QUEUED


def test_start_of_a_machine_that_was_saved_meanwhile_is_sent_again_to_the_long_queue(
    make_machine: MakeMachine, owner: User, ask: Ask, redis_server: RedisServer
) -> None:
    machine = make_machine(state="shutoff", owner=owner)
    aged(ask(machine, "start"), 16)
    redis_server.empty()
    Machine.objects.update(state="saved")
    tasks.resend_queued()
    assert waiting_messages("long") == 1


def test_every_task_of_beat_exists_and_expires_before_its_next_round() -> None:
    current_app.loader.import_default_modules()
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert entry["task"] in current_app.tasks, name
        assert entry["options"]["expires"] <= entry["schedule"]


def test_messages_are_acknowledged_late_and_taken_one_by_one() -> None:
    assert settings.CELERY_TASK_ACKS_LATE
    assert settings.CELERY_WORKER_PREFETCH_MULTIPLIER == 1
    assert settings.CELERY_TASK_IGNORE_RESULT


def test_worker_process_carries_out_what_was_asked_while_it_was_away(
    make_machine: MakeMachine, owner: User, ask: Ask, start_worker: StartWorker
) -> None:
    """Its own test:///default knows no domain of this process: that it says so shows that it was asked."""
    operation = ask(make_machine(owner=owner), "suspend")
    start_worker("quick")
    assert ended(operation).error_code == "domain_not_found"


def test_long_operation_does_not_delay_a_quick_one(
    make_machine: MakeMachine, owner: User, ask: Ask, start_worker: StartWorker
) -> None:
    saves = [ask(make_machine(f"m{number}", owner=owner), "save") for number in range(20)]
    suspend = ask(make_machine("quick", owner=owner), "suspend")
    start_worker("quick")
    ended(suspend)
    assert {fresh(save).status for save in saves} == {Status.QUEUED}


def test_message_redelivered_by_the_broker_is_harmless(
    make_machine: MakeMachine, owner: User, ask: Ask, start_worker: StartWorker
) -> None:
    operation = ask(make_machine(owner=owner), "suspend")
    for _ in range(3):
        operations.send(operation)
    start_worker("quick")
    first = ended(operation)
    eventually(lambda: waiting_messages("quick") == 0)
    time.sleep(0.3)
    assert fresh(operation).version == first.version
