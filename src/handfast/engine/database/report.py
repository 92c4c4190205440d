"""What a check of a database found, said and bounded."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

SHOWN = 20
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is worked on, how much is done, and of how much."""


def silent(_what: str, _done: int, _of: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`part` is what was checked, `what` names the row and what is wrong with it."""

    part: str
    what: str


@dataclass(slots=True)
class Report:
    """`checked` counts what was looked at; `unchecked` says what was not, and why. The first problems
    are kept, the others counted."""

    checked: dict[str, int] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    size: int = 0
    root: str = ""

    @property
    def ok(self) -> bool:
        return not self.found

    def wrong(self, part: str, what: str) -> None:
        self.found[part] += 1
        if self.found[part] <= SHOWN:
            self.problems.append(Problem(part, what))

    def to_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "size": self.size,
            "root": self.root,
            "checked": dict(self.checked),
            "unchecked": list(self.unchecked),
            "problems": [{"part": p.part, "what": p.what} for p in self.problems],
            "counts": dict(self.found),
        }
