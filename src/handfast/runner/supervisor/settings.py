"""Times, sizes and places of the supervisor."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.runner.hooks.settings import HOOK_TIMEOUT_S

LEASE_S: Final = 10.0
KEEP_VARIABLE: Final = "HANDFAST_AGENT_ENV"
_LEASE_VARIABLE: Final = "HANDFAST_LEASE_S"


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Times are seconds. `home` is the data folder, `keep` names variables an agent gets besides the
    usual ones (patterns as in a shell).

    After `patience_s` without an answer of the server the agents are ended: somebody else may have
    taken their runs.
    """

    home: Path
    hook_url: str
    server_url: str
    runs: int = 4
    keep: tuple[str, ...] = ()
    poll_s: float = 0.5
    heartbeat_s: float = LEASE_S / 3
    patience_s: float = 60.0
    hook_timeout_s: float = HOOK_TIMEOUT_S
    grace_s: float = 5.0
    hidden: tuple[Path, ...] = ()  # files contained agents must not see, wherever they lie

    @property
    def worktrees(self) -> Path:
        return self.home / "worktrees"

    def folder(self, run_id: str) -> Path:
        """What this runner keeps of a run: one folder for each start, named by its epoch."""
        return self.home / "runs" / run_id


def heartbeat_s(environment: Mapping[str, str]) -> float:
    """A third of the lease, as the server's own setting says it."""
    text = environment.get(_LEASE_VARIABLE, "")
    return (float(text) if text.isdigit() and int(text) else LEASE_S) / 3


def kept_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    """`HANDFAST_AGENT_ENV`: names or patterns, separated by commas."""
    return tuple(filter(None, (n.strip() for n in environment.get(KEEP_VARIABLE, "").split(","))))
