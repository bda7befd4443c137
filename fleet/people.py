"""What hangs on people's accounts, and how an administrator takes it away: consoles, logins, tokens, the account."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, QuerySet

from consoles import sessions
from consoles.proxy.endings import Ending
from machines.models import Machine
from people.logins import end_sessions_of, sessions_of
from people.models import ApiToken


@dataclass(frozen=True, slots=True)
class Holding:
    """What one person has now."""

    user: User
    machines: int
    consoles: int
    logins: int
    tokens: int


def holdings(users: Sequence[User]) -> list[Holding]:
    """Return what each of these users has, in four queries; it reads all login sessions."""
    ids = [user.pk for user in users]
    machines = _counted(Machine.objects.filter(owner__in=ids), "owner")
    consoles = _counted(sessions.not_ended().filter(user__in=ids), "user")
    tokens = _counted(ApiToken.objects.filter(user__in=ids), "user")
    logins = sessions_of(ids)
    return [
        Holding(user, machines.get(user.pk, 0), consoles.get(user.pk, 0), len(logins[user.pk]), tokens.get(user.pk, 0))
        for user in users
    ]


def end_consoles(users: Iterable[User]) -> int:
    """End all consoles of these users; return how many those were."""
    open_ones = list(sessions.not_ended().filter(user__in=users).values_list("pk", flat=True))
    sessions.end(open_ones, Ending.ENDED_BY_ADMIN)
    return len(open_ones)


def end_logins(users: Collection[User], *, but: str | None = None) -> int:
    """Sign these users out everywhere but in the browser of this session key; return out of how many browsers."""
    with transaction.atomic():
        return end_sessions_of([user.pk for user in users], but=but)


def revoke_tokens(users: Iterable[User]) -> int:
    """Revoke all API tokens of these users; return how many those were."""
    with transaction.atomic():
        tokens = list(ApiToken.objects.filter(user__in=users))
        for token in tokens:
            token.delete()
        return len(tokens)


def disable(users: Collection[User]) -> int:
    """Let these users not sign in any more; sockets and consoles end at once. Return how many could until now.

    Their login sessions end for good: an account that is enabled again has to sign in anew. Tokens stay, without effect
    as long as the account is disabled.
    """
    with transaction.atomic():
        able = [user for user in users if user.is_active]
        for user in able:
            user.is_active = False
            user.save(update_fields=["is_active"])
        end_sessions_of([user.pk for user in users])
    return len(able)


def _counted(rows: QuerySet, by: str) -> dict[int, int]:  # type: ignore[type-arg]  # of any model
    return dict(rows.order_by().values_list(by).annotate(Count("pk")))
