"""What a supervisor or load balancer asks: is this process alive, and can the portal do its work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from machines.redis_client import redis_client

logger = logging.getLogger(__name__)

LIMIT = 3.0
"""Seconds a check may take before it counts as failed."""
HEARTBEATS = "kvmportal:watcher:*"
"""Keys that watchers renew; Redis drops them 10 s after the last sign of life."""

_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="readyz")


class NotReady(Exception):
    """A check failed; the message may be shown to anyone."""


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer that this process is alive. Touches nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer each check, 200 when all are well and 503 when one is not. Names no address and no error's text."""
    running = {name: _threads.submit(check) for name, check in CHECKS.items()}
    checks = {name: _outcome(name, future) for name, future in running.items()}
    ready = all(outcome == "ok" for outcome in checks.values())
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def database() -> None:
    """Check that the database answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def redis() -> None:
    """Check that Redis answers."""
    redis_client().ping()


def watcher() -> None:
    """Check that at least one watcher gave a sign of life in the last seconds.

    Raises:
        NotReady: none did, so the states that pages show may be old.
    """
    if next(redis_client().scan_iter(match=HEARTBEATS, count=1000), None) is None:
        raise NotReady("no watcher has reported in the last 10 s")


CHECKS: dict[str, Callable[[], None]] = {"database": database, "redis": redis, "watcher": watcher}


def _outcome(name: str, future: Future[None]) -> str:
    """Return "ok" or what is wrong, without internals; those go to the log."""
    try:
        future.result(timeout=LIMIT)
    except NotReady as reason:
        return str(reason)
    except TimeoutError:
        future.cancel()
        return f"no answer within {LIMIT:g} s"
    except Exception as error:  # every failure of a part means the same here: it is not ready
        logger.warning("readyz: %s failed: %s", name, error)
        return "no answer"
    return "ok"
