"""What the tests of the audit trail share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit import guards, sealing, trail
from audit.models import Entry

Verify = Callable[..., list[str]]
Sql = Callable[..., None]


@pytest.fixture
def verify(db: None) -> Verify:
    """A function that runs `manage.py verifyaudit` and gives what it found, each finding a line."""

    def verify(*args: str) -> list[str]:
        told = StringIO()
        try:
            call_command("verifyaudit", *args, stdout=StringIO(), stderr=told, no_color=True)
        except CommandError as error:
            assert error.returncode == 1
            assert told.getvalue()
        return told.getvalue().splitlines()

    return verify


@pytest.fixture
def sql(db: None) -> Sql:
    """A function that writes into the database behind the portal's back, as who may drop its triggers can."""
    guards.remove(connection)

    def sql(statement: str, *parameters: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            assert cursor.rowcount

    return sql


@pytest.fixture
def sealed(db: None) -> list[Entry]:
    """Twelve entries in three batches of four."""
    for number in range(12):
        trail.record("host.changed", id=number, after={"name": f"rack-{number}"})
    usual, sealing.MOST = sealing.MOST, 4
    try:
        assert sealing.seal_all() == 12
    finally:
        sealing.MOST = usual
    return list(Entry.objects.order_by("pk"))


@pytest.fixture
def emptied(transactional_db: None) -> Iterator[None]:
    """For tests that seal and commit: lets the tables be emptied afterwards (the guards come back with that)."""
    yield
    guards.remove(connection)
