"""A policy as a value: gates with conditions, and the sections that say what follows from them.

    version: 1
    builtin: {off: [push]}
    gates:
      - {id: …, when: …, require: {…}}      or   {id: …, when: …, deny: reason}
    limits:
      cost_usd: {warn: 2x_median, hand_over: 3x_median, stop: 5.00}
    routes: [{risk: [critical], levels: [{to: …, ack_within: 10m}, …]}]
    teams, rotations, owners, hours: see `directory`

`read` turns decoded YAML into it and collects every problem, not only the first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from handfast.core.domain.action import Risk, Verdict
from handfast.core.domain.grant_scope import MAX_TIMES, ONCE, Scope, Span
from handfast.core.domain.requirement import REVIEWERS, Clause, Requirement, Silence
from handfast.core.policy import directory, routes, sections
from handfast.core.policy.builtin import RULES
from handfast.core.policy.carrying import CarryOver, read_carry_over
from handfast.core.policy.chat import ChatDecides, read_chat
from handfast.core.policy.directory import Roster
from handfast.core.policy.kinds import ActionKind, read_kind
from handfast.core.policy.limit_section import read_limits
from handfast.core.policy.limits import Limits
from handfast.core.policy.routes import Route
from handfast.core.policy.sections import Path, Problem, Wrong

VERSION = 1
MAX_CONDITION = 4_000
# What no policy may switch off.
ALWAYS_ON = frozenset({"control-plane"})
_GATE = ("id", "when", "tools", "require", "deny", "risk", "why", "remedy")
_REQUIRE = ("approvals", "from", "within", "silence", "separate", "levels", "scope", "passkey")


@dataclass(frozen=True, slots=True)
class Gate:
    """`when` is a CEL condition over a Subject. `tools` empty means every tool. `deny` holds the reason
    of a gate that refuses; otherwise `require` says what it takes."""

    id: str
    when: str
    tools: tuple[str, ...] = ()
    deny: str = ""
    require: Requirement = Requirement()
    risk: Risk = Risk.MEDIUM
    why: str = ""
    remedy: str = ""

    @property
    def verdict(self) -> Verdict:
        return Verdict.DENY if self.deny else Verdict.GATE


@dataclass(frozen=True, slots=True)
class Policy:
    """One file. `off` names rules of the built-in policy that do not apply. `carry_over` None says nothing; a
    list, an empty one too, binds the approval of a merge to where its target stood."""

    gates: tuple[Gate, ...] = ()
    off: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    roster: Roster = field(default_factory=Roster)
    routes: tuple[Route, ...] = ()
    actions: tuple[ActionKind, ...] = ()
    carry_over: tuple[CarryOver, ...] | None = None
    chat: ChatDecides | None = None


@dataclass(slots=True)
class Reading:
    """A policy and everything that is wrong with it; with problems the policy is not to be used."""

    policy: Policy = field(default_factory=Policy)
    problems: list[Problem] = field(default_factory=list)

    def attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Wrong as e:
            self.problems.append(e.problem)


Section: TypeAlias = Callable[[Reading, object], None]


def read(data: object) -> Reading:
    """The policy in decoded YAML. Never raises: what is wrong is in `problems`, each with its path."""
    reading = Reading()
    try:
        top = sections.mapping(data, (), ("version", *_SECTIONS))
        if top.get("version") != VERSION or isinstance(top.get("version"), bool):
            raise Wrong(
                ("version",), f"`version` is {top.get('version')!r}", f"Write `version: {VERSION}`."
            )
    except Wrong as e:
        reading.problems.append(e.problem)
        return reading
    for name, section in _SECTIONS.items():
        if name in top:
            value = top[name]
            reading.attempt(lambda section=section, value=value: section(reading, value))  # type: ignore[misc]
    return reading


def _builtin(reading: Reading, value: object) -> None:
    found = sections.mapping(value, ("builtin",), ("off",))
    off = sections.texts(found.get("off"), ("builtin", "off"))
    known = {rule.id for rule in RULES} | {"opaque"}
    for i, rule in enumerate(off):
        if rule not in known:
            raise Wrong(
                ("builtin", "off", i),
                f"the built-in policy has no rule `{rule}`",
                f"Its rules: {', '.join(sorted(known))}.",
            )
        if rule in ALWAYS_ON:
            raise Wrong(("builtin", "off", i), f"`{rule}` cannot be switched off", "Remove it.")
    reading.policy = replace(reading.policy, off=tuple(sorted(set(off))))


def _of_roster(name: str) -> Section:
    def section(reading: Reading, value: object) -> None:
        roster = directory.READERS[name](reading.policy.roster, value, reading.problems)
        reading.policy = replace(reading.policy, roster=roster)

    return section


def _gates(reading: Reading, value: object) -> None:
    seen: dict[str, int] = {}
    for i, item in enumerate(sections.entries(value, ("gates",))):
        path: Path = ("gates", i)
        try:
            gate = _gate(item, path)
            if gate.id in seen:
                raise Wrong((*path, "id"), f"the id `{gate.id}` stands twice", "Ids are unique.")
        except Wrong as e:
            reading.problems.append(e.problem)
            continue
        seen[gate.id] = i
        reading.policy = replace(reading.policy, gates=(*reading.policy.gates, gate))


def _gate(item: object, path: Path) -> Gate:
    found = sections.mapping(item, path, _GATE)
    gate_id = sections.name(found.get("id"), (*path, "id"))
    when = sections.text(found.get("when"), (*path, "when"), MAX_CONDITION)
    risk = sections.one_of(found.get("risk", "medium"), (*path, "risk"), [r.value for r in Risk])
    gate = Gate(
        id=gate_id,
        when=when,
        tools=tuple(sorted(sections.texts(found.get("tools"), (*path, "tools")))),
        risk=Risk(risk),
        why=_optional(found, "why", path),
        remedy=_optional(found, "remedy", path),
    )
    if ("deny" in found) == ("require" in found):
        raise Wrong(
            path,
            f"gate `{gate_id}` needs either `deny` or `require`",
            "`deny: reason` refuses it always; `require: {approvals: 1}` asks people.",
        )
    if "deny" in found:
        return replace(gate, deny=sections.text(found["deny"], (*path, "deny")))
    return replace(gate, require=requirement(found["require"], (*path, "require"), gate.risk))


def _optional(found: Mapping[str, object], key: str, path: Path) -> str:
    return sections.text(found[key], (*path, key)) if key in found else ""


def requirement(value: object, path: Path, risk: Risk) -> Requirement:
    """`{approvals: 2, from: team:dba, within: 4h, silence: reject}`; every part has a default.

    `separate` is true unless one approval of any reviewer is enough.
    """
    found = sections.mapping(value, path, _REQUIRE)
    audience = routes.audience(found.get("from", REVIEWERS), (*path, "from"))
    silence = Silence(
        sections.one_of(
            found.get("silence", "expire"), (*path, "silence"), [s.value for s in Silence]
        )
    )
    if silence is Silence.AUTO_PROCEED and risk is not Risk.LOW:
        raise Wrong(
            (*path, "silence"),
            f"`auto_proceed` is only for low risk, and this is {risk.value}",
            "Write `risk: low` at the gate, or another `silence`.",
        )
    approvals = sections.whole(found.get("approvals", 1), (*path, "approvals"), 1, 20)
    within = sections.seconds(found["within"], (*path, "within")) if "within" in found else 0
    separate = sections.switch(
        found.get("separate", approvals > 1 or "from" in found), (*path, "separate")
    )
    return Requirement(
        clauses=(Clause(approvals, audience, separate),),
        within_s=within,
        silence=silence,
        levels=routes.levels(found["levels"], (*path, "levels")) if "levels" in found else (),
        scope=scope(found["scope"], (*path, "scope"), risk) if "scope" in found else ONCE,
        passkey=sections.switch(found.get("passkey", False), (*path, "passkey")),
    )


def _limits(reading: Reading, value: object) -> None:
    reading.policy = replace(reading.policy, limits=read_limits(value))


def _routes(reading: Reading, value: object) -> None:
    reading.policy = replace(reading.policy, routes=routes.read(value, reading.problems))


def scope(value: object, path: Path, risk: Risk) -> Scope:
    """`{times: 5, for: task, within: 2h}`: the most that one approval may cover."""
    found = sections.mapping(value, path, ("times", "for", "within"))
    times = sections.whole(found.get("times", 1), (*path, "times"), 1, MAX_TIMES)
    if times > 1 and risk is Risk.CRITICAL:
        raise Wrong(
            (*path, "times"),
            "what is critical is approved one start at a time",
            "Remove `times`, or lower the `risk` of the gate.",
        )
    span = sections.one_of(found.get("for", "run"), (*path, "for"), [s.value for s in Span])
    within = sections.seconds(found["within"], (*path, "within")) if "within" in found else 0
    return Scope(times, Span(span), within)


def _actions(reading: Reading, value: object) -> None:
    seen: set[str] = set()
    for i, item in enumerate(sections.entries(value, ("actions",))):
        path: Path = ("actions", i)
        try:
            kind = read_kind(item, path)
            if kind.id in seen:
                raise Wrong((*path, "id"), f"the id `{kind.id}` stands twice", "Ids are unique.")
        except Wrong as e:
            reading.problems.append(e.problem)
            continue
        seen.add(kind.id)
        reading.policy = replace(reading.policy, actions=(*reading.policy.actions, kind))


def _carry_over(reading: Reading, value: object) -> None:
    found = read_carry_over(value, ("carry_over",))
    reading.policy = replace(reading.policy, carry_over=found)


def _chat(reading: Reading, value: object) -> None:
    reading.policy = replace(reading.policy, chat=read_chat(value, ("chat",)))


_SECTIONS: Mapping[str, Section] = {
    "builtin": _builtin,
    "gates": _gates,
    "limits": _limits,
    "routes": _routes,
    "actions": _actions,
    "carry_over": _carry_over,
    "chat": _chat,
    **{name: _of_roster(name) for name in directory.READERS},
}
