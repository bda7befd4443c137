"""Whose picture is taken next, on a clock of the test's own."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from consoles.picture_schedule import FIRST_REST, LONGEST_REST, UNDER_WAY_AT_MOST, Schedule
from consoles.picture_sizes import Size

ONE, TWO = uuid4(), uuid4()
SMALL = {Size.SMALL}


@pytest.fixture
def schedule() -> Schedule:
    return Schedule()


def take(schedule: Schedule, now: float, *, well: bool = True) -> UUID | None:
    turn = schedule.next(now)
    if turn:
        schedule.done(turn[0], now, well=well)
    return turn and turn[0]


def test_a_machine_is_taken_at_once_and_then_as_often_as_wanted(schedule: Schedule) -> None:
    schedule.follow({ONE: SMALL})
    assert [take(schedule, now) for now in (0, 1, 9.9, 10, 11, 20)] == [ONE, None, None, ONE, None, ONE]


def test_nobody_is_forgotten_when_more_are_wanted_than_can_be_taken(schedule: Schedule) -> None:
    machines = [uuid4() for _ in range(100)]
    schedule.follow(dict.fromkeys(machines, SMALL))
    taken = [take(schedule, number / 5) for number in range(200)]
    assert set(taken[:100]) == set(taken[100:]) == set(machines)


def test_only_what_is_still_wanted_is_taken(schedule: Schedule) -> None:
    schedule.follow({ONE: SMALL, TWO: SMALL})
    schedule.follow({TWO: SMALL})
    assert [take(schedule, 0), take(schedule, 0)] == [TWO, None]
    schedule.follow({})
    assert not schedule.wanted
    assert take(schedule, 100) is None


def test_each_size_of_a_machine_has_its_own_pace(schedule: Schedule) -> None:
    schedule.follow({ONE: {Size.SMALL, Size.STREAM}})
    assert schedule.next(0) == (ONE, {Size.SMALL, Size.STREAM})
    schedule.done(ONE, 0, well=True)
    assert schedule.next(1) == (ONE, {Size.STREAM})
    schedule.done(ONE, 1, well=True)
    assert schedule.next(10) == (ONE, {Size.SMALL, Size.STREAM})


def test_a_machine_is_not_begun_again_while_one_is_under_way(schedule: Schedule) -> None:
    schedule.follow({ONE: SMALL})
    assert schedule.next(0)
    assert schedule.next(100) is None
    schedule.done(ONE, 100, well=True)
    assert schedule.next(100)


def test_few_are_under_way_at_a_time(schedule: Schedule) -> None:
    schedule.follow(dict.fromkeys([uuid4() for _ in range(10)], SMALL))
    assert len([turn for _ in range(10) if (turn := schedule.next(0))]) == UNDER_WAY_AT_MOST


def test_a_machine_that_fails_rests_longer_each_time_and_not_after_it_went_well(schedule: Schedule) -> None:
    schedule.follow({ONE: {Size.STREAM}})
    now, rests = 0.0, []
    for _ in range(6):
        take(schedule, now, well=False)
        failed = now
        while not schedule._due_since(ONE, {Size.STREAM}) <= now:
            now += 0.5
        rests.append(now - failed)
    assert rests == [FIRST_REST, 10, 20, 40, LONGEST_REST, LONGEST_REST]
    take(schedule, now)
    assert take(schedule, now + 1) == ONE
    take(schedule, now + 2, well=False)
    assert take(schedule, now + 2 + FIRST_REST) == ONE


def test_a_picture_that_comes_back_after_nobody_looks_any_more_is_no_trouble(schedule: Schedule) -> None:
    schedule.follow({ONE: SMALL})
    schedule.next(0)
    schedule.follow({})
    schedule.done(ONE, 1, well=False)
    schedule.follow({})
    schedule.follow({ONE: SMALL})
    assert schedule.next(2)
