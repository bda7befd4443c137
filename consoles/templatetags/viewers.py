"""Buttons for virt-viewer, on a machine's page and in the console's menu."""

from __future__ import annotations

from typing import Any

from django import template

from consoles.models import Protocol
from consoles.protocols import modules_for, protocol_shown, protocols_for
from consoles.viewer_files import protocols_of
from machines.models import Machine

register = template.Library()


@register.inclusion_tag("consoles/viewer_file.html", takes_context=True)
def viewer_file(context: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """Draw a button for each display that virt-viewer can open; nothing where there is none."""
    protocols = protocols_of(machine)
    return {
        "machine": machine,
        "protocols": protocols,
        "microphone": Protocol.SPICE in protocols and context["sight"].operates,
        "csrf_token": context["csrf_token"],
    }


@register.inclusion_tag("consoles/prefetch.html")
def console_prefetch(machine: Machine) -> dict[str, Any]:
    """Let the browser fetch what the machine's console will need, when it has nothing else to do."""
    return {"modules": modules_for(protocol_shown(protocols_for(machine, visitor=False), ""))}


@register.filter
def in_virt_viewer(machine: Machine) -> list[Protocol]:
    """Return what virt-viewer can speak with this machine."""
    return protocols_of(machine)
