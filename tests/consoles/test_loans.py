"""Control that was lent: to whom it goes back, when it ends, and that a page which is loaded again keeps it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from redis import Redis

from consoles import loans, sessions
from consoles.auditor import Auditor
from consoles.models import ConsoleSession
from consoles.proxy import redis_names
from machines.models import Grant, Machine
from tests.cast import ClientOf
from tests.consoles.seats import Seat, ends, sit_down

pytestmark = pytest.mark.django_db(transaction=True)


def test_giving_back_returns_a_loan_to_who_lent_it(owners: Seat, viewers: Seat) -> None:
    owners.act("grant", viewers)
    assert viewers.act("give_back").status_code == 200
    assert (owners.mode, viewers.mode) == ("control", "view")


def test_when_the_holder_leaves_the_lender_has_it_again(owners: Seat, viewers: Seat, redis: Redis) -> None:
    owners.act("grant", viewers)
    ends(viewers)
    assert owners.mode == "control"
    assert redis.get(redis_names.lease_key(owners.session)) == "control"
    assert owners.events() == [("granted", None)]


def loads_again(seat: Seat, machine: Machine, mode: str = "view", ending: str = "left") -> Seat:
    """Leave a page and load it again."""
    sessions.close(ConsoleSession.objects.filter(pk=seat.session), sessions.Ending(ending))
    return sit_down(seat.client, machine, mode)


@pytest.mark.parametrize("ending", ["left", "stopping", "display_closed", "silent"])
def test_a_page_that_is_loaded_again_keeps_what_it_was_lent(
    machine: Machine, owners: Seat, viewers: Seat, redis: Redis, ending: str
) -> None:
    owners.act("grant", viewers)
    again = loads_again(viewers, machine, ending=ending)
    assert (owners.mode, again.mode) == ("view", "control")
    assert again.row.granted_by == owners.row.user
    assert redis.get(redis_names.lease_key(again.session)) == "control"
    assert redis.get(redis_names.lease_key(owners.session)) == "view"
    assert ("granted", None) in again.events()
    once_more = loads_again(again, machine)
    assert (owners.mode, once_more.mode) == ("view", "control")
    owners.act("take")
    assert (owners.mode, once_more.mode) == ("control", "view"), "it is a loan still"


def test_a_page_that_is_back_before_its_end_is_known_keeps_it_too(
    machine: Machine, owners: Seat, viewers: Seat
) -> None:
    owners.act("grant", viewers)
    again = sit_down(viewers.client, machine, "view")
    assert again.mode == "view", "the former one still has it"
    ends(viewers)
    assert (owners.mode, again.mode) == ("view", "control")


def test_a_loan_is_kept_for_its_login_and_for_seconds_only(
    client_of: ClientOf, viewer: User, machine: Machine, owners: Seat, viewers: Seat, redis: Redis
) -> None:
    owners.act("grant", viewers)
    ends(viewers)
    [kept] = redis.keys("console:loan:*")
    assert 10 < redis.ttl(kept) <= loans.KEPT_SECONDS == 15
    elsewhere = sit_down(client_of(viewer), machine, "view")
    assert (owners.mode, elsewhere.mode) == ("control", "view"), "another login of the same person"
    redis.delete(kept)  # its time is over
    assert sit_down(viewers.client, machine, "view").mode == "view"
    assert owners.mode == "control"


@pytest.mark.parametrize("ending", ["revoked", "ended_by_admin", "idle", "limit", "replaced", "user_disabled"])
def test_a_loan_whose_session_was_ended_by_somebody_is_over(
    machine: Machine, owners: Seat, viewers: Seat, ending: str
) -> None:
    owners.act("grant", viewers)
    assert loads_again(viewers, machine, ending=ending).mode == "view"
    assert owners.mode == "control"


def test_a_loan_that_was_kept_gives_way_to_what_somebody_decided_meanwhile(
    client_of: ClientOf, machine: Machine, operator: User, owners: Seat, viewers: Seat
) -> None:
    operators = sit_down(client_of(operator), machine)
    owners.act("grant", viewers)
    ends(viewers)
    owners.act("grant", operators)
    operators.act("give_back")
    assert owners.mode == "control"
    assert sit_down(viewers.client, machine, "view").mode == "view"
    assert owners.mode == "control"


def test_a_loan_is_not_renewed_without_the_lenders_right(
    machine: Machine, stranger: User, owners: Seat, viewers: Seat
) -> None:
    owners.act("grant", viewers)
    ends(viewers)
    Machine.objects.update(owner=stranger)
    assert sit_down(viewers.client, machine, "view").mode == "view"


def test_what_was_given_back_or_taken_back_is_not_had_again_by_loading_the_page(
    machine: Machine, owners: Seat, viewers: Seat
) -> None:
    owners.act("grant", viewers)
    viewers.act("give_back")
    viewers = loads_again(viewers, machine)
    assert viewers.mode == "view"
    owners.act("grant", viewers)
    owners.act("take")
    assert loads_again(viewers, machine).mode == "view"
    assert owners.mode == "control"


def test_a_lender_who_is_gone_gets_nothing_back_and_one_who_only_looks_neither(
    client_of: ClientOf, owner: User, machine: Machine, owners: Seat, viewers: Seat
) -> None:
    looking = sit_down(client_of(owner), machine, "view")
    owners.act("grant", viewers)
    ends(owners)
    ends(viewers)
    assert looking.mode == "view"


def test_a_loan_ends_with_the_lenders_right_and_the_viewer_looks_on(
    machine: Machine, stranger: User, owners: Seat, viewers: Seat, redis: Redis
) -> None:
    owners.act("grant", viewers)
    machine.owner = stranger
    machine.save()
    assert (viewers.mode, viewers.row.ended_at) == ("view", None)
    assert redis.get(redis_names.lease_key(viewers.session)) == "view"


@pytest.mark.parametrize("what", ["disabled", "deleted"])
def test_a_loan_ends_with_its_lender(machine: Machine, owner: User, owners: Seat, viewers: Seat, what: str) -> None:
    owners.act("grant", viewers)
    if what == "deleted":
        owner.delete()
    else:
        owner.is_active = False
        owner.save()
    assert (viewers.mode, viewers.row.ended_at) == ("view", None)


def test_a_loan_ends_with_the_viewers_right(viewer: User, owners: Seat, viewers: Seat, redis: Redis) -> None:
    owners.act("grant", viewers)
    Grant.objects.get(user=viewer).delete()
    assert not redis.exists(redis_names.lease_key(viewers.session))
    ends(viewers)
    assert owners.mode == "control"


def test_a_loan_whose_lender_lost_the_right_behind_our_back_ends_with_the_next_look(
    machine: Machine, owners: Seat, viewers: Seat, redis: Redis
) -> None:
    owners.act("grant", viewers)
    Machine.objects.update(owner=None)  # no signal
    for seat in (owners, viewers):
        redis.set(redis_names.pulse_key(seat.session), "1")
    assert Auditor(redis).look_after_leases()
    assert viewers.mode == "view"
    assert redis.get(redis_names.lease_key(viewers.session)) == "view"
