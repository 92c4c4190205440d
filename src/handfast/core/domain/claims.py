"""Claims and the recorded calls behind them: 'tests pass' is worth the exit code of the run that shows it.

What an agent says decides nothing here. Its words only name a claim; whether the claim holds is derived
from calls that were recorded, their exit codes, their order, and the files of the change itself.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from handfast.core.domain.change import ChangedFile
from handfast.core.domain.claim_output import failures, silent
from handfast.core.domain.claim_words import (
    MAX_LINE,
    CheckKind,
    claimed,
    kinds_in,
    named_in,
    plain,
    says_no_more,
)
from handfast.core.domain.codec import format_time
from handfast.core.domain.package import Evidence

RECORDED, FAILED, OUTDATED, UNVERIFIED = "recorded", "failed", "outdated", "unverified"
BRIEF, AGENT = "brief", "agent"
MAX_CLAIMS: Final = 20
_MAX_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Part:
    """One command of a call. `words` is its text; `kinds` what it checks, none for any other command.

    `decides`: when the whole call ended with 0, this command did; `why_not` says why that cannot be told.
    `targets` are the paths it names. `changes`: it may change files of the worktree.
    """

    words: str
    kinds: tuple[CheckKind, ...] = ()
    decides: bool = False
    why_not: str = ""
    targets: tuple[str, ...] = ()
    changes: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """A recorded call. `began` and `ended` are its places in the log, `ended` 0 where no result was
    recorded. `by_agent`: the agent itself reported the result. `changes` is for a call that is no shell command."""

    step_id: str
    began: int
    ended: int = 0
    command: str = ""
    parts: tuple[Part, ...] = ()
    changes: bool = False
    exit_code: int | None = None
    failed: bool = False
    at: datetime | None = None
    duration_ms: int = 0
    output: str = ""
    by_agent: bool = False
    key: str = ""  # the harness's own id of the call
    elsewhere: str = ""  # the folder it began in, where that is not known to be in the worktree


@dataclass(frozen=True, slots=True)
class Record:
    """What claims are held against. `steps` are in the order of the log. `written_at` is when a file of the
    worktree was last written, as its file system says; None where nobody looked."""

    steps: tuple[Step, ...] = ()
    changes: tuple[ChangedFile, ...] = ()
    written_at: datetime | None = None
    declared: frozenset[str] = field(default_factory=frozenset)  # commands that the brief names


@dataclass(frozen=True, slots=True)
class _Found:
    step: Step
    part: Part
    index: int


def evidence_for(criteria: Sequence[str], says: str, record: Record) -> tuple[Evidence, ...]:
    """One entry for each criterion, in order, then one for each claim in what the agent says."""
    answers = [_criterion(text, record) for text in criteria]
    claims = [_by_kind(said, kind, record, AGENT) for said, kind in claimed(says)[:MAX_CLAIMS]]
    return (*answers, *claims)


def _criterion(text: str, record: Record) -> Evidence:
    if named := named_in(text):
        return _all_of([_by_words(text, words, record) for words in named])
    kinds = kinds_in(text)
    if not kinds:
        return Evidence(text, said_by=BRIEF)
    found = _all_of([_by_kind(text, kind, record, BRIEF) for kind in kinds])
    if found.status != RECORDED or says_no_more(text):
        return found
    return Evidence(
        claim=text,
        said_by=BRIEF,
        step_id=found.step_id,
        result=f"It says more than a command can show. Nearest: {found.result}",
        command=found.command,
        exit_code=found.exit_code,
        at=found.at,
        changed_by_this=found.changed_by_this,
    )


def _all_of(found: Sequence[Evidence]) -> Evidence:
    """The weakest: a criterion that names two commands needs both."""
    order = (FAILED, UNVERIFIED, OUTDATED, RECORDED)
    return min(found, key=lambda each: order.index(each.status))


def _by_words(text: str, words: str, record: Record) -> Evidence:
    whole = [
        _Found(s, _whole(s, words), len(s.parts)) for s in record.steps if plain(s.command) == words
    ]
    among = [found for found in _ran(record) if plain(found.part.words) == words]
    return _newest(text, [*among, *whole], record, BRIEF, f"`{words}` is not recorded.")


def _whole(step: Step, words: str) -> Part:
    """A call that is word for word what the brief names: its exit code is the answer, if it ran on this work."""
    away = step.elsewhere
    why = f"it ran on `{away[:120]}`, which is not known to be in the worktree." if away else ""
    return Part(words, decides=not away, why_not=why, changes=False, targets=_targets(step))


def _targets(step: Step) -> tuple[str, ...]:
    return tuple(path for part in step.parts for path in part.targets)


def _by_kind(text: str, kind: CheckKind, record: Record, said_by: str) -> Evidence:
    among = [found for found in _ran(record) if kind in found.part.kinds]
    nothing = f"No run of {_NAMES[kind]} is recorded."
    return _newest(text, among, record, said_by, nothing, kind)


_NAMES: Final = {
    CheckKind.TESTS: "tests",
    CheckKind.LINT: "a linter",
    CheckKind.TYPES: "a type checker",
    CheckKind.FORMAT: "a format check",
    CheckKind.BUILD: "a build",
}


def _ran(record: Record) -> Iterator[_Found]:
    for step in record.steps:
        yield from (_Found(step, part, i) for i, part in enumerate(step.parts))


def _newest(
    text: str,
    among: Sequence[_Found],
    record: Record,
    said_by: str,
    nothing: str,
    kind: CheckKind | None = None,
) -> Evidence:
    """The newest run whose exit code says something; where none does, why the newest says nothing."""
    if not among:
        return Evidence(text, said_by=said_by, result=nothing)
    newest = max(among, key=_place)
    telling = [found for found in among if not _mute(found, kind)]
    badly = bool(_mute(newest, kind)) and failures(newest.step.output)
    found = newest if badly else max(telling or among, key=_place)
    status, result = _judged(found, record, kind)
    if badly:
        status, result = FAILED, f"`{_short(newest.step.command)}` failed, by its output."
    return Evidence(
        claim=text,
        status=status,
        step_id=found.step.step_id,
        result=result[:2000],
        said_by=said_by,
        command=found.step.command[:MAX_LINE],
        exit_code=found.step.exit_code,
        at=format_time(found.step.at) if found.step.at else "",
        changed_by_this=_own(found, record, kind),
    )


def _place(found: _Found) -> int:
    return found.step.ended or found.step.began


def _judged(found: _Found, record: Record, kind: CheckKind | None) -> tuple[str, str]:
    if why := _mute(found, kind):
        return UNVERIFIED, f"`{_short(found.part.words)}` ran, and shows nothing: {why}"
    ended = _ended(found.step)
    if found.step.failed or found.step.exit_code != 0:
        return FAILED, f"`{_short(found.step.command)}` {ended}."
    if later := _later(found, record):
        return OUTDATED, f"`{_short(found.part.words)}` {ended}, and after that {later}."
    return RECORDED, f"`{_short(found.part.words)}` {ended}, after the last change of files."


def _mute(found: _Found, kind: CheckKind | None) -> str:
    """Why the exit code of this run says nothing of the claim; '' where it does."""
    step = found.step
    if step.by_agent:
        return "the agent itself reported the result, nobody else saw it."
    if step.exit_code is None and not step.failed:
        return "no exit code was recorded."
    if not found.part.decides:
        return found.part.why_not or "the exit code of the call may be that of another command."
    if kind is CheckKind.TESTS and not step.exit_code:
        return silent(step.output, _others(found))
    return ""


def _others(found: _Found) -> list[str]:
    return [part.words for i, part in enumerate(found.step.parts) if i != found.index]


def _ended(step: Step) -> str:
    return "failed" if step.exit_code is None else f"ended with exit code {step.exit_code}"


def _later(found: _Found, record: Record) -> str:
    """What may have changed files after this run began; '' for nothing known."""
    step = found.step
    if any(_alters(part, record) for part in step.parts[found.index + 1 :]):
        return "the same call went on with a command that may change files"
    for other in reversed(record.steps):
        meanwhile = other.step_id != step.step_id and max(other.began, other.ended) > step.began
        if meanwhile and (other.changes or any(_alters(part, record) for part in other.parts)):
            return f"files may have changed: {_short(other.command) or 'a file was written'}"
    done = step.at + timedelta(milliseconds=step.duration_ms) if step.at else None
    if done is not None and record.written_at is not None and record.written_at > done:
        return f"a file was written at {record.written_at:%H:%M:%S} UTC"
    return ""


def _alters(part: Part, record: Record) -> bool:
    return part.changes and plain(part.words) not in record.declared


def _own(found: _Found, record: Record, kind: CheckKind | None) -> tuple[str, ...]:
    """Paths of this very change that decide what the run shows: its tests, and what steers the check."""
    is_tests = CheckKind.TESTS in (kind, *found.part.kinds)
    listed = [
        f"{c.path} ({_STATUS.get(c.status, 'changed')})"
        for c in record.changes
        if steers(c.path) or (is_tests and _is_run_test(c, found.part.targets))
    ]
    return tuple(listed[:_MAX_LISTED])


_STATUS: Final = {"A": "new", "?": "new", "D": "deleted", "R": "moved"}


def _is_run_test(c: ChangedFile, targets: Sequence[str]) -> bool:
    if not (is_test(c.path) or is_test(c.old_path)):
        return False
    return not targets or any(_under(path, t) for path in (c.path, c.old_path) for t in targets)


def _under(path: str, target: str) -> bool:
    where = target.partition("::")[0].removeprefix("./").rstrip("/")
    return where in ("", ".", path) or path.startswith(f"{where}/") or path.endswith(f"/{where}")


_TEST: Final = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|testing|fixtures|__snapshots__|testdata)/|(?:^|/)(?:test_[^/]*|[^/]*_test|[^/]*_spec|conftest)\.\w+$"
    r"|\.(?:test|spec)\.\w+$|(?:^|/)[^/]*Tests?\.(?:java|kt|cs|swift)$|\.snap$"
)
_STEERS: Final = re.compile(
    r"(?:^|/)(?:conftest\.py|pytest\.ini|tox\.ini|noxfile\.py|setup\.cfg|setup\.py|pyproject\.toml|\.coveragerc|mypy\.ini|\.?ruff\.toml"
    r"|\.flake8|\.pylintrc|Makefile|GNUmakefile|justfile|Rakefile|package\.json|tsconfig[^/]*\.json|\.eslintrc[^/]*|eslint\.config\.\w+"
    r"|jest\.config\.\w+|vitest\.config\.\w+|vite\.config\.\w+|babel\.config\.\w+|biome\.json|\.prettierrc[^/]*|Cargo\.toml|build\.rs"
    r"|build\.gradle(?:\.kts)?|gradlew|pom\.xml|mvnw|\.pre-commit-config\.yaml|sitecustomize\.py|pyrightconfig\.json|\.golangci\.\w+)$"
)


def is_test(path: str) -> bool:
    return bool(path) and bool(_TEST.search(path))


def steers(path: str) -> bool:
    """Whether the file steers what a check does: its configuration, or the script that starts it."""
    return bool(_STEERS.search(path))


def _short(command: str) -> str:
    line = plain(command)
    return line if len(line) <= 120 else f"{line[:119]}…"
