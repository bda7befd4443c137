"""A server process that ends with its owner, whichever way the owner ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

KEEPER = Path(__file__).with_name("keeper.py")


class Kept:
    """One command under demo/keeper.py; a context manager, at the end of which nothing of it is left.

    The command's output is appended to `log`. `remove` is a directory to delete at the very end. The command has a
    session of its own, so a terminal's Ctrl-C reaches only the owner, who then stops things in the order they need.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        remove: Path | None = None,
        ending: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
    ) -> None:
        options = ["--signal", ending.name] + (["--remove", str(remove)] if remove else [])
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), *options, "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=env,
                start_new_session=True,
                text=True,
                bufsize=1,
            )
        self._command = " ".join(command)
        self.log = log
        self.pid = 0

    def start(self) -> None:
        """Start the command; nothing when it runs already. `pid` is its process afterwards.

        Raises:
            RuntimeError: there is no such program, or this was closed.
        """
        answer = self._ask("start")
        self.pid = int(answer.removeprefix("pid "))

    @property
    def running(self) -> bool:
        """Whether the command runs; False also when it ended by itself."""
        return bool(self.pid) and Path(f"/proc/{self.pid}").exists()

    def end(self) -> None:
        """End the command and wait; processes that it has started go on, and `start` starts it again."""
        self._ask("end")
        self.pid = 0

    def close(self) -> None:
        """End the command and every descendant, and wait until all is gone."""
        assert self._keeper.stdin and self._keeper.stdout  # noqa: S101 - Popen was given pipes
        if not self._keeper.stdin.closed:
            self._keeper.stdin.close()
            self._keeper.wait(timeout=60)
            self._keeper.stdout.close()
        self.pid = 0

    def last_words(self) -> str:
        """Return the end of the log, for an error's text."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:]) if self.log.exists() else ""

    def _ask(self, line: str) -> str:
        assert self._keeper.stdin and self._keeper.stdout  # noqa: S101 - Popen was given pipes
        try:
            self._keeper.stdin.write(f"{line}\n")
            answer = self._keeper.stdout.readline().strip()
        except (BrokenPipeError, ValueError):
            answer = ""
        if not answer:
            raise RuntimeError(f"{self._command} could not be kept:\n{self.last_words()}")
        return answer

    def __enter__(self) -> Self:
        """Start the command."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.close()
