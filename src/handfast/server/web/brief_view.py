"""The brief on a page: what was asked for, its criteria as a checklist, and the bounds of the work."""

from dataclasses import dataclass

from handfast.server.web.claims_view import Claim
from handfast.server.web.reading import Record, mapping, text, texts

_BOUNDS = (
    ("Cost", "budget", "cost_usd", "at most {} USD"),
    ("Calls", "budget", "tool_calls", "at most {}"),
    ("Retries", "budget", "retries", "at most {}"),
    ("Reasoning", "budget", "reasoning_s", "at most {} s"),
    ("Time", "budget", "wall_s", "at most {} s"),
)
_LISTS = (
    ("Paths", "scope", "paths"),
    ("Tools", "scope", "tools"),
    ("Environments", "scope", "environments"),
)


@dataclass(frozen=True, slots=True)
class Brief:
    """What was asked for. Criteria carry the evidence that answers them. `bounds` are label and text."""

    intent: str
    criteria: tuple[Claim, ...]
    non_goals: tuple[str, ...]
    bounds: tuple[tuple[str, str], ...] = ()
    contacts: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    digest: str = ""


def brief_of(brief: Record, evidence: tuple[Claim, ...], digest: str = "") -> Brief | None:
    """Each criterion with the claim of the same words, else unverified."""
    if not brief:
        return None
    by_claim = {c.text.strip().casefold(): c for c in evidence if c.said_by != "agent"}
    criteria = [
        by_claim.get(criterion.strip().casefold(), Claim(criterion))
        for criterion in texts(brief, "acceptance")
    ]
    return Brief(
        intent=text(brief, "intent"),
        criteria=tuple(criteria),
        non_goals=tuple(texts(brief, "non_goals")),
        bounds=_bounds(brief),
        contacts=tuple(texts(brief, "contacts")),
        context=tuple(texts(brief, "context")),
        digest=digest,
    )


def _bounds(brief: Record) -> tuple[tuple[str, str], ...]:
    lists = [(label, ", ".join(texts(mapping(brief, part), key))) for label, part, key in _LISTS]
    figures = [
        (label, said.format(found))
        for label, part, key, said in _BOUNDS
        if (found := text(mapping(brief, part), key)) not in ("", "0")
    ]
    return tuple((label, said) for label, said in (*lists, *figures) if said)
