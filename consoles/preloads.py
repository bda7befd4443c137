"""Which ES modules a page needs: all are fetched at once instead of each after the one that imports it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath

from django.contrib.staticfiles import finders

_IMPORT = re.compile(
    r"""^\s*(?:import|export)\b[^'";]*?\bfrom\s*["'](\.[^"']+)["']|^\s*import\s*["'](\.[^"']+)["']""", re.M
)


@lru_cache
def modules_of(*roots: str) -> tuple[str, ...]:
    """Return these modules and all that they import, by their static paths; what they import later is left out.

    Raises:
        FileNotFoundError: a module is not there.
    """
    found: dict[str, None] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += _imports(name)
    return tuple(found)


def _imports(name: str) -> list[str]:
    path = finders.find(name)
    if not path:
        raise FileNotFoundError(name)
    directory = PurePosixPath(name).parent
    matches = _IMPORT.finditer(Path(path).read_text(encoding="utf-8"))
    return [_joined(directory, match[1] or match[2]) for match in matches]


def _joined(directory: PurePosixPath, relative: str) -> str:
    parts: list[str] = list(directory.parts)
    for part in PurePosixPath(relative).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
