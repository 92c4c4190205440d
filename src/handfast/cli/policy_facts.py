"""`handfast policy facts`: what the analyser sees in commands, one answer a line, for scripts and judges."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter

from handfast.cli.output import Json

if TYPE_CHECKING:
    from handfast.core.domain.action import Facts

Analyse = Callable[[str], "Facts"]
Answer = dict[str, object]
_PROGRESS_EVERY = 200


def facts(
    *,
    sql: Annotated[bool, Parameter(negative=())] = False,
    worktree: Path | None = None,
    session: Annotated[bool, Parameter(negative=())] = False,
    second_opinion: bool = True,
    as_json: Json = False,  # noqa: ARG001 - every command takes it; this one always prints JSON
) -> int:
    """Read one JSON string a line, print one JSON object a line: hazards, opaque, facts.

    `hazards` and `opaque` hold what the built-in policy would stop, `facts` the rest. Without
    `--worktree` the command is judged by its text alone. A line that cannot be read gives an opaque
    reason and an `error`; there are always as many answers as lines.

    Parameters
    ----------
    sql
        The lines are SQL, not shell.
    worktree
        Read commands in this worktree: git is asked, operands are hashed.
    session
        The lines are one run, in order: what earlier ones made is the run's own.
    second_opinion
        `--no-second-opinion` leaves the second parser out.
    """
    analyse = _sql() if sql else _analyser(worktree, session=session, second_opinion=second_opinion)
    for line in _counted(sys.stdin.buffer):
        # Written at once: whoever asks in a conversation waits for this line.
        sys.stdout.write(json.dumps(answer(line, analyse)) + "\n")
        sys.stdout.flush()
    return 0


def _sql() -> Analyse:
    from handfast.observe.sql import sql_facts

    return sql_facts


def _analyser(worktree: Path | None, *, session: bool, second_opinion: bool) -> Analyse:
    from handfast.observe.scope import Scope
    from handfast.observe.shell import shell_facts
    from handfast.observe.textonly import Session, text_scope

    if worktree is None:
        ground, memory = text_scope(), Session() if session else None
    else:
        root = worktree.resolve()
        ground, memory = Scope(worktree=root, cwd=root), None
    scope = replace(ground, second_opinion=second_opinion)
    return lambda command: shell_facts(command, scope, memory)


def answer(line: bytes, analyse: Analyse) -> Answer:
    """What is printed for one line. Never raises: a line that cannot be analysed is opaque and says why."""
    try:
        command = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _unreadable("malformed", f"the line is no JSON: {error}")
    if not isinstance(command, str):
        return _unreadable(
            "malformed", f"the line is a JSON {type(command).__name__}, not a string"
        )
    try:
        return _listed(analyse(command))
    except Exception as error:  # noqa: BLE001 - a reader that fails gates the call, and the next line is still answered
        return _unreadable("analyser-failed", f"{type(error).__name__}: {error}")


def _unreadable(reason: str, error: str) -> Answer:
    return {"hazards": [], "opaque": [reason], "facts": [], "error": error[:300]}


def _listed(found: "Facts") -> Answer:
    from handfast.core.policy.builtin import ALLOWED

    allowed = [hazard for hazard in found.hazards if hazard in ALLOWED]
    kinds = [f"effect:{found.effect.value}", *allowed]
    if any(detail.startswith("runs code: ") for detail in found.details):
        kinds.append("exec.local")
    return {
        "hazards": [hazard for hazard in found.hazards if hazard not in ALLOWED],
        "opaque": list(found.opaque),
        "facts": [*kinds, *found.details],
    }


def _counted(lines: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """The lines, with a count for a person who watches."""
    shown = sys.stderr.isatty()
    for number, line in enumerate(lines, start=1):
        yield line
        if shown and number % _PROGRESS_EVERY == 0:
            print(f"\r{number:,} lines", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r", end="", file=sys.stderr, flush=True)
