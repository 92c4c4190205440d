"""What sentences claim about checks: in an agent's last words, and in the criteria of a brief."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

MAX_LINE: Final = 300


class CheckKind(StrEnum):
    TESTS = "tests"
    LINT = "lint"
    TYPES = "types"
    FORMAT = "format"
    BUILD = "build"


_QUOTED: Final = re.compile(r"`([^`\n]{2,300})`")
_GOOD: Final = (
    r"(?:pass\w*|green|clean\w*|succe\w+|ok|fine|happy|no (?:errors?|issues?|warnings?|problems?))"
)
_SAYS: Final = {
    CheckKind.TESTS: rf"\b(?:tests?|specs?|suite|pytest|jest|vitest)\b[^.;\n]{{0,50}}?\b{_GOOD}\b|\b\d+ (?:tests? )?passed\b",
    CheckKind.LINT: rf"\b(?:lint\w*|ruff|eslint|flake8|pylint|clippy)\b[^.;\n]{{0,40}}?\b{_GOOD}\b|\bno lint\w* (?:errors?|issues?|warnings?)\b",
    CheckKind.TYPES: rf"\b(?:mypy|pyright|tsc|typ(?:es?|ing)[- ]?check\w*|types)\b[^.;\n]{{0,40}}?\b{_GOOD}\b|\bno type errors?\b|\btypes check\b",
    CheckKind.FORMAT: rf"\bformat(?:ting|ted|ter)?\b[^.;\n]{{0,30}}?\b(?:check )?{_GOOD}\b",
    CheckKind.BUILD: rf"\b(?:build|builds|compilation)\b[^.;\n]{{0,30}}?\b{_GOOD}\b|\b(?:builds|compiles)\b|\bbuilt successfully\b",
}
_CLAIMS: Final = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _SAYS.items()}
_NOT: Final = re.compile(
    r"\b(?:not|never|no longer|cannot|unable|fail(?:s|ed|ing)?|should|would|will|need\w*|if|unless|until|before)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_NO_FAILURES: Final = re.compile(
    r"\b(?:0|no|zero|without(?: any)?)\s+(?:fail\w*|errors?|warnings?|skip\w*)\b", re.IGNORECASE
)
# A criterion made of these words alone says no more than that a check passes.
_WHOLE: Final = frozenset(
    re.findall(
        r"\w+",
        "a all and any are build builds check checks checked clean code compiles changed checker error errors every existing fine "
        "format formatted formatting full green in integration is issues it its lint linter linting mypy must no of ok our parts "
        "part pass passed passes passing project pytest ruff eslint run runs spec specs still succeeds suite test tests that the "
        "type types typecheck unit warnings whole with without",
    )
)


def claimed(text: str) -> list[tuple[str, CheckKind]]:
    """What an agent claims of its checks, in its words: the first sentence of each kind."""
    found: dict[CheckKind, str] = {}
    for sentence in re.split(r"(?<=[.!?;])\s+|\n+", text[:20_000]):
        if _NOT.search(_NO_FAILURES.sub(" ", sentence)):
            continue
        for kind in kinds_in(sentence):
            found.setdefault(kind, _clause(sentence, kind).strip(" \t-*#>•✓✅")[:MAX_LINE])
    return [(said, kind) for kind, said in found.items() if said]


def _clause(sentence: str, kind: CheckKind) -> str:
    """The part of the sentence that claims it; the whole where no part does alone."""
    parts = re.split(r"[,;]\s+(?:and\s+)?|\s+and\s+", sentence)
    return next((part for part in parts if _CLAIMS[kind].search(part)), sentence)


def kinds_in(sentence: str) -> list[CheckKind]:
    """The checks that a sentence says pass."""
    return [kind for kind, pattern in _CLAIMS.items() if pattern.search(sentence)]


def says_no_more(criterion: str) -> bool:
    """Whether it only says that a check passes."""
    return set(re.findall(r"\w+", criterion.lower())) <= _WHOLE


def named_in(criterion: str) -> list[str]:
    """The commands in backquotes, their blanks made single."""
    return [plain(words) for words in _QUOTED.findall(criterion)]


def quoted(criteria: Sequence[str]) -> frozenset[str]:
    """The commands that criteria name in backquotes."""
    return frozenset(words for text in criteria for words in named_in(text))


def plain(command: str) -> str:
    return " ".join(command.split())
