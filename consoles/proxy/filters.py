"""What stands between a client's bytes and the machine, whatever protocol they speak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from consoles.proxy.endings import Ending
from consoles.proxy.modes import Mode

Step = Callable[[bytes], bytes]
"""Takes the bytes that were held, says what is held next, returns what goes on."""


class FilterError(Exception):
    """The client says something that cannot be understood, or that its session may not say; the session ends."""

    ending = Ending.FAILED


class Filter(Protocol):
    """Follows one client's bytes and gives those that may go on to the machine. Holds little of them."""

    acts: int
    """How many things a person did so far (keys, pointer, text), passed on or not: someone who acts is not idle."""

    def feed(self, data: bytes) -> bytes:
        """Take the client's next bytes, split anywhere; return what goes on to the machine.

        Raises:
            FilterError: they cannot be understood or may not be said.
        """

    def change_mode(self, mode: Mode) -> bytes:
        """Change what the client may do, at once; return what the machine has to hear for that (keys let go).

        Raises:
            FilterError: this cannot be done safely in the middle of what the client says.
        """


class MessageStream:
    """Cuts a client's bytes into what its protocol's steps ask for; the base of the filters.

    Either so many bytes are held until they are complete, and a step says what goes on in their place, or so many
    bytes (a body that is too long to be held) stream through or are dropped.
    """

    def __init__(self, need: int, step: Step) -> None:
        self._held = bytearray()
        self._need = need
        self._step = step
        self._body = 0  # bytes of a body that have not come yet
        self._passing = False

    def feed(self, data: bytes) -> bytes:
        """Take the client's next bytes, split anywhere; return what goes on to the machine.

        Raises:
            FilterError: the client's bytes cannot be understood, or may not be said.
        """
        out = bytearray()
        position, end = 0, len(data)
        while position < end:
            if self._body:
                took = min(self._body, end - position)
                if self._passing:
                    out += data[position : position + took]
                self._body -= took
            else:
                took = min(self._need - len(self._held), end - position)
                self._held += data[position : position + took]
                if len(self._held) == self._need:
                    out += self._step(bytes(self._held))
            position += took
        return bytes(out)

    def _expect(self, need: int, step: Step) -> None:
        """Begin anew: hold so many bytes."""
        self._held.clear()
        self._need, self._step = need, step

    def _hold(self, need: int, step: Step) -> bytes:
        """Go on holding until there are so many bytes, which are more than now; nothing goes on until then."""
        self._need, self._step = need, step
        return b""

    def _stream(self, count: int, *, passing: bool) -> None:
        """Let the next bytes through, or none of them; then comes what is expected."""
        self._body, self._passing = count, passing
