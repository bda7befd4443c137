"""Single-use tickets that open the socket of live updates for scripts, which have no session cookie."""

from __future__ import annotations

import hashlib
import json
import secrets

from django.contrib.auth.models import User

from machines.redis_client import redis_client

LIFETIME = 30
"""Seconds in which a ticket can be used."""


def issue(user: User, login: str) -> str:
    """Make a ticket for a user signed in by this login. Redis keeps its digest only.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    ticket = secrets.token_urlsafe(32)
    redis_client().set(_key(ticket), json.dumps([user.pk, login]), ex=LIFETIME)
    return ticket


def redeem(ticket: str) -> tuple[int, str] | None:
    """Use up a ticket; return its user's id and login, None for one that is unknown, used or too old.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    kept = redis_client().getdel(_key(ticket))
    if kept is None:
        return None
    user_id, login = json.loads(kept)
    return user_id, login


def _key(ticket: str) -> str:
    return f"kvmportal:socket-ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
