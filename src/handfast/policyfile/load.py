"""A policy's text to a rulebook that can be asked, or to every problem in it with line and column."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from handfast.core.domain.errors import UsageError
from handfast.core.policy import directory, document
from handfast.core.policy.directory import Roster
from handfast.core.policy.document import Gate, Policy
from handfast.core.policy.judging import Match
from handfast.core.policy.kinds import ActionKind
from handfast.core.policy.sections import Problem, shown
from handfast.core.policy.subject import Subject
from handfast.policyfile import lint, zones
from handfast.policyfile.cel import language
from handfast.policyfile.conditions import Conditions, Language
from handfast.policyfile.needs import needs
from handfast.policyfile.positions import Parsed, parse

_HISTORY = re.compile(r"\b(run|task|agent)\s*\.(?!\s*repository\b)")


@dataclass(frozen=True, slots=True)
class Located:
    """A problem where a person finds it. `line` and `column` count from 1."""

    line: int
    column: int
    field: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        said = f"{self.line}:{self.column}: {self.message}"
        return f"{said.rstrip('.')}. {self.hint}" if self.hint else said


_Group: TypeAlias = tuple[tuple[Gate, ...], Conditions]
_MAX_GROUPS = 256


class Loaded:
    """A published or local policy, compiled. Immutable and safe to share between threads.

    `digest` is over the exact text. A call is only asked about the gates that may concern it: those for its
    tool, without those that need a hazard it does not have.
    """

    def __init__(self, policy: Policy, text: str, speaks: Language) -> None:
        self.policy = policy
        self.text = text
        self.digest = text_digest(text)
        self._language = speaks
        needed = [needs(gate.when) for gate in policy.gates]
        self._needed = tuple(zip(policy.gates, needed, strict=True))
        self._tools = frozenset(
            [tool for gate in policy.gates for tool in gate.tools]
            + [n.tool for n in needed if n.tool is not None]
        )
        self._hazards = frozenset(n.hazard for n in needed if n.hazard is not None)
        self._groups: dict[tuple[str, frozenset[str]], _Group] = {}
        self._kinds = speaks.compile([kind.when for kind in policy.actions])

    def matches(self, subject: Subject) -> tuple[Match, ...]:
        call = subject.call
        tool = call.tool if call.tool in self._tools else ""
        try:
            hazards = self._hazards.intersection(call.hazards)
        except TypeError:  # of a wrong shape: asked of all, which says so
            hazards = self._hazards
        gates, conditions = self._group(tool, hazards)
        if not gates:
            return ()
        return tuple(Match(gates[i], problem) for i, problem in conditions.ask(subject).items())

    def needs_history(self, tool: str) -> bool:
        """Whether a gate for this tool asks about the run, task or agent, which only the server knows."""
        return any(
            _HISTORY.search(g.when) for g in self.policy.gates if not g.tools or tool in g.tools
        )

    def kinds(self, subject: Subject) -> tuple[ActionKind, ...]:
        if not self.policy.actions:
            return ()
        tool, found = subject.call.tool, []
        for i, problem in self._kinds.ask(subject).items():
            kind = self.policy.actions[i]
            if not kind.tools or tool in kind.tools:
                found.append(ActionKind(kind.id, reversible=False) if problem else kind)
        return tuple(found)

    def _group(self, tool: str, hazards: frozenset[str]) -> _Group:
        """Compiled on first use; two threads may do it at once, with the same result."""
        found = self._groups.get((tool, hazards))
        if found is None:
            if len(self._groups) >= _MAX_GROUPS:
                self._groups.clear()
            gates = tuple(
                gate
                for gate, needed in self._needed
                if (not gate.tools or tool in gate.tools) and needed.met(tool, hazards)
            )
            found = gates, self._language.compile([gate.when for gate in gates])
            self._groups[tool, hazards] = found
        return found


def text_digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check(
    text: str, speaks: Language | None = None, *, known: Roster | None = None
) -> list[Located]:
    """Every problem of a policy's text, in the order of the file. Never raises for what it says.

    A team or rotation that is asked must stand in the file or in `known`: the organisation's.
    """
    return _examined(text, speaks or language(), known or Roster())[1]


def load(text: str, speaks: Language | None = None, *, known: Roster | None = None) -> Loaded:
    """Raises UsageError (code `policy_invalid`) with every problem, line and column first.

    Without `known` a team or rotation may be named that nobody defines: what is in force must still load
    when the file that defined a name no longer does. Nobody is in such a team.
    """
    spoken = speaks or language()
    policy, problems = _examined(text, spoken, known)
    if problems:
        raise UsageError(
            "; ".join(str(p).rstrip(".") for p in problems[:5]),
            code="policy_invalid",
            hint="`handfast policy check FILE` lists everything that is wrong.",
            details={"problems": [str(p) for p in problems]},
        )
    return Loaded(policy, text, spoken)


def _examined(text: str, speaks: Language, known: Roster | None) -> tuple[Policy, list[Located]]:
    parsed = parse(text)
    if parsed.problem is not None:
        return Policy(), _located(parsed, [parsed.problem])
    reading = document.read(parsed.data)
    problems = [*reading.problems, *zones.unknown(reading.policy.roster)]
    if known is not None and not problems:
        problems += directory.unknown(parsed.data, reading.policy.roster.under(known))
    if not problems:
        problems += _conditions(reading.policy, speaks)
    if not problems:
        problems += lint.unreachable(reading.policy, speaks)
        problems += lint.unknown_rules(reading.policy)
    return reading.policy, _located(parsed, problems)


def _conditions(policy: Policy, speaks: Language) -> list[Problem]:
    found = []
    conditions = [(("gates", i, "when"), g.id, g.when) for i, g in enumerate(policy.gates)]
    conditions += [(("actions", i, "when"), k.id, k.when) for i, k in enumerate(policy.actions)]
    for path, name, when in conditions:
        fault = speaks.check(when)
        if fault is not None:
            found.append(Problem(path, f"`{name}`: {fault.message}", "", fault.line, fault.column))
        else:
            found += lint.optional_fields(when, path)
            found += lint.needless_has(when, path)
    return found


def _located(parsed: Parsed, problems: Sequence[Problem]) -> list[Located]:
    placed = [
        Located(*parsed.place(p), field=shown(p.path), message=p.message, hint=p.hint)
        for p in problems
    ]
    return sorted(placed, key=lambda p: (p.line, p.column))
