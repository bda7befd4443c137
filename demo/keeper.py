"""Keeps one command, and all that it starts, no longer than the process that asked for it.

    python -IS keeper.py [--signal NAME] [--remove DIRECTORY] -- COMMAND...

demo.kept runs it. Its standard input is a pipe that only its owner holds: when the owner closes it, or is killed, the
keeper reads an end of file, ends every descendant and removes the directory. As a subreaper it is the parent of
daemons that detach themselves (libvirtd's QEMUs), so none gets away. It reads `start` and `end` (of the command alone),
one to a line, and answers `pid <n>` and `ended`. It imports little, because it stays in memory beside each server.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 10.0  # seconds between asking the command to end and killing it


class Keeper:
    """One command and its descendants."""

    def __init__(self, command: list[str], ending: int) -> None:
        self.command = command
        self.ending = ending
        self.pid = 0  # 0 while the command does not run

    def start(self) -> None:
        """Start the command, unless it runs."""
        if not self.pid:
            self.pid = os.posix_spawnp(
                self.command[0],
                self.command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, 2, 1),
                ],
                setsigmask=[],
                setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE],
            )
        say(f"pid {self.pid}")

    def end(self) -> None:
        """End the command, kindly first; what it has started goes on."""
        if self.pid:
            os.kill(self.pid, self.ending)
        until = time.monotonic() + PATIENCE
        while self.pid:
            self.reap()
            time.sleep(0.01)
            if self.pid and time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
        say("ended")

    def reap(self) -> bool:
        """Collect ended children; False when none is left."""
        try:
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                if pid == self.pid:
                    self.pid = 0
        except ChildProcessError:
            return False
        return True

    def sweep(self) -> None:
        """Kill every descendant: a killed one's children become ours, until there is none."""
        while self.reap():
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def children() -> list[int]:
    """Return the processes whose parent we are."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - pathlib costs memory here
        try:
            with open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(name))
    return found


def say(line: str) -> None:
    """Tell the owner, who may be gone."""
    try:
        os.write(1, f"{line}\n".encode())
    except OSError:
        return


def serve(keeper: Keeper, wake: int) -> None:
    """Do what the owner writes, until it closes the pipe or we are asked to end."""
    import select

    pending = b""
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            if signal.SIGTERM in os.read(wake, 64):
                return
            keeper.reap()
        if 0 in readable:
            if not (data := os.read(0, 1024)):
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                {b"start": keeper.start, b"end": keeper.end}[line]()


def main(arguments: list[str]) -> None:
    """Read the command line, keep, and clean up."""
    split = arguments.index("--")
    options = dict(zip(arguments[:split:2], arguments[1:split:2], strict=True))
    ending = signal.Signals[options.get("--signal", "SIGTERM")]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    wake, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(bell)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    keeper = Keeper(arguments[split + 1 :], ending)
    try:
        serve(keeper, wake)
    finally:
        keeper.end()
        keeper.sweep()
        if directory := options.get("--remove"):
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
