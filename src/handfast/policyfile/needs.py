"""What a condition needs for certain: a tool, or a hazard, named in a part that all of it depends on.

A call that lacks what is needed need not be asked about: in CEL `false && anything` is false, even where
the rest could not be evaluated. Only the plainest forms are recognised; everything else needs nothing.

    call.tool == "deploy" && run.cost_usd > 5.0                 needs the tool
    call.hazards.exists(h, h == "git.push") && …                needs the hazard
"""

import re
from dataclasses import dataclass

from handfast.policyfile.tokens import Tokens, outside, split, tokens

_STRING = r"(\"[^\"\\]*\"|'[^'\\]*')"
_TOOL = re.compile(rf"call \. tool == {_STRING}")
_HAZARD = re.compile(
    rf"{_STRING} in call \. hazards|call \. hazards \. exists \( (\w+) , \2 == {_STRING} \)"
)


@dataclass(frozen=True, slots=True)
class Needs:
    """None where nothing is needed for certain."""

    tool: str | None = None
    hazard: str | None = None

    def met(self, tool: str, hazards: frozenset[str]) -> bool:
        wrong_tool = self.tool is not None and self.tool != tool
        return not wrong_tool and (self.hazard is None or self.hazard in hazards)


def needs(when: str) -> Needs:
    tool = hazard = None
    for part in _conjuncts(when):
        text = " ".join(part)
        if named := _TOOL.fullmatch(text):
            tool = named[1][1:-1]
        elif named := _HAZARD.fullmatch(text):
            hazard = (named[1] or named[3])[1:-1]
    return Needs(tool, hazard)


def _conjuncts(when: str) -> list[Tokens]:
    """The parts joined by `&&` outside all brackets; none when they are joined otherwise too."""
    whole = tokens(when)
    if whole is None or (parts := split(whole, "&&")) is None:
        return []
    return [] if {"||", "?"} & set(outside(whole)) else parts
