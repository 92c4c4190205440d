"""Claude Code's configuration as a contained agent has it: a folder of the run's own.

Sessions and whatever else the program writes go there and stay for the run. The person's settings, agents
and login are laid over it and can only be read: an agent that could write them would reach every later
session of the person, outside any sandbox.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from handfast.runner.containment.mounts import Mount, Seen
from handfast.runner.supervisor.claude import config_folder

FOLDER: Final = "claude"
_STATE: Final = ".claude.json"
_READ: Final = (
    "settings.json", "settings.local.json", "CLAUDE.md", ".credentials.json", "agents", "commands",
    "skills", "plugins", "output-styles", "rules", "hooks",
)  # fmt: skip
# Where the state file of the person is found inside, to be copied from.
SEED: Final = Path("/run/handfast/claude.json")


def prepare(environment: Mapping[str, str], run_folder: Path) -> list[Mount]:
    """Make the run's folder, and say how it is seen. What the agent left there is not followed."""
    own = run_folder / FOLDER
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    theirs = config_folder(environment)
    theirs.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [Mount(Seen.WRITE, theirs.resolve(), own)]
    for name in _READ:
        place = own / name
        if place.is_symlink():
            place.unlink()
        if (theirs / name).exists():
            made.append(Mount(Seen.READ, theirs.resolve() / name, (theirs / name).resolve()))
    state = state_file(environment)
    if state.is_file():
        made.append(Mount(Seen.READ, SEED, state))
    return made


def state_file(environment: Mapping[str, str]) -> Path:
    """Beside the folder, or in it where a variable names the folder."""
    folder = config_folder(environment)
    named = bool(environment.get("CLAUDE_CONFIG_DIR"))
    return folder / _STATE if named else folder.parent / _STATE


def own_session(run_folder: Path, session_id: str) -> Path | None:
    """The newest transcript in the run's folder. A link is none: it could lead anywhere."""
    projects = run_folder / FOLDER / "projects"
    if projects.is_symlink() or not projects.is_dir():
        return None
    found = [
        path
        for path in projects.glob(f"*/{session_id}.jsonl")
        if path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def place_session(run_folder: Path, slug: str, session_id: str, content: bytes) -> Path:
    """Put a transcript where the contained program looks for it. Replaces links instead of following."""
    path = run_folder / FOLDER / "projects" / slug / f"{session_id}.jsonl"
    for each in (path.parent.parent.parent, path.parent.parent, path.parent, path):
        if each.is_symlink() or (each != path and each.is_file()):
            each.unlink()
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    return path
