"""What the trail keeps of templates and of requests for machines."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from audit.kinds import add_kinds
from audit.watching import watch
from making.models import MachineRequest, MachineTemplate

add_kinds(
    {
        "template.made": _("template made"),
        "template.changed": _("template changed"),
        "template.removed": _("template deleted"),
    },
    family=_("templates of machines"),
)
add_kinds(
    {
        "request.made": _("machine asked for"),
        "request.changed": _("request for a machine answered or withdrawn"),
        "request.removed": _("request for a machine forgotten"),
    },
    family=_("requests for machines"),
)
watch(
    MachineTemplate,
    "template",
    (
        "name",
        "enabled",
        "host",
        "pool",
        "image_pool",
        "image",
        "network",
        "most_vcpus",
        "most_memory_mib",
        "most_disk_gib",
    ),
)
watch(
    MachineRequest,
    "request",
    ("name", "asked_by", "project", "template", "vcpus", "memory_mib", "disk_gib", "status", "answered_by", "machine"),
    machine=lambda request: request.machine,
)
