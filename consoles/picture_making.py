"""Makes the small and large pictures that pages show from what QEMU gives. Loads Pillow: for the watcher only."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from consoles.picture_sizes import MAKING, Size

MOST_PIXELS = 7680 * 4320
"""A guest chooses the size of its screen; larger ones are not decoded."""


class NoPicture(Exception):
    """What QEMU gave is no picture, or one that is too large."""


def decoded(content: bytes) -> Image.Image:
    """Read a screenshot.

    Raises:
        NoPicture: it cannot be read.
    """
    try:
        found = Image.open(BytesIO(content), formats=("PNG", "PPM"))
        if found.width * found.height > MOST_PIXELS:
            raise NoPicture(f"{found.width} x {found.height} pixels")
        return found.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NoPicture(str(error)) from error


def webp(screen: Image.Image, size: Size) -> bytes:
    """Return the screen as a WebP of this size; a smaller screen is not blown up."""
    small = screen.copy()
    small.thumbnail(MAKING[size].box)
    target = BytesIO()
    small.save(target, "WEBP", method=0, quality=MAKING[size].quality)
    return target.getvalue()
