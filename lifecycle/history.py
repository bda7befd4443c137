"""Which operations a person may see, and finding them: used by pages and API."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from lifecycle.models import Operation
from machines.access import Person, sees_everything, visible_machines


def visible_operations(person: Person) -> QuerySet[Operation]:
    """Return the operations of the machines this person may see, newest first."""
    operations = Operation.objects.with_machine()
    if person.is_authenticated and person.is_active and sees_everything(person):
        return operations
    return operations.filter(machine__in=visible_machines(person).values("pk"))


def operation_or_404(person: Person, operation_id: int) -> Operation:
    """Fetch an operation for someone who may see its machine.

    Raises:
        Http404: there is no such operation, or this person may not know of its machine.
    """
    operation = visible_operations(person).filter(pk=operation_id).first()
    if operation is None:
        raise Http404(_("There is no such operation."))
    return operation
