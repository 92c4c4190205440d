"""What may be approved together with others, in one pass: only what one look is enough for.

The same rule places a case under 'stamp' in the inbox and lets the server take it in bulk, so that a page
never offers what is refused afterwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is known of a case without anybody's judgement. `reversible` is None where it cannot be told."""

    kind: str
    risk: str
    reversible: bool | None
    opaque: bool = False
    unverified: bool = False
    edited: bool = False


def more_than_a_look(case: CaseFacts) -> str:
    """Why a person must weigh this case by itself; '' when one look is enough."""
    reasons: Iterable[tuple[bool, str]] = (
        (case.kind != "approval", case.kind.replace("_", " ") or "an unknown kind"),
        (case.risk != "low", f"{case.risk or 'unknown'} risk"),
        (case.opaque, "it could not be fully read"),
        (case.reversible is not True, "it may have no undo"),
        (case.unverified, "a claim is unverified"),
        (case.edited, "somebody edited it"),
    )
    return next((why for holds, why in reasons if holds), "")
