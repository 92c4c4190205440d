"""How far a call reaches, and which of its letters deserve a second look."""

from collections.abc import Iterable

from handfast.core.domain.inert import inert
from handfast.server.web.wording import HAZARDS


def blast(hazards: Iterable[str], opaque: Iterable[str], kind: str) -> str:
    """How far it reaches, from the hazards of the real call; empty where there is no call."""
    reach = list(dict.fromkeys(HAZARDS.get(name, ("", name))[1] for name in hazards))
    if any(opaque):
        reach.append("perhaps more: not all of it could be read")
    if reach:
        sentence = ", ".join(part for part in reach if part)
        return sentence[:1].upper() + sentence[1:]
    if kind == "review":
        return "The target branch"
    return "This worktree only" if kind in ("approval", "doubt") else ""


def odd_characters(command: str) -> tuple[str, ...]:
    """Letters that look like others: each character outside ASCII, named once."""
    odd = sorted({char for char in command[:20_000] if ord(char) > 0x7E and char.isprintable()})
    return tuple(f"{inert(char)} is U+{ord(char):04X}" for char in odd[:12])
