"""Which doors for native viewers this proxy has."""

from __future__ import annotations

import logging
from pathlib import Path

from consoles.proxy.connect import ConnectServer
from consoles.proxy.doorstep import ViewerServer
from consoles.proxy.viewer_tls import Certificate
from consoles.proxy.visits import Desk
from consoles.proxy.vnc_door import VncServer
from kvmportal.environment import BadEnvironment, Environment

logger = logging.getLogger(__name__)


def doors(settings: Environment, desk: Desk) -> list[ViewerServer]:
    """Bind the doors that have a public address.

    Raises:
        BadEnvironment: the certificate cannot be used.
        OSError: an address cannot be had.
    """
    certificate = _certificate(settings)
    made: list[ViewerServer] = []
    if settings.console_spice_public:
        secure = settings.console_spice_public.startswith("https:")
        made.append(ConnectServer(settings.console_spice_listen, desk, certificate if secure else None))
        logger.info("virt-viewer is served SPICE at %s", settings.console_spice_listen)
    if settings.console_vnc_public:
        made.append(VncServer(settings.console_vnc_listen, desk, certificate))
        logger.info("virt-viewer is served VNC at %s", settings.console_vnc_listen)
    return made


def _certificate(settings: Environment) -> Certificate | None:
    if not settings.console_viewer_cert:
        return None
    try:
        return Certificate(Path(settings.console_viewer_cert), Path(settings.console_viewer_key))
    except OSError as error:
        raise BadEnvironment(f"CONSOLE_VIEWER_CERT and CONSOLE_VIEWER_KEY cannot be used: {error}.") from error
