"""The machine list at 100, 1,000 and 10,000 machines; the floor is /healthz, which renders nothing."""

from __future__ import annotations

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.scratch import fill, portal_in_process

SIZES = (100, 1_000, 10_000)
ROUNDS = 60


def run() -> list[Figure]:
    """Measure server time, size and queries of a page of 50, as an administrator and as an owner."""
    with portal_in_process():
        from django.contrib.auth.models import User
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext

        admin = User.objects.create_superuser("admin")
        client = Client()
        client.force_login(admin)
        results = [figures.of("floor: /healthz", figures.timed(lambda: client.get("/healthz"), ROUNDS))]
        queries = []
        for size in SIZES:
            fill(size)
            results.append(
                figures.of(f"list page, {size} machines", figures.timed(lambda: client.get("/"), ROUNDS), target=25)
            )
            with CaptureQueriesContext(connection) as captured:
                page = client.get("/")
            assert page.status_code == 200
            queries.append(len(captured))
            results.append(Figure(f"its size, {size} machines", len(page.content) / 1000, "kB", target=100))
        owner = Client()
        owner.force_login(User.objects.get(username="owner"))
        samples = figures.timed(lambda: owner.get("/"), ROUNDS)
        results.append(figures.of("list page of an owner of 1,000 among 10,000", samples, target=25))
        results.append(Figure("queries, most minus fewest over the sizes", max(queries) - min(queries), "", target=0))
        results.append(Figure("queries of the page", queries[-1], ""))
        return results
