"""A database and a Redis of the benchmark's own, and machines to fill them with."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from demo.servers import RedisServer


@contextmanager
def portal_in_process() -> Iterator[None]:
    """Set Django up in this process over a fresh SQLite database and a private Redis."""
    with tempfile.TemporaryDirectory(prefix="kvmportal-bench-") as name, RedisServer(Path(name) / "redis") as redis:
        os.environ |= {
            "SECRET_KEY": secrets.token_hex(32),
            "REDIS_URL": redis.url,
            "DATABASE_URL": f"sqlite:///{name}/portal.sqlite3",
            "STATIC_ROOT": f"{name}/static",
            "ALLOWED_HOSTS": "testserver,localhost",
            "DJANGO_SETTINGS_MODULE": "kvmportal.settings",
            "LOG_LEVEL": "ERROR",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        yield


def fill(count: int) -> None:
    """Add machines until there are `count`, of every state, a tenth of them owned by `owner`."""
    from django.contrib.auth.models import User

    from hypervisor.states import State
    from machines.models import Host, Machine

    host, _ = Host.objects.get_or_create(name="bench", uri="test:///default", defaults={"reachable": True})
    owner, _ = User.objects.get_or_create(username="owner")
    states = list(State)
    missing = range(Machine.objects.count(), count)
    Machine.objects.bulk_create(
        [
            Machine(
                uuid=uuid4(),
                host=host,
                owner=owner if number % 10 == 0 else None,
                name=f"machine-{number:05}",
                title=f"Machine number {number}",
                state=states[number % len(states)],
                vcpus=2,
                memory_bytes=2 * 2**30,
                graphics=["vnc"],
                addresses=[
                    {"interface": "eth0", "mac": "", "address": f"10.0.{number // 256}.{number % 256}", "prefix": 16}
                ],
            )
            for number in missing
        ],
        batch_size=500,
    )
