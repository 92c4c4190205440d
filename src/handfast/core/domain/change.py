"""One changed file, as git or a tool call shows it."""

from dataclasses import dataclass

UNKNOWN_OWNER = "unknown-owner"


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """`path` is relative to the worktree, or absolute outside it; `old_path` where a renamed file was.

    `status` is git's letter: A, M, D, R, T (type), U (unmerged); `?` for a file git does not track; empty
    where only a command line names the path. `added` and `deleted` count lines, None where not known, as for
    a binary file. Modes are octal text, `000000` where the path does not exist. `owners` are those of the
    CODEOWNERS file the work started from; `UNKNOWN_OWNER` among them says that file cannot be read.
    """

    path: str
    old_path: str = ""
    status: str = ""
    added: int | None = None
    deleted: int | None = None
    old_mode: str = ""
    new_mode: str = ""
    binary: bool = False
    symlink: bool = False
    submodule: bool = False
    owners: tuple[str, ...] = ()

    @property
    def mode_changed(self) -> bool:
        """Whether a file that was there before has another executable bit or type."""
        absent = {"", "000000"}
        return not absent & {self.old_mode, self.new_mode} and self.old_mode != self.new_mode
