"""Times, sizes and places of the supervisor."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.runner.hooks.settings import HOOK_TIMEOUT_S

KEEP_VARIABLE: Final = "HANDFAST_AGENT_ENV"


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Times are seconds. `home` is the data folder, `keep` names variables an agent gets besides the
    usual ones (patterns as in a shell).

    Without an answer of the server for `lease_s` (as the server says it, unless it is set here) agents are
    held still: somebody else may have taken their runs. After `patience_s` they are ended. When the runner is
    told to stop, an agent has `drain_s` to finish the call that is running. `declines`: a run whose repository
    is not to be had here is given back instead of failing.
    """

    home: Path
    hook_url: str
    server_url: str
    runs: int = 4
    keep: tuple[str, ...] = ()
    poll_s: float = 0.5
    lease_s: float = 0.0
    patience_s: float = 60.0
    drain_s: float = 8.0
    hook_timeout_s: float = HOOK_TIMEOUT_S
    grace_s: float = 5.0
    declines: bool = False
    hidden: tuple[Path, ...] = ()  # files contained agents must not see, wherever they lie

    @property
    def worktrees(self) -> Path:
        return self.home / "worktrees"

    def folder(self, run_id: str) -> Path:
        """What this runner keeps of a run: one folder for each start, named by its epoch."""
        return self.home / "runs" / run_id


def kept_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    """`HANDFAST_AGENT_ENV`: names or patterns, separated by commas."""
    return tuple(filter(None, (n.strip() for n in environment.get(KEEP_VARIABLE, "").split(","))))
