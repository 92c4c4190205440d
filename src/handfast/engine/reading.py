"""How the engine reads a call that a person edited: the same facts as for an agent's own call."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from handfast.core.domain.action import Call, Facts
from handfast.core.domain.run import Run
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope

ReadCall: TypeAlias = Callable[[str, Mapping[str, object], Run, str], tuple[Call, Facts]]


def reader(home: Path) -> ReadCall:
    """Reads calls in the worktree of their run, from the folder the call is made in. On another machine than the worktree's, operands
    are `missing`, so such an edit cannot be redeemed against files nobody looked at."""

    def read(tool: str, arguments: Mapping[str, object], run: Run, cwd: str) -> tuple[Call, Facts]:
        root = Path(run.worktree or run.cwd or "/nonexistent")
        scope = Scope(worktree=root, cwd=root, control_paths=(home,), protected_ports=())
        return read_call(tool, arguments, scope.at(cwd))

    return read
