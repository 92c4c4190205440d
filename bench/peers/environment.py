"""Makes the peers' environment and runs their scripts in it: `python -m bench.peers.environment` only makes it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / ".venv-peers"
LOCK = HERE / "requirements.lock"
TIMEOUT_S = 600


def python() -> Path:
    """The interpreter with the peers, made or renewed when the lock file is another one.

    Raises CalledProcessError when the packages cannot be had: then there is nothing to stand beside.
    """
    found = FOLDER / "bin" / "python"
    stamp = FOLDER / "lock.sha256"
    wanted = sha256(LOCK.read_bytes()).hexdigest()
    if found.exists() and stamp.exists() and stamp.read_text() == wanted:
        return found
    shutil.rmtree(FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", FOLDER], check=True)
    subprocess.run([*_installer(found), "--require-hashes", "-r", LOCK], check=True)
    stamp.write_text(wanted)
    return found


def _installer(interpreter: Path) -> list[str | Path]:
    beside = Path(sys.executable).parent / "uv"
    uv = shutil.which("uv") or (str(beside) if beside.exists() else "")
    if uv:
        return [uv, "pip", "install", "-q", "-p", interpreter]
    return [sys.executable, "-m", "pip", "--python", interpreter, "install", "-q"]


def run(script: str, *words: object) -> dict[str, Any]:
    """What a peer's script printed as its last line. Raises AssertionError with its last words."""
    order: Sequence[str] = [str(python()), str(HERE / script), *map(str, words)]
    done = subprocess.run(order, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    print(python())
