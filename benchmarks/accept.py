"""Accepting an operation, from the request to the 202; the floors are /healthz and a bare INSERT of the row."""

from __future__ import annotations

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.scratch import fill, portal_in_process

ROUNDS = 200


def run() -> list[Figure]:
    """Ask for an operation on one machine after another of 1,000."""
    with portal_in_process():
        from django.contrib.auth.models import User
        from django.test import Client

        from hypervisor.states import State
        from lifecycle.models import Operation
        from machines.models import Machine
        from people.models import ApiToken

        fill(1_000)
        admin = User.objects.create_superuser("admin")
        token = ApiToken.make(admin.pk, "benchmark")[1]
        Machine.objects.update(state=State.RUNNING)
        uuids = iter(Machine.objects.values_list("pk", flat=True))
        client = Client(headers={"Authorization": f"Bearer {token}"})

        def insert() -> None:
            Operation.objects.create(machine_id=next(uuids), kind="suspend", requested_by=admin)

        def accept() -> None:
            answer = client.post(
                f"/api/v1/machines/{next(uuids)}/operations", {"operation": "suspend"}, content_type="application/json"
            )
            assert answer.status_code == 202, answer.content

        return [
            figures.of("floor: /healthz", figures.timed(lambda: client.get("/healthz"), ROUNDS)),
            figures.of("floor: a bare INSERT", figures.timed(insert, ROUNDS)),
            figures.of("accepting an operation", figures.timed(accept, ROUNDS), target=25),
        ]
