"""Where a helper looks at a machine: its console, by a display that throws nobody out."""

from __future__ import annotations

from django.urls import reverse

from assist.models import Assist
from consoles.protocols import protocols_for


def console_path(assist: Assist) -> str:
    """Return the path of the console's page; view only, unless the glass was broken for control.

    A SPICE screen is for one person: its helper gets the stream of pictures.
    """
    offered = protocols_for(assist.machine, visitor=True)
    path = reverse("consoles:console", args=[assist.machine_id])
    query = [f"protocol={offered[0].value}"] if offered else []
    query += [] if assist.control else ["mode=view"]
    return f"{path}?{'&'.join(query)}" if query else path
