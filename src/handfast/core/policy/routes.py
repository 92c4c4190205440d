"""Who is asked when, as a policy says it: the levels of a gate, and `routes` for gates that name none.

    routes:
      - risk: [high, critical]
        kind: [approval]
        levels:
          - {to: oncall:payments, ack_within: 10m}
          - {to: team:sre, ack_within: 20m, repeat: 2}
          - {to: person:lead}

A route applies when every key it names holds one of the values; the first that applies is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from handfast.core.domain.action import Risk
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.requirement import Level, is_audience
from handfast.core.policy import sections
from handfast.core.policy.sections import Path, Problem, Wrong

KEYS = ("risk", "kind", "rules", "repository", "tool")
_CHOICES: Mapping[str, list[str]] = {
    "risk": [r.value for r in Risk],
    "kind": [k.value for k in HandoffKind],
}
MAX_LEVELS, MAX_REPEAT = 10, 10


@dataclass(frozen=True, slots=True)
class Route:
    """`wanted` holds the values of each key that the route names."""

    wanted: Mapping[str, tuple[str, ...]]
    levels: tuple[Level, ...]

    def applies(self, facts: Mapping[str, tuple[str, ...]]) -> bool:
        """`facts` has a value for every key; `rules` has one for each rule that stopped the call."""
        return all(set(values) & set(facts[key]) for key, values in self.wanted.items())


def read(value: object, problems: list[Problem]) -> tuple[Route, ...]:
    found: list[Route] = []
    for i, item in enumerate(sections.entries(value, ("routes",))):
        try:
            found.append(_route(item, ("routes", i)))
        except Wrong as e:
            problems.append(e.problem)
    return tuple(found)


def _route(item: object, path: Path) -> Route:
    found = sections.mapping(item, path, (*KEYS, "levels"))
    wanted = {key: values(found[key], key, (*path, key)) for key in KEYS if key in found}
    if "levels" not in found:
        raise Wrong(
            path, "a route needs `levels`", "`levels: [{to: reviewers, ack_within: 10m}, …]`."
        )
    return Route(wanted, levels(found["levels"], (*path, "levels")))


def values(value: object, key: str, path: Path) -> tuple[str, ...]:
    """What a condition names under one of KEYS. Raises Wrong."""
    values = sections.texts(value, path)
    if not values:
        raise Wrong(path, f"`{sections.shown(path)}` is empty", "Leave it out to match all.")
    if key in _CHOICES:
        for each in values:
            sections.one_of(each, path, _CHOICES[key])
    return values


def levels(value: object, path: Path) -> tuple[Level, ...]:
    """One or more; each but the last says how long its people have."""
    items = sections.entries(value, path)
    if not 1 <= len(items) <= MAX_LEVELS:
        raise Wrong(path, f"`{sections.shown(path)}` has {len(items)} entries", "1 to 10 levels.")
    last = len(items) - 1
    return tuple(_level(item, (*path, i), is_last=i == last) for i, item in enumerate(items))


def _level(item: object, path: Path, *, is_last: bool) -> Level:
    found = sections.mapping(item, path, ("to", "ack_within", "repeat"))
    to = audience(found.get("to"), (*path, "to"))
    repeat = sections.whole(found.get("repeat", 1), (*path, "repeat"), 1, MAX_REPEAT)
    if "ack_within" in found:
        return Level(to, sections.seconds(found["ack_within"], (*path, "ack_within")), repeat)
    if not is_last or repeat > 1:
        raise Wrong(
            path,
            "`ack_within` is missing",
            "Only a last level that is asked once may leave it out.",
        )
    return Level(to)


def audience(value: object, path: Path) -> tuple[str, ...]:
    """Whom a `from` or a `to` names, in order."""
    names = sections.texts(value, path)
    for i, name in enumerate(names):
        if not is_audience(name):
            raise Wrong(
                path if isinstance(value, str) else (*path, i),
                f"`{name}` is nobody who can be asked",
                "Write reviewers, owners, team:NAME, role:NAME, person:LOGIN or oncall:NAME.",
            )
    if not names:
        raise Wrong(path, f"`{sections.shown(path)}` names nobody", "For instance `reviewers`.")
    return tuple(sorted(set(names)))
