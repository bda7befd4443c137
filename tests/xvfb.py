"""An X screen of the test's own, on a display number that nobody else has, and what a person does at it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from PIL import Image, ImageGrab

SIZE = (1024, 768)
START_SECONDS = 20.0


class XScreen:
    """Xvfb, and programs on it; all of them end with it. A context manager.

    Args:
        directory: home of the programs, so that they find no settings of this machine and leave none.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.display = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        reading, writing = os.pipe()
        width, height = SIZE
        server = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "Xvfb", "-displayfd", str(writing), "-nolisten", "tcp"),
                *("-screen", "0", f"{width}x{height}x24", "-noreset"),
            ],
            pass_fds=[writing],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(_end, server)
        os.close(writing)
        with os.fdopen(reading) as answer:
            self.display = f":{answer.readline().strip()}"
        assert self.display != ":", "Xvfb did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a program on this screen gets."""
        return {
            "PATH": os.environ["PATH"],
            "DISPLAY": self.display,
            "HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory),
            "NO_AT_BRIDGE": "1",
            "GSETTINGS_BACKEND": "memory",
            "LANG": "C.UTF-8",
        }

    def run(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program on this screen."""
        with log.open("wb") as file:
            program = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
            )
        self._stack.callback(_end, program)
        return program

    def picture(self) -> Image.Image:
        """Return what the screen shows."""
        return ImageGrab.grab(xdisplay=self.display).convert("RGB")

    def xdotool(self, *words: str) -> str:
        """Do something with mouse, keyboard or windows; return what it prints, empty when it fails."""
        done = subprocess.run(
            ["xdotool", *words], env=self.environment, capture_output=True, text=True, check=False, timeout=30
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def window(self, title: str) -> str:
        """Return the window whose title matches this expression, empty when there is none."""
        return self.xdotool("search", "--onlyvisible", "--name", title).partition("\n")[0]

    def type(self, window: str, text: str) -> None:
        """Click into a window's middle and type."""
        self.xdotool("windowfocus", window)
        self.xdotool("mousemove", "--window", window, "300", "250", "click", "1")
        time.sleep(0.3)
        self.xdotool("type", "--delay", "60", text)
        self.xdotool("key", "Return")


def until(what: Callable[[], Any], limit: float, otherwise: Callable[[], str]) -> Any:
    """Return the first truthy answer.

    Raises:
        AssertionError: there was none in time; it says `otherwise`, as of then.
    """
    end = time.monotonic() + limit
    while not (answer := what()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit:.0f} s: {otherwise()}")
        time.sleep(0.1)
    return answer


def _end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    try:
        program.wait(5)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
