"""What a condition needs for certain: a tool, or a hazard, named in a part that all of it depends on.

A call that lacks what is needed need not be asked about: in CEL `false && anything` is false, even where
the rest could not be evaluated. Only the plainest forms are recognised; everything else needs nothing.

    call.tool == "deploy" && run.cost_usd > 5.0                 needs the tool
    call.hazards.exists(h, h == "git.push") && …                needs the hazard
"""

import re
from dataclasses import dataclass

_STRING = r"(\"[^\"\\\n]*\"|'[^'\\\n]*')"
_TOOL = re.compile(rf"\s*call\s*\.\s*tool\s*==\s*{_STRING}\s*")
_HAZARD = re.compile(
    rf"\s*(?:{_STRING}\s+in\s+call\s*\.\s*hazards"
    rf"|call\s*\.\s*hazards\s*\.\s*exists\(\s*(\w+)\s*,\s*\2\s*==\s*{_STRING}\s*\))\s*"
)
_TOKEN = re.compile(
    r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|&&|\|\||[()\[\]{}?]|//|[rRbB]?\"\"\"|'''"
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
        if named := _TOOL.fullmatch(part):
            tool = named[1][1:-1]
        elif named := _HAZARD.fullmatch(part):
            hazard = (named[1] or named[3])[1:-1]
    return Needs(tool, hazard)


def _conjuncts(when: str) -> list[str]:
    """The parts joined by `&&` outside all brackets; the whole text when it is joined otherwise too."""
    parts, depth, start = [], 0, 0
    for token in _TOKEN.finditer(when):
        text = token[0]
        if text in "([{":
            depth += 1
        elif text in ")]}":
            depth -= 1
        elif depth == 0 and (text in ("||", "?", "//") or "'''" in text or '"""' in text):
            return [when]
        elif depth == 0 and text == "&&":
            parts.append(when[start : token.start()])
            start = token.end()
    return [*parts, when[start:]]
