"""Plays one action in a process of its own that is killed with SIGKILL at a named point."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from handfast.testing.gates.executor import Crash

ROOT = Path(__file__).parents[2]
# The product's own fault points for the same moments.
FAULTS = {
    Crash.ASKED: "handoff.before_wait:kill",
    Crash.STARTED: "exec.before_run:kill",
    Crash.RAN: "exec.after_run:kill",
}


def killed(module: str, told: dict[str, Any], at: Crash) -> None:
    """Run `module` with `told` as JSON; returns when it is dead. Fails when it was not killed."""
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    ran = subprocess.run(
        [sys.executable, "-m", module, json.dumps(told)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "CRASH_AT": at.value,
            "HANDFAST_FAULT": FAULTS[at],
            "HANDFAST_HOME": told.get("home", "/nonexistent"),
        },
        cwd=told.get("cwd", ROOT),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == -9, f"not killed: {ran.returncode} {ran.stdout} {ran.stderr}"
