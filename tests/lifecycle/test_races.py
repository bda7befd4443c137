"""Many people asking at once: one wins, the others are told who; on whichever database the tests run on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection

from lifecycle import operations
from lifecycle.models import OPEN, Operation, Status
from machines.models import Machine
from machines.refused import Refused
from tests.lifecycle.conftest import Ask

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 20


def all_at_once(*calls: Callable[[], object]) -> list[object]:
    """Make the calls in as many threads at the same moment; return what each returned or raised."""
    barrier, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def one(index: int) -> None:
        barrier.wait()
        try:
            answers[index] = calls[index]()
        except Exception as error:
            answers[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=[index]) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def asking(machine: Machine, kind: str, by: User) -> Callable[[], Operation]:
    return lambda: operations.request(machine, kind, by=by, parameters={})


@pytest.mark.parametrize("kind", ["suspend", "save", "destroy"])
def test_of_many_who_ask_at_once_one_wins_and_the_others_are_told_who(machine: Machine, owner: User, kind: str) -> None:
    answers = all_at_once(*[asking(machine, kind, owner)] * PEOPLE)
    winners = [answer for answer in answers if isinstance(answer, Operation)]
    losers = [answer for answer in answers if isinstance(answer, Refused)]
    assert (len(winners), len(losers)) == (1, PEOPLE - 1), answers
    assert {(each.code, each.details["operation"]) for each in losers} == {("operation_conflict", winners[0].pk)}
    assert Operation.objects.count() == 1


def test_force_off_gets_through_any_crowd(machine: Machine, owner: User) -> None:
    others = [asking(machine, kind, owner) for kind in ("suspend", "save", "reset", "shutdown")] * 5
    *rest, destroy = all_at_once(*others, asking(machine, "destroy", owner))
    assert isinstance(destroy, Operation), destroy
    assert Counter(type(answer) for answer in rest).keys() <= {Operation, Refused}
    assert [row.kind for row in Operation.objects.filter(status__in=OPEN, preempted=False)] == ["destroy"]
    assert Operation.objects.filter(status=Status.QUEUED).count() == 1


def test_of_many_workers_that_take_a_row_one_gets_it(machine: Machine, ask: Ask) -> None:
    row = ask(machine, "save")
    takes = [
        lambda number=number: operations.advance(row, status=Status.RUNNING, worker=f"w{number}")
        for number in range(PEOPLE)
    ]
    taken = [answer for answer in all_at_once(*takes) if answer]
    assert len(taken) == 1, taken
    row.refresh_from_db()
    assert (row.worker, row.version) == (taken[0].worker, 2)


def test_cancelling_and_taking_a_row_at_once_ends_one_way(machine: Machine, owner: User) -> None:
    for _round in range(10):
        row = operations.request(machine, "save", by=owner, parameters={})
        taken, cancelled = all_at_once(
            lambda row=row: operations.advance(row, status=Status.RUNNING, worker="w"),
            lambda row=row: operations.cancel(row, owner),
        )
        row.refresh_from_db()
        assert isinstance(cancelled, Operation), cancelled
        if taken:
            assert (row.status, row.cancel_requested) == (Status.RUNNING, True)
            operations.advance(row, status=Status.CANCELLED)
        assert row.status == Status.CANCELLED or row.cancel_requested
