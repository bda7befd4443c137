"""API: a machine's saved files. They are its memory, so only those who may operate it are told of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema

from lifecycle.saved_files import saved_file_payload, saved_files
from machines.access import Right, machine_or_404

router = Router()


class SavedFileOut(Schema):
    """A saved file. `fresh`: the machine has not run since; `missing`: it was not on its host when last looked for."""

    name: str
    bytes: int
    saved_at: datetime
    saved_by: str | None
    fresh: bool
    complete: bool
    missing: bool


class SavedFilesOut(Schema):
    """A machine's saved files, newest first."""

    items: list[SavedFileOut]


@router.get(
    "/machines/{uuid}/saved-files", response=SavedFilesOut, summary="List a machine's saved files", tags=["machines"]
)
def list_saved_files(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """List the files that the machine was saved to; restore or delete one by an operation, by its name."""
    machine = machine_or_404(request.user, uuid, Right.OPERATE)
    return {"items": [saved_file_payload(file) for file in saved_files(machine)]}
