"""Times and sizes of the hook's endpoint."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HOOK_TIMEOUT_S: Final = 600.0  # what `handfast hook install` writes as the hook's time-out
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Times are seconds. `home` is the data folder; `link_url` is where people open a case.

    An answer always leaves `margin_s` before the harness gives up on the hook after `hook_timeout_s`.
    """

    home: Path
    link_url: str
    ports: tuple[int, ...] = (8480, 8484)
    control_paths: tuple[Path, ...] = ()
    hook_timeout_s: float = HOOK_TIMEOUT_S
    margin_s: float = 15.0
    defer_after_s: float = 2.0
    poll_s: float = 25.0
    classify_s: float = 20.0
    confirm_s: float = 15.0  # how long a token that the server accepted is not asked about again
    body_limit: int = 16 * MIB
    spool_limit: int = 32 * MIB
    hosts: tuple[str, ...] = field(default=("127.0.0.1", "localhost", "::1"))

    @property
    def wait_s(self) -> float:
        """How long one call may be held."""
        return max(self.hook_timeout_s - min(self.margin_s, self.hook_timeout_s / 4), 0.0)

    def link(self, handoff_id: str) -> str:
        return f"{self.link_url.rstrip('/')}/handoffs/{handoff_id}"
