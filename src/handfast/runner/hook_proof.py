"""Proves the installed hook: the real agent program asks for a call that is always denied.

The program runs in the project, with a HOME of its own that holds a copy of the person's settings, no
account, and a stand-in for the model on loopback. The call would make an empty file in the data folder,
which policy denies in every mode. Proven means: the model was told our reason, and the file is not there.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from handfast.core.domain.inert import inert
from handfast.runner.doctor_model import OneTurnModel
from handfast.runner.hook_status import claude_folder

TIMEOUT_S: Final = 60.0
_DENIED: Final = "Handfast denies this call"
_ENVIRONMENT: Final = {
    "ANTHROPIC_API_KEY": "not-a-key-handfast-doctor",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "TERM": "dumb",
    "LANG": "C.UTF-8",
}


class Outcome(StrEnum):
    """`RAN`: the call was not stopped, the hook is off. `UNKNOWN`: it did not run, but not for our reason."""

    PROVEN = "proven"
    RAN = "ran"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proof:
    outcome: Outcome
    detail: str


def prove_hook(binary: Path, project: Path, home: Path, timeout_s: float = TIMEOUT_S) -> Proof:
    """Run the agent program once, about two seconds. Never raises for what the program does."""
    marker = home / "doctor" / f"must-not-exist-{secrets.token_hex(6)}"
    command = f"touch {marker}"
    with tempfile.TemporaryDirectory(prefix="handfast-doctor-") as scratch:
        _copy_user_settings(Path(scratch))
        marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with OneTurnModel("Bash", {"command": command, "description": "handfast doctor"}) as model:
            problem = _run(binary, project, Path(scratch), model.url, timeout_s)
            results = list(model.results)
    ran = marker.exists()
    marker.unlink(missing_ok=True)
    return _verdict(results, problem, ran=ran)


def _verdict(results: list[str], problem: str, *, ran: bool) -> Proof:
    said = inert(" ".join(results), 400, multiline=False)
    if ran:
        return Proof(Outcome.RAN, "a call that must be denied was run: the hook is off")
    if any(_DENIED in each for each in results):
        return Proof(Outcome.PROVEN, "a call that must be denied was denied by the hook")
    if results:
        return Proof(Outcome.UNKNOWN, f"the call did not run, but not for our reason: {said}")
    return Proof(Outcome.UNKNOWN, problem or "the agent program made no call")


def _copy_user_settings(scratch: Path) -> None:
    """What the person's own file says counts, without touching the person's folder."""
    source = claude_folder() / "settings.json"
    target = scratch / ".claude" / "settings.json"
    target.parent.mkdir(mode=0o700)
    if source.exists():
        shutil.copyfile(source, target)


def _run(binary: Path, project: Path, scratch: Path, model_url: str, timeout_s: float) -> str:
    """'' or what went wrong."""
    environment = {
        **_ENVIRONMENT,
        "HOME": str(scratch),
        "PATH": os.environ.get("PATH", os.defpath),
        "ANTHROPIC_BASE_URL": model_url,
    }
    command = [str(binary), "-p", "handfast doctor", "--output-format", "json"]
    try:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"`{binary}` cannot be run: {error.strerror or error}"
    try:
        out, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"the agent program did not end within {timeout_s:g} s"
    if process.returncode != 0:
        shown = inert(out.decode("utf-8", "replace")[-500:], 500, multiline=False)
        return f"the agent program ended with {process.returncode}: {shown}"
    return ""
