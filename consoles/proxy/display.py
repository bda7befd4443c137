"""Opening a machine's display as it is now, through the hypervisor seam."""

from __future__ import annotations

import socket
from collections.abc import Callable

from consoles.proxy.endings import Ending
from consoles.proxy.tickets import Claim
from hypervisor import errors
from hypervisor.pool import Pool

OpenDisplay = Callable[[Claim], socket.socket]


class NoDisplay(Exception):
    """There is nothing to look at now; says how the session ends."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


def opener(pool: Pool) -> OpenDisplay:
    """Return the function that opens a claim's display by libvirt (virDomainOpenGraphicsFD), raising NoDisplay."""

    def open_display(claim: Claim) -> socket.socket:
        try:
            return pool.connection(claim.uri).domain(claim.machine).open_graphics(claim.protocol)
        except (errors.HostUnreachable, errors.HostBusy, errors.DomainBusy) as error:
            raise NoDisplay(Ending.HOST_UNREACHABLE) from error
        except errors.HypervisorError as error:
            raise NoDisplay(Ending.NO_DISPLAY) from error

    return open_display
