"""Two policies side by side: what was added, removed and changed, and whether the change can only tighten.

The claim 'only tightens' is about every possible call: nothing that the old policy stopped may pass under
the new one, and nothing may take less than before. It is proved from the texts alone, so it is cautious:
a changed condition is never called tighter, although it may be.
"""

from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.action import Risk, Verdict
from handfast.core.domain.grant_scope import no_wider
from handfast.core.domain.requirement import Requirement, Silence, covers
from handfast.core.policy.document import Gate, Policy

_VERDICTS, _RISKS = tuple(Verdict), tuple(Risk)
# Asking again and ending are alike in what they let through: nothing.
_SILENCES = {Silence.AUTO_PROCEED: 0, Silence.ESCALATE: 1, Silence.EXPIRE: 1, Silence.REJECT: 2}


class Direction(StrEnum):
    """`mixed`: it loosens, or may; somebody should simulate it."""

    SAME = "same"
    TIGHTENS = "tightens"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class GateChange:
    """`was` or `now` is None for a gate that is new or gone."""

    id: str
    was: Gate | None
    now: Gate | None
    direction: Direction


@dataclass(frozen=True, slots=True)
class Comparison:
    gates: tuple[GateChange, ...]
    switched_off: tuple[str, ...]
    switched_on: tuple[str, ...]
    sections: tuple[str, ...]

    @property
    def direction(self) -> Direction:
        found = {change.direction for change in self.gates}
        if self.switched_off or self.sections or Direction.MIXED in found:
            return Direction.MIXED
        return Direction.TIGHTENS if found or self.switched_on else Direction.SAME


def compare(old: Policy, new: Policy) -> Comparison:
    """What publishing `new` in place of `old` changes. `sections` names other parts that differ."""
    before, after = {g.id: g for g in old.gates}, {g.id: g for g in new.gates}
    changes = []
    for gate_id in sorted(before.keys() | after.keys()):
        was, now = before.get(gate_id), after.get(gate_id)
        if was != now:
            changes.append(GateChange(gate_id, was, now, _direction(was, new)))
    return Comparison(
        gates=tuple(changes),
        switched_off=tuple(sorted(set(new.off) - set(old.off))),
        switched_on=tuple(sorted(set(old.off) - set(new.off))),
        sections=tuple(
            name
            for name in Policy.__dataclass_fields__
            if name not in ("gates", "off") and getattr(old, name) != getattr(new, name)
        ),
    )


def only_tightens(old: Policy, new: Policy) -> bool:
    """Whether nothing that `old` stopped is newly allowed, or takes less, under `new`."""
    return compare(old, new).direction is not Direction.MIXED


def _direction(was: Gate | None, new: Policy) -> Direction:
    """A gate that is gone or changed tightens only when some gate of `new` holds at least as much."""
    if was is None or any(_covers(gate, was) for gate in new.gates):
        return Direction.TIGHTENS
    return Direction.MIXED


def _covers(new: Gate, old: Gate) -> bool:
    """Whether `new` applies wherever `old` did, and is at least as strict there."""
    if new.when != old.when or (new.tools and not (old.tools and set(old.tools) <= set(new.tools))):
        return False
    if _RISKS.index(new.risk) < _RISKS.index(old.risk):
        return False
    if _VERDICTS.index(new.verdict) != _VERDICTS.index(old.verdict):
        return _VERDICTS.index(new.verdict) > _VERDICTS.index(old.verdict)
    return bool(old.deny) or at_least(new.require, old.require)


def at_least(new: Requirement, old: Requirement) -> bool:
    """Whether meeting `new` always meets `old`: no fewer people, of no wider an audience, in no more time,
    for no wider a grant."""
    if old.within_s and not 0 < new.within_s <= old.within_s:
        return False
    if not no_wider(new.scope, old.scope):
        return False
    return _SILENCES[new.silence] >= _SILENCES[old.silence] and covers(new, old)
