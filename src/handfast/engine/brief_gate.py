"""The brief as a gate: a call that leaves the scope of its task's brief is put to a person."""

from collections.abc import Sequence
from typing import Final

from handfast.core.domain.action import Call, Effect, Facts, Judgement, MatchedRule, Verdict
from handfast.core.domain.brief import Scope
from handfast.core.domain.brief_scope import in_scope
from handfast.core.domain.copying import replace
from handfast.core.domain.environments import ANY, deploys, environments_of
from handfast.core.domain.inert import inert
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.engine.kernel import Unit
from handfast.engine.tasks import Tasks

RULE: Final = "outside-the-brief"
_REMEDY: Final = "Stay within the brief, or wait for a person to let you leave it."
_MAX_KEPT: Final = 500


class BriefGate:
    """Looks at what is known for certain: the tool, the files that a writing call names, and the environments that
    a call names. What a program does once it runs is seen at the review, by what it changed. A call that
    deploys and names no environment is outside of a brief that permits some."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        # A brief never changes. Only its scope is kept, for the calls of runs that go on.
        self._scopes: dict[str, Scope] = {}

    def judged(self, unit: Unit, run: Run, call: Call, facts: Facts, found: Judgement) -> Judgement:
        """`found`, and a gate where the call leaves the scope."""
        if not run.task_id or facts.effect is Effect.READ:
            return found
        why = _outside(self._scope(unit, run.task_id), call, facts, run.worktree)
        if not why:
            return found
        rule = MatchedRule(RULE, Verdict.GATE, why, _REMEDY)
        verdict = max(found.verdict, Verdict.GATE, key=list(Verdict).index)
        return replace(found, verdict=verdict, rules=(*found.rules, rule))

    def _scope(self, unit: Unit, task_id: str) -> Scope:
        if task_id not in self._scopes:
            if len(self._scopes) >= _MAX_KEPT:
                self._scopes.clear()
            self._scopes[task_id] = self._tasks.brief(unit.get(Task, task_id)).scope
        return self._scopes[task_id]


def _outside(scope: Scope, call: Call, facts: Facts, worktree: str) -> str:
    """Each way in which the call leaves the scope, as sentences."""
    return " ".join(
        filter(
            None, (_tool(scope, call), _paths(scope, facts, worktree), _places(scope, call, facts))
        )
    )


def _tool(scope: Scope, call: Call) -> str:
    if not scope.tools or call.tool in scope.tools:
        return ""
    return f"The brief permits other tools only: {_listed(scope.tools)}."


def _paths(scope: Scope, facts: Facts, worktree: str) -> str:
    if not scope.paths:
        return ""
    named = [_relative(p, worktree) for c in facts.changes for p in (c.path, c.old_path) if p]
    left = [path for path in named if not in_scope(path, scope.paths)]
    if not left:
        return ""
    return (
        f"It changes files outside of the brief's scope ({_listed(scope.paths)}): {_listed(left)}."
    )


def _places(scope: Scope, call: Call, facts: Facts) -> str:
    if not scope.environments:
        return ""
    named = environments_of(call, facts)
    permitted = {each.casefold() for each in scope.environments}
    left = [each for each in named if each != ANY and each.casefold() not in permitted]
    allowed = _listed(scope.environments)
    if left:
        return f"It touches environments outside of the brief's scope ({allowed}): {_listed(left)}."
    if ANY in named or (not named and deploys(call, facts)):
        return f"It deploys, and which environment cannot be told. The brief's scope is {allowed}."
    return ""


def _relative(path: str, worktree: str) -> str:
    root = f"{worktree.rstrip('/')}/"
    return path.removeprefix(root) if worktree else path


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{inert(name, 120, multiline=False)}`" for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
