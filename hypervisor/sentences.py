"""Every sentence that an error of the seam may carry, as a page: `python -m hypervisor.sentences >docs/errors.md`."""

from __future__ import annotations

import ast
import errno
import sys
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path

import libvirt

from hypervisor import errors, translation

HEAD = """# What errors say

<!-- Written by `python -m hypervisor.sentences >docs/errors.md`; a test holds it against the code. -->

When libvirt refuses something or fails, the portal says one of these sentences: on the page, in the history, and as the
operation's `message` in the API. The code is the API's `error.code`. libvirt's own words are kept beside it, in
`error.text`. libvirt's numbers (VIR_ERR_...) decide which sentence it is, never its texts; the last column names them.
"""
CONTEXTS = {
    "DEFINING": "while a machine is defined",
    "CREATING": "while a transient machine is created",
    "STARTING": "while a machine is started",
    "SAVING": "while a machine is saved",
    "SAVING_TO_FILE": "while a machine is saved to a file",
    "READING_FILE": "while a saved file is looked at",
    "RESTORING": "while a machine is restored from a file",
    "AGENT": "while the guest agent is asked",
    "SLEEPING": "while a machine is put to sleep",
    "WAKING": "while a machine is woken",
    "PRESSING_KEYS": "while keys are sent",
    "OPENING_CONSOLE": "while a serial console is opened",
    "SCREENSHOTTING": "while a picture of a screen is taken",
    "UNDEFINING": "while a machine is undefined",
    "AUTOSTARTING": "while autostart is set",
    "STORING": "while a storage pool is asked",
    "DELETING_DISK": "while a disk is deleted",
    "_BY_CODE_OPENING": "while a host is connected to",
}
_NUMBERS: dict[int, str] = {}
for _name in dir(libvirt):
    if _name.startswith("VIR_ERR_") and _name not in {"VIR_ERR_NONE", "VIR_ERR_WARNING", "VIR_ERR_ERROR"}:
        _NUMBERS[getattr(libvirt, _name)] = _name

Sentence = tuple[str, str]
"""An error's word and what it says."""


def page() -> str:
    """Return the page."""
    found: defaultdict[Sentence, list[str]] = defaultdict(list)
    for sentence, when in (*_translated(), *_said_here()):
        if when not in found[sentence]:
            found[sentence].append(when)
    rows = [
        f"| `{word}` | {escape(text, quote=False)} | {'; '.join(whens)} |"
        for (word, text), whens in sorted(found.items())
    ]
    return "\n".join([HEAD, "| Code | Sentence | When |", "|---|---|---|", *rows, ""])


def _translated() -> Iterator[tuple[Sentence, str]]:
    for code, meaning in translation._BY_CODE.items():
        yield _of(meaning), _when(code)
    for number, meaning in translation._BY_ERRNO.items():
        yield _of(meaning), _when((libvirt.VIR_ERR_SYSTEM_ERROR, int(str(number))))
    yield _of(translation._FAILED), "every other number"
    yield _of(translation.UNREACHABLE), "whatever else goes wrong while a host is connected to"
    for name, circumstance in CONTEXTS.items():
        for key, meaning in getattr(translation, name).items():
            yield _of(meaning), f"{_when(key)} {circumstance}"


def _of(meaning: translation.Meaning) -> Sentence:
    kind, text = meaning
    return kind.word, text


def _when(key: int | tuple[int, int]) -> str:
    code, number = key if isinstance(key, tuple) else (key, 0)
    name = _NUMBERS[code].removeprefix("VIR_ERR_")
    return f"{name} ({errno.errorcode[number]})" if number else name


def _said_here() -> Iterator[tuple[Sentence, str]]:
    """Yield the sentences that this package says without libvirt, wherever they stand in it."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                kind, text = getattr(errors, node.func.id, None), _literal(node.args[0])
                if text and isinstance(kind, type) and issubclass(kind, errors.HypervisorError):
                    yield (kind.word, text), "the portal's own check"


def _literal(node: ast.expr) -> str:
    """Return a text that stands in the code; what is filled in is shown as "…"."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


if __name__ == "__main__":
    sys.stdout.write(page())
