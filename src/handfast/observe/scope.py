"""The ground a call is read against: its worktree, its folder, and what belongs to the control plane."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

_SCRATCH = ("/tmp", "/var/tmp", "/private/tmp")  # noqa: S108 - where agents put scratch files


def default_data_folder(home: Path) -> Path:
    """`HANDFAST_HOME`, else `handfast` in the user's data folder (XDG)."""
    if named := os.environ.get("HANDFAST_HOME"):
        return Path(named)
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else home / ".local" / "share") / "handfast"


@dataclass(frozen=True, slots=True)
class Scope:
    """`control_paths` are files and folders of ours and the agents' hook settings; `protected_ports` our ports.

    `scratch` folders may be written freely (`fs.write-scratch`), except inside another git repository.
    The default data folder is always a control path. `home` is the agent's home folder.
    Without `on_disk` the text alone counts: neither files, nor git, nor settings of this machine are asked.
    `base` is the commit the
    work started from, whose CODEOWNERS counts; HEAD when empty.
    `second_opinion` lets another parser object to what was read from a shell text.
    """

    worktree: Path
    cwd: Path
    control_paths: tuple[Path, ...] = ()
    protected_ports: tuple[int, ...] = (8480, 8484)
    scratch: tuple[Path, ...] = tuple(Path(each) for each in _SCRATCH)
    home: Path = Path("~")
    on_disk: bool = True
    base: str = ""
    second_opinion: bool = True

    @property
    def home_folder(self) -> Path:
        return self.home.expanduser()

    @property
    def data_folder(self) -> Path:
        if self.on_disk:
            return default_data_folder(self.home_folder)
        return self.home / ".local" / "share" / "handfast"

    def at(self, cwd: str) -> "Scope":
        """The same ground seen from another folder, given as `Call.cwd` writes it."""
        return replace(self, cwd=self.worktree / cwd)

    def relative_cwd(self) -> str:
        """The folder as `Call.cwd` holds it."""
        inside = os.path.realpath(self.cwd)
        root = os.path.realpath(self.worktree)
        if inside == root:
            return "."
        return inside[len(root) + 1 :] if inside.startswith(root + "/") else inside
