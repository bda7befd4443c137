"""`python -m consoles.proxy`: serve consoles until SIGTERM or SIGINT.

Reads REDIS_URL, CONSOLE_LISTEN, CONSOLE_ORIGINS and LOG_LEVEL (kvmportal.environment); needs no SECRET_KEY.
"""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from threading import Thread

# websockify unmasks frames by numpy where there is one; our pump unmasks itself, so these 12 MB are spared.
sys.modules["numpy"] = None  # type: ignore[assignment]
warnings.filterwarnings("ignore", message="no 'numpy' module")

from consoles.proxy.display import opener  # noqa: E402
from consoles.proxy.endings import Ending  # noqa: E402
from consoles.proxy.journal import Journal  # noqa: E402
from consoles.proxy.redis_client import redis_of  # noqa: E402
from consoles.proxy.server import ConsoleServer, Desk  # noqa: E402
from consoles.proxy.sessions import Registry  # noqa: E402
from consoles.proxy.watch import Watch  # noqa: E402
from hypervisor.pool import Pool  # noqa: E402
from kvmportal.environment import Environment, environment  # noqa: E402

del sys.modules["numpy"]  # whoever imports this module may have uses for it

logger = logging.getLogger("consoles.proxy")
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main() -> None:
    """Serve until told to stop."""
    settings = environment()
    logging.basicConfig(level=settings.log_level, format="{asctime} {levelname} {name} {message}", style="{")
    sys.setswitchinterval(0.001)  # seconds; a client that floods its own console then delays others by little
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # before any thread, so that sigwait gets them
    serve(settings)


def serve(settings: Environment) -> None:
    """Run all parts of the proxy; return when a stop signal came and every session was told."""
    redis = redis_of(settings.redis_url)
    registry, journal, pool = Registry(), Journal(redis), Pool()
    watch = Watch(redis, registry)
    origins = frozenset(origin.rstrip("/").lower() for origin in settings.console_origins)
    desk = Desk(redis=redis, origins=origins, registry=registry, journal=journal, open_display=opener(pool))
    server = ConsoleServer(settings.console_listen, desk)
    journal.start()
    watch.start()
    Thread(target=server.serve_forever, name="accept", daemon=True).start()
    logger.info("consoles are served at %s", settings.console_listen)
    signal.sigwait(STOP_SIGNALS)
    server.shutdown()
    server.server_close()
    registry.end_all(Ending.STOPPING, patience=3)
    watch.stop()
    journal.stop(2)
    pool.close()


if __name__ == "__main__":
    main()
