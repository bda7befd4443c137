"""What beside the table an operation demands of its machine and its parameters, checked before it is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User

from lifecycle import saved_files
from lifecycle.definitions import demand_creation, demand_definition, demand_that_nothing_is_lost_unsaid
from lifecycle.linux_keys import demand_known_keys
from machines.models import Machine
from machines.operation_table import Kind

Demand = Callable[[Machine, dict[str, Any], User], dict[str, Any]]
"""Takes machine, checked parameters and who asks; returns the parameters to keep, or raises Refused."""

DEMANDS: dict[str, Demand] = {
    "save": saved_files.demand_save,
    "restore": saved_files.demand_restore,
    "delete-file": saved_files.demand_delete,
    "define": demand_definition,
    "create": demand_creation,
    "undefine": demand_that_nothing_is_lost_unsaid,
    "send-keys": demand_known_keys,
}


def demanded(kind: Kind, machine: Machine, parameters: dict[str, Any], by: User) -> dict[str, Any]:
    """Return the parameters to keep with the operation.

    Raises:
        Refused: it cannot be done so; the sentence says what to do.
    """
    demand = DEMANDS.get(kind.name)
    return demand(machine, parameters, by) if demand else parameters
