"""What a package must hold, by its kind: what we draw ourselves, and what only the agent can supply.

A part of ours that is missing is a defect of ours: the handoff goes to a person, marked incomplete. What the
agent can supply goes back to it first, a few times at most.
"""

from collections.abc import Callable
from typing import Final

from handfast.core.domain.claim_words import kinds_in, named_in
from handfast.core.domain.claims import BRIEF, OUTDATED, UNVERIFIED
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.package import Evidence, Package

MAX_RETURNS: Final = 2
_MAX_LACKS: Final = 10
_Part = tuple[str, Callable[[Package], str]]

_ALWAYS: Final[tuple[_Part, ...]] = (
    ("ask", lambda p: p.ask),
    ("what_will_happen", lambda p: p.what_will_happen.text),
    ("why_now", lambda p: p.why_now),
    ("open_question", lambda p: p.open_question),
    ("state", lambda p: p.state),
)
_OF_KIND: Final[dict[HandoffKind, tuple[_Part, ...]]] = {
    HandoffKind.REVIEW: (
        ("commit", lambda p: p.review.head_commit if p.review else ""),
        ("target_branch", lambda p: p.review.target_branch if p.review else ""),
    ),
    HandoffKind.DOUBT: (
        ("started_at", lambda p: p.doubt.started_at if p.doubt else ""),
        ("how_to_check", lambda p: " ".join(p.doubt.how_to_check) if p.doubt else ""),
    ),
    HandoffKind.ESCALATION: (("figure", lambda p: " ".join(e.claim for e in p.evidence)),),
}


def missing(kind: HandoffKind, p: Package, *, of_override: bool = False) -> tuple[str, ...]:
    """Names of required parts of ours that are empty, in a fixed order. A review of an override merges nothing."""
    of_kind = () if of_override else _OF_KIND.get(kind, ())
    return tuple(name for name, part in (*_ALWAYS, *of_kind) if not part(p).strip())


def lacking(p: Package) -> tuple[str, ...]:
    """What finished work lacks that its agent can supply, each in a sentence to the agent.

    A criterion that was checked and failed is not lacking: that is an answer, and a person may accept it.
    """
    found = [_unchecked(e) for e in p.evidence if e.said_by == BRIEF and _checkable(e)]
    if not p.agent_says.strip():
        found.insert(
            0, "Your last message is empty: say in a few sentences what you changed and why."
        )
    return tuple(found[:_MAX_LACKS])


def _checkable(e: Evidence) -> bool:
    """A check that ran and whose end nobody can tell (a mere look, for one) is not to be had from the agent."""
    if e.step_id and e.exit_code is None:
        return False
    return (
        e.status in (OUTDATED, UNVERIFIED)
        and bool(named_in(e.claim) or kinds_in(e.claim))
        and not _says_more(e)
    )


def _says_more(e: Evidence) -> bool:
    """The check it names did pass: the rest of its words no command can show."""
    return e.exit_code == 0 and e.result.startswith("It says more")


def _unchecked(e: Evidence) -> str:
    return (
        f"Criterion \u201c{e.claim[:300]}\u201d: {e.result or 'nothing recorded shows it.'} Run the check as a command of its "
        "own, with nothing behind it and with its output, after your last change."
    )
