"""What is legal in a policy but cannot be meant: optional fields without `has()`, gates that never apply.

A gate never applies when its condition is always false, names a hazard or tool that cannot occur, or
repeats a condition that an equal or stricter gate has already.
"""

import re
from typing import get_args, get_type_hints

from handfast.core.policy.builtin import HAZARDS, RULES
from handfast.core.policy.document import Gate, Policy
from handfast.core.policy.sections import Path, Problem
from handfast.core.policy.subject import Subject
from handfast.policyfile.conditions import Language

_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_HAZARD_NAME = re.compile(
    r"(?:\bh\b|\bhazard\b)\s*==\s*(\"[^\"]*\"|'[^']*')|(\"[^\"]*\"|'[^']*')\s+in\s+call\.hazards"
)
_HAZARD_START = re.compile(r"(?:\bh\b|\bhazard\b)\.startsWith\(\s*(\"[^\"]*\"|'[^']*')\s*\)")
_TOOL = re.compile(r"call\.tool\s*==\s*(\"[^\"]*\"|'[^']*')")


def _named(*, optional: bool) -> tuple[str, ...]:
    """`run.confidence` and its like, which may be absent; or all the others."""
    return tuple(
        f"{part}.{name}"
        for part, kind in get_type_hints(Subject).items()
        for name, hint in get_type_hints(kind).items()
        if (type(None) in get_args(hint)) is optional
    )


OPTIONAL, ALWAYS_THERE = _named(optional=True), frozenset(_named(optional=False))


def optional_fields(when: str, path: Path) -> list[Problem]:
    """Uses of an optional field in a condition that never asks for it with `has()`."""
    plain = _STRING.sub(lambda m: " " * len(m[0]), when)
    problems = []
    for name in OPTIONAL:
        dotted = re.escape(name).replace(r"\.", r"\s*\.\s*")
        asked = re.compile(rf"\bhas\(\s*{dotted}\s*\)")
        if asked.search(plain):
            continue
        used = re.search(rf"(?<![\w.]){dotted}\b", plain)
        if used:
            line = plain.count("\n", 0, used.start())
            column = used.start() - (plain.rfind("\n", 0, used.start()) + 1)
            hint = f"Write `has({name}) && …`: it is absent until it is known."
            problems.append(
                Problem(path, f"`{name}` is used without `has({name})`", hint, line, column)
            )
    return problems


def needless_has(when: str, path: Path) -> list[Problem]:
    """`has()` of a field that is always there: it is true even where the field is empty."""
    plain = _STRING.sub(lambda m: " " * len(m[0]), when)
    problems = []
    for found in re.finditer(r"\bhas\(\s*(\w+\.\w+)\s*\)", plain):
        name = found[1]
        if name in ALWAYS_THERE:
            line = plain.count("\n", 0, found.start())
            column = found.start() - (plain.rfind("\n", 0, found.start()) + 1)
            hint = 'Compare it instead: with "", with 0, or `size(…) > 0` for a list.'
            problems.append(Problem(path, f"`{name}` is always there", hint, line, column))
    return problems


def unreachable(policy: Policy, speaks: Language) -> list[Problem]:
    """Gates that can never change a verdict."""
    problems = []
    for i, gate in enumerate(policy.gates):
        why = _never(gate, speaks) or _shadowed(gate, policy.gates[:i], policy.gates[i + 1 :])
        if why:
            path: Path = ("gates", i, "when")
            problems.append(
                Problem(path, f"gate `{gate.id}` is unreachable: {why}", "Remove or mend it.")
            )
    return problems


def unknown_rules(policy: Policy) -> list[Problem]:
    """Rules that `interruptions.urgent` names and nothing has: what they mean to speed up would wait."""
    budget = policy.interruptions
    known = {gate.id for gate in policy.gates} | {rule.id for rule in RULES} | {"opaque"}
    return [
        Problem(
            ("interruptions", "urgent", i, "rules"),
            f"there is no rule `{name}`",
            "Name a gate of this file or a built-in rule. What the organisation gates, it calls urgent itself.",
        )
        for i, wanted in enumerate(budget.urgent if budget else ())
        for name in wanted.get("rules", ())
        if name not in known
    ]


def _never(gate: Gate, speaks: Language) -> str:
    if speaks.constant(gate.when) is False:
        return "its condition is always false"
    named = (
        [m[1] or m[2] for m in _HAZARD_NAME.finditer(gate.when)] if "hazards" in gate.when else []
    )
    for quoted in named:
        if quoted[1:-1] not in HAZARDS:
            return f"no call has the hazard {quoted}. Known: {', '.join(sorted(HAZARDS))}"
    starts = _HAZARD_START.finditer(gate.when) if "hazards" in gate.when else ()
    for match in starts:
        if not any(h.startswith(match[1][1:-1]) for h in HAZARDS):
            return f"no hazard starts with {match[1]}. Known: {', '.join(sorted(HAZARDS))}"
    tools = {m[1][1:-1] for m in _TOOL.finditer(gate.when)}
    if gate.tools and tools and not tools & set(gate.tools) and "||" not in gate.when:
        return f"it holds for {', '.join(gate.tools)} only, and asks for {', '.join(sorted(tools))}"
    return ""


def _shadowed(gate: Gate, before: tuple[Gate, ...], after: tuple[Gate, ...]) -> str:
    """Of two gates with one condition the looser one decides nothing; of two equal ones the second."""
    for other in (*before, *after):
        covers = not other.tools or (gate.tools and set(gate.tools) <= set(other.tools))
        if not covers or _plain(other.when) != _plain(gate.when):
            continue
        if other.deny and not gate.deny:
            return f"`{other.id}` has the same condition and denies"
        if other in before and (bool(other.deny), other.require) == (bool(gate.deny), gate.require):
            return f"`{other.id}` has the same condition and asks for the same"
    return ""


def _plain(when: str) -> str:
    return " ".join(when.split())
