"""The last of what a serial console said, for whoever comes or falls behind."""

from __future__ import annotations

import re

KEPT_BYTES = 256 * 1024
_FIRST_LINE_WITHIN = 4096
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|[\]P^_X][^\x07\x1b]*\x1b?|[ -/]*)|[\xc2-\xf4][\x80-\xbf]{0,2})\Z", re.DOTALL
)
"""A control sequence or a character of which not everything has come."""
_LONGEST_UNFINISHED = 256


class Scrollback:
    """Bytes by their place in all that was ever said; only the last `kept` are there. Not for several threads."""

    def __init__(self, kept: int = KEPT_BYTES) -> None:
        self._kept = kept
        self._data = bytearray()
        self.end = 0
        """How much was ever said."""

    @property
    def begin(self) -> int:
        """The place of the first byte that is still there."""
        return self.end - len(self._data)

    def append(self, data: bytes) -> None:
        """Keep this, and let go of the oldest."""
        self._data += data[-self._kept :]
        self.end += len(data)
        if (excess := len(self._data) - self._kept) > 0:
            del self._data[:excess]

    def read(self, place: int, limit: int) -> bytes:
        """Return up to `limit` bytes from a place that is still there."""
        start = place - self.begin
        return bytes(self._data[start : start + limit])

    def first_line(self) -> int:
        """Return where to begin reading: where older text is gone, behind the line that it cuts in two."""
        if self.begin:
            newline = self._data.find(b"\n", 0, _FIRST_LINE_WITHIN)
            return self.begin + newline + 1
        return 0

    def last_whole(self) -> int:
        """Return the place up to which everything is whole: no control sequence or character is cut in two there."""
        tail = self._data[-_LONGEST_UNFINISHED:]
        found = _UNFINISHED.search(tail)
        return self.end - (len(tail) - found.start() if found else 0)
