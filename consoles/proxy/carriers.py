"""What carries a console's bytes, for the displays that a file descriptor of libvirt leads to."""

from __future__ import annotations

from consoles.proxy.endings import Ending
from consoles.proxy.pump import Pump
from consoles.proxy.replayable import ReplayableStream
from consoles.proxy.rfb import ClientStream
from consoles.proxy.spice import SpiceStream
from consoles.proxy.visits import Visit


def carry_vnc(visit: Visit) -> Ending:
    """Carry one client's bytes to the machine's VNC display and back, through the RFB filter."""
    display = visit.open_display()
    stream = (ReplayableStream if visit.claim.record else ClientStream)(visit.session.mode)
    pump = Pump(visit.client, display, visit.line, stream, tee=visit.tee(), websocket=visit.websocket)
    return pump.run(visit.early)


def carry_spice(visit: Visit) -> Ending:
    """Carry one client's bytes on one channel to the machine's SPICE display and back, through the filter."""
    display = visit.open_display()
    allowed = [visit.claim.channel] if visit.claim.channel else []
    stream = SpiceStream(visit.session.mode, allowed, visit.session.claim_channel)
    return Pump(visit.client, display, visit.line, stream, websocket=visit.websocket).run(visit.early)
