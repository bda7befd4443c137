"""The command `bin/demo`: a portal with guests of its own on this machine, in the foreground until told to stop."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from demo import accounts
from demo.guest import GuestNotBuilt
from demo.host import LocalLibvirt, NoLibvirt, default_uri
from demo.libvirtd import LibvirtFailed
from demo.machines import DemoMachines
from demo.made_machines import IMAGE, MadeMachines
from demo.portal import Portal, PortalFailed
from demo.saved_pool import SavedPool
from demo.servers import RedisServer
from demo.state import AlreadyRunning, StateDirectory
from kvmportal.environment import ROOT

TEND_EVERY = 0.5  # seconds
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Someone asked the demo to stop."""


class PortTaken(RuntimeError):
    """Another program listens on the wanted port."""


FAILURES = (AlreadyRunning, PortTaken, NoLibvirt, GuestNotBuilt, LibvirtFailed, PortalFailed, OSError, RuntimeError)
"""What is said in words, without a traceback."""


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bin/demo", description="Run kvmportal with guests of its own on this machine."
    )
    parser.add_argument("--port", type=int, default=8000, help="of the portal on 127.0.0.1; 0 picks a free one (8000)")
    parser.add_argument("--state", type=Path, default=ROOT / "var" / "demo", help="directory to keep (var/demo)")
    parser.add_argument("--host-uri", default=default_uri(), help="libvirt to run the guests on (%(default)s)")
    parser.add_argument("--status", action="store_true", help="say whether a demo answers: exit status 0 if so")
    return parser.parse_args()


def main() -> int:
    """Run until told to stop; return the exit status."""
    options = command_line()
    state = StateDirectory(options.state)
    if options.status:
        return status(state)
    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        state.lock()
        check_port(options.port)
        run(state, options.port, options.host_uri)
    except Stopped:
        say("Stopped.")
    except FAILURES as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def run(state: StateDirectory, port: int, uri: str) -> None:
    """Bring everything up, say so, and keep it up until `Stopped` is raised; then everything comes down in turn."""
    begun = time.monotonic()
    say(f"Demo with its state in {state.path}")
    with ExitStack() as stack:
        stack.enter_context(LocalLibvirt(uri, say))
        machines = stack.enter_context(DemoMachines(uri, state, say))
        saved = stack.enter_context(SavedPool(uri, state))
        made = stack.enter_context(MadeMachines(uri, state))
        redis = stack.enter_context(RedisServer(state.path / "redis"))
        portal = Portal(
            state.path,
            redis_url=redis.url,
            database_url=state.database_url,
            secret_key=state.secret_key,
            port=port,
            extra=saved.environment,
        )
        credentials = accounts.load_credentials(state.credentials, portal.url)
        stack.callback(portal.stop)
        say("Portal: preparing database, pages and accounts")
        portal.prepare()
        accounts.write(portal, "people", users=credentials["users"], host_uri=uri)
        accounts.write(portal, "template", pool=made.pool, image=IMAGE, domain_type=machines.domain_type)
        say("Portal: starting")
        portal.start()
        portal.wait_ready()
        accounts.write(portal, "owners", machines=machines.uuids, viewed=machines.viewed)
        accounts.save_credentials(state.credentials, credentials)
        machines.wait_for_agents()
        say_ready(credentials, state, time.monotonic() - begun)
        while True:
            time.sleep(TEND_EVERY)
            for words in portal.tend():
                say(words)
            if not redis.answers():
                say("Redis does not answer; it starts again")
                redis.start()


def say_ready(credentials: accounts.Credentials, state: StateDirectory, seconds: float) -> None:
    """Tell a person where to go and with which accounts."""
    print(f"\nkvmportal is ready at {credentials['url']}", flush=True)
    print(f"(after {seconds:.0f} s; Ctrl-C stops it)\n")
    for role, login in credentials["users"].items():
        print(f"  {role:<10}{login['password']}")
    print(f"\nThese passwords, and an API token of each, are in {state.credentials}", flush=True)


def say(words: str) -> None:
    """Tell a person what happens."""
    print(words, flush=True)


def status(state: StateDirectory) -> int:
    """Say whether a demo answers; 0 if so, 1 if not."""
    if state.answers():
        say(f"kvmportal is ready at {state.url()}")
        return 0
    say(f"No demo answers with the state in {state.path}")
    return 1


def check_port(port: int) -> None:
    """Find out early whether the port can be had.

    Raises:
        PortTaken: with what to do.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise PortTaken(
                f"Port {port} cannot be used ({error}). Choose another with --port, or 0 for any."
            ) from None


def stop(number: int, _frame: FrameType | None) -> None:
    """Begin to come down; a second signal changes nothing."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    say("\nStopping: portal, guests, servers")
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
