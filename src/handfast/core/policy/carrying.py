"""Which changes after an approval may be carried over, because they provably change nothing that was approved."""

from enum import StrEnum

from handfast.core.policy import sections
from handfast.core.policy.sections import Path


class CarryOver(StrEnum):
    """`no-code-change`: the same tree, whatever became of messages and commits. `trivial-rebase`: the same
    patches on another base, with the same result when merged."""

    NO_CODE_CHANGE = "no-code-change"
    TRIVIAL_REBASE = "trivial-rebase"


def read_carry_over(value: object, path: Path) -> tuple[CarryOver, ...]:
    """Raises Wrong."""
    words = sections.texts(value, path)
    known = [c.value for c in CarryOver]
    return tuple(
        sorted({CarryOver(sections.one_of(w, (*path, i), known)) for i, w in enumerate(words)})
    )
