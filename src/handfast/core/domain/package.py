"""The context package: what the receiver of control gets, and when it is incomplete.

Everything in it is drawn from recorded facts, but for `agent_says`, which is the agent's prose
and is labelled so wherever it is shown.
"""

from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.events_handoff import HandoffKind


class ShowKind(StrEnum):
    COMMAND = "command"
    DIFF = "diff"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class WhatWillHappen:
    """`text` is the exact command, diff or text; `details` are our sentences about it."""

    kind: ShowKind
    text: str
    details: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    reversible: bool | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A claim and the recorded step behind it; without one it is `unverified`."""

    claim: str
    status: str = "unverified"
    step_id: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    tried: str
    outcome: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    cost_usd: str = "0"
    turns: int = 0
    elapsed_s: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Package:
    ask: str
    what_will_happen: WhatWillHappen
    why_now: str
    open_question: str
    state: str
    evidence: tuple[Evidence, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    cost: Cost = Cost()
    agent_says: str = ""
    pointers: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    commit: str = ""
    target_branch: str = ""
    containment: str = ""


def missing(kind: HandoffKind, p: Package) -> tuple[str, ...]:
    """Names of required parts that are empty, in a fixed order."""
    required = {
        "ask": p.ask,
        "what_will_happen": p.what_will_happen.text,
        "why_now": p.why_now,
        "open_question": p.open_question,
        "state": p.state,
    }
    if kind is HandoffKind.REVIEW:
        required |= {"commit": p.commit, "target_branch": p.target_branch}
    return tuple(name for name, value in required.items() if not value.strip())
