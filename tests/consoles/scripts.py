"""Runs the page's modules without a page, under node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kvmportal.environment import ROOT

LIMIT = 60.0  # seconds


def run_module(directory: Path, code: str, given: Any = None) -> Any:
    """Return what the code leaves in `answer`. It imports from "./console/..." and finds `given` by that name.

    Raises:
        AssertionError: node ended with an error; it has what node said.
    """
    scripts = directory / "js"
    if not scripts.exists():
        shutil.copytree(ROOT / "static/js", scripts)
        (scripts / "package.json").write_text('{"type": "module"}')  # older ones than node 22 ask for it
    main = scripts / "main.js"
    main.write_text(f"const given = {json.dumps(given)};\nlet answer;\n{code}\nconsole.log(JSON.stringify(answer));\n")
    done = subprocess.run(["node", str(main)], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
