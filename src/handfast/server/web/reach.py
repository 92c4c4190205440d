"""How far a call reaches, and which of its letters deserve a second look."""

from collections.abc import Iterable

from handfast.core.domain.inert import inert
from handfast.server.web.wording import HAZARDS

# Without a hazard that says more. A program that is run can do what its user can.
_REACH = {
    "read": "Nothing is changed",
    "write": "This worktree only",
    "exec": "This worktree, and whatever the program it runs does",
    "network": "Beyond this machine; how far is not known",
    "control": "Handfast's own controls",
}


def blast(hazards: Iterable[str], opaque: Iterable[str], kind: str, effect: str) -> str:
    """How far it reaches, from the hazards and the effect of the real call; empty where there is no call."""
    reach = list(dict.fromkeys(HAZARDS.get(name, ("", name))[1] for name in hazards))
    if any(opaque):
        reach.append("perhaps more: not all of it could be read")
    if reach:
        sentence = ", ".join(part for part in reach if part)
        return sentence[:1].upper() + sentence[1:]
    if kind == "review":
        return "The target branch"
    return _REACH.get(effect, "Not known") if kind in ("approval", "doubt") else ""


def odd_characters(command: str) -> tuple[str, ...]:
    """Letters that look like others: each character outside ASCII, named once."""
    odd = sorted({char for char in command[:20_000] if ord(char) > 0x7E and char.isprintable()})
    return tuple(f"{inert(char)} is U+{ord(char):04X}" for char in odd[:12])
