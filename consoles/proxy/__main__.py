"""`python -m consoles.proxy`: serve consoles until SIGTERM or SIGINT.

Reads REDIS_URL, LOG_LEVEL and the CONSOLE_ variables (kvmportal.environment); needs no SECRET_KEY.
"""

from __future__ import annotations

import logging
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from socketserver import BaseServer
from threading import Thread

# websockify unmasks frames by numpy where there is one; our pump unmasks itself, so these 12 MB are spared.
sys.modules["numpy"] = None  # type: ignore[assignment]
warnings.filterwarnings("ignore", message="no 'numpy' module")

from consoles.proxy import display, serial  # noqa: E402
from consoles.proxy.display import OpenDisplay  # noqa: E402
from consoles.proxy.doors import doors  # noqa: E402
from consoles.proxy.endings import Ending  # noqa: E402
from consoles.proxy.journal import Journal  # noqa: E402
from consoles.proxy.limits import Limits  # noqa: E402
from consoles.proxy.recorder import recorder  # noqa: E402
from consoles.proxy.redis_client import redis_of  # noqa: E402
from consoles.proxy.server import ConsoleServer  # noqa: E402
from consoles.proxy.sessions import Registry  # noqa: E402
from consoles.proxy.shared_console import SharedConsoles  # noqa: E402
from consoles.proxy.visits import Desk  # noqa: E402
from consoles.proxy.watch import Watch  # noqa: E402
from hypervisor.pool import Pool  # noqa: E402
from kvmportal.environment import Environment, environment  # noqa: E402

del sys.modules["numpy"]  # whoever imports this module may have uses for it

logger = logging.getLogger("consoles.proxy")
MakeOpener = Callable[[Pool], OpenDisplay]
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
DRAIN_SECONDS = 3.0
"""Over how long sessions are ended when the proxy stops, so that they do not all come to the next one at once."""


def main(opener: MakeOpener = display.opener) -> None:
    """Serve until told to stop; what opens displays may be another (benchmarks)."""
    settings = environment()
    logging.basicConfig(level=settings.log_level, format="{asctime} {levelname} {name} {message}", style="{")
    sys.setswitchinterval(0.001)  # seconds; a client that floods its own console then delays others by little
    _allow_many_files()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # before any thread, so that sigwait gets them
    serve(settings, opener)


def serve(settings: Environment, opener: MakeOpener) -> None:
    """Run all parts of the proxy; return when a stop signal came and every session was told."""
    redis = redis_of(settings.redis_url)
    registry, journal, pool = Registry(settings.consoles_per_proxy), Journal(redis), Pool()
    watch, limits = Watch(redis, registry, journal), Limits(registry, journal)
    origins = frozenset(origin.rstrip("/").lower() for origin in settings.console_origins)
    desk = Desk(
        redis=redis,
        origins=origins,
        registry=registry,
        journal=journal,
        open_display=opener(pool),
        pool=pool,
        serial_consoles=SharedConsoles(serial.opener(pool)),
        make_tee=recorder(settings.recordings_dir),
    )
    servers: list[BaseServer] = [ConsoleServer(settings.console_listen, desk), *doors(settings, desk)]
    journal.start()
    watch.start()
    limits.start()
    for server in servers:
        Thread(target=server.serve_forever, name="accept", daemon=True).start()
    logger.info("consoles are served at %s", settings.console_listen)
    signal.sigwait(STOP_SIGNALS)
    for server in servers:
        server.shutdown()  # and another process may listen in its place
        server.server_close()
    registry.drain(Ending.STOPPING, over=DRAIN_SECONDS)
    registry.wait_until_empty(3)
    desk.serial_consoles.close()
    limits.stop()
    watch.stop()
    journal.stop(2)
    pool.close()


def _allow_many_files() -> None:
    """Open as many files as the system lets us: a console takes three, and 1,024 are usual."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
