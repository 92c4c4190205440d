"""The seam to the language of conditions. Everything else knows conditions as text and answers only.

`Language` is what a test, or another expression language, puts in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from handfast.core.policy.subject import Subject


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is no condition. `line` and `column` count from 0 within the text; column -1: all of it."""

    message: str
    line: int = 0
    column: int = -1


class Conditions(Protocol):
    """Compiled conditions, asked together. Safe to use from several threads."""

    def ask(self, subject: Subject) -> Mapping[int, str]:
        """The conditions that hold, by their place, in order. One that could not be evaluated counts as
        holding, and then the text says why; it is empty otherwise. Never raises."""
        ...


class Language(Protocol):
    def check(self, text: str) -> Fault | None:
        """None when `text` is a condition: it parses, its fields and types exist, and it gives a truth."""
        ...

    def constant(self, text: str) -> bool | None:
        """The value of a condition that does not depend on the subject, else None."""
        ...

    def compile(self, texts: Sequence[str]) -> Conditions:
        """Raises ValueError for a text that `check` refuses."""
        ...
