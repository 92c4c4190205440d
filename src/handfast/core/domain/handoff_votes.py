"""What ends the question: votes of as many different people as it takes, a refusal, an override.

Every function is pure. Who counts for which clause comes in as data; who is too close to what is decided
is known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain import events_handoff as e
from handfast.core.domain.assertion import Assertion
from handfast.core.domain.errors import (
    InvalidTransition,
    NotPermitted,
    StaleDecision,
    UsageError,
)
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import DecisionKind, Executor, HandoffKind
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.handoff_routing import check_open, granted
from handfast.core.domain.ids import GrantId, PersonId
from handfast.core.domain.requirement import Requirement, in_words

MUST_GIVE_REASON = frozenset({DecisionKind.REJECT, DecisionKind.REQUEST_CHANGES})
APPROVING = frozenset({DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS})
REASON_FOR_RISK = frozenset({"critical"})
DOUBT_ANSWERS = ("it_ran", "it_did_not_run")


@dataclass(frozen=True, slots=True)
class Decide:
    """A person's decision. `presented_digest` names exactly what they saw.

    `counts_for` are the clauses whose audience this person belongs to. `next_presented` is what the others
    are shown when this is an edit that they must approve. `scope` is what the approval that decides gives.
    `covers_unshown`: it is meant for what the package names as not shown, too.
    """

    kind: DecisionKind
    person_id: PersonId
    auth: str
    presented_digest: str
    grant_id: GrantId
    grant_ttl_s: int
    counts_for: tuple[int, ...]
    has_reason: bool = False
    reason: BodyRef | None = None
    edited_action: BodyRef | None = None
    edited_digest: str = ""
    next_presented: str = ""
    edited_rules: tuple[str, ...] = ()
    edited_text: BodyRef | None = None
    answer: str = ""
    scope: Wanted = AS_THE_RULE_SAYS
    assertion: Assertion | None = None
    covers_unshown: bool = False


def met(requirement: Requirement, votes: Mapping[PersonId, tuple[int, ...]]) -> bool:
    """Whether every clause has as many different people as it takes."""
    return not lacking(requirement, votes)


def lacking(
    requirement: Requirement, votes: Mapping[PersonId, tuple[int, ...]]
) -> tuple[tuple[int, int], ...]:
    """Each clause that is not met, by its index, with how many people it still needs."""
    missing = [
        (i, clause.approvals - sum(i in counts for counts in votes.values()))
        for i, clause in enumerate(requirement.clauses)
    ]
    return tuple((i, n) for i, n in missing if n > 0)


def votes_of(state: Handoff) -> dict[PersonId, tuple[int, ...]]:
    return {vote.person_id: vote.clauses for vote in state.votes}


def too_close(state: Handoff, person_id: PersonId) -> str:
    """Why this person does not count where duties are separated, or ''."""
    if person_id in state.editors:
        return "the edit is yours"
    return "you asked for this work" if person_id in state.requested_by else ""


def counting(state: Handoff, person_id: PersonId, counts_for: tuple[int, ...]) -> tuple[int, ...]:
    """The clauses that this person's approval counts for: without those that keep duties apart.

    Whoever wrote this form in place of another, which took less, never approves it.
    """
    if person_id == state.editor:
        return ()
    close = bool(too_close(state, person_id))
    clauses = state.requirement.clauses
    return tuple(i for i in counts_for if not (close and clauses[i].separate))


def decide(state: Handoff, cmd: Decide, now: datetime) -> list[HandoffEvent]:
    """Events of a decision: a vote while it takes more, else the end of the question.

    Raises AlreadyDecided, NotPermitted, InvalidTransition, StaleDecision, UsageError.
    """
    _check(state, cmd)
    if cmd.kind not in APPROVING:
        if not cmd.counts_for:
            raise _not_counted(state, "")
        return [_decided(state, cmd), e.HandoffClosed(state.handoff_id, cmd.kind.value)]
    if cmd.kind is DecisionKind.APPROVE_WITH_EDITS:
        return _edit(state, cmd, now)
    counts = counting(state, cmd.person_id, cmd.counts_for)
    if not counts:
        raise _not_counted(state, too_close(state, cmd.person_id))
    votes = votes_of(state)
    if votes.get(cmd.person_id) == counts:
        return []
    if met(state.requirement, votes | {cmd.person_id: counts}):
        edited, scope = (state.edit.digest, None) if state.edit else ("", cmd.scope)
        grant = granted(state, cmd.grant_id, cmd.grant_ttl_s, now, edited, scope)
        return [_decided(state, cmd, counts if votes else ()), *grant]
    if cmd.scope.said:
        raise UsageError(
            "`scope` is said by whoever decides, and your approval is not the last",
            code="scope_not_last",
            hint="Approve without it.",
        )
    voted = e.HandoffVoted(
        state.handoff_id,
        cmd.person_id,
        counts,
        cmd.presented_digest,
        cmd.auth,
        cmd.reason,
        cmd.assertion,
    )
    return [voted]


def _check(state: Handoff, cmd: Decide) -> None:
    check_open(state)
    if cmd.kind not in state.offered:
        offered = ", ".join(k.value for k in state.offered)
        raise InvalidTransition(
            f"`{cmd.kind.value}` is not offered for handoff `{state.handoff_id}`",
            hint=f"Offered: {offered}.",
        )
    _check_presented(state, cmd.presented_digest)
    _check_shown(state, cmd)
    _check_words(state, cmd)


def _check_presented(state: Handoff, presented_digest: str) -> None:
    if presented_digest != state.presented_digest:
        raise StaleDecision(
            f"handoff `{state.handoff_id}` is not what was shown when this decision was made",
            hint="Open the case again, look at what changed, and decide on that.",
            details={"presented_digest": state.presented_digest},
        )


def _check_shown(state: Handoff, cmd: Decide) -> None:
    """What was too large to be shown is approved by a word of its own, or not at all."""
    if cmd.kind in APPROVING and state.whole is not None and not cmd.covers_unshown:
        raise UsageError(
            f"not all that handoff `{state.handoff_id}` changes was shown with it",
            code="not_shown",
            hint="Read the whole change: the page All changes, or `handfast handoff changes`. Then approve what was "
            "not shown as well (`covers_unshown`).",
        )


def _not_counted(state: Handoff, why: str) -> NotPermitted:
    """Names who could decide instead."""
    because = f": {why}" if why else ""
    return NotPermitted(
        f"your decision does not count for handoff `{state.handoff_id}`{because}",
        code="not_eligible",
        hint=f"It takes {in_words(state.requirement)}.",
    )


def _edit(state: Handoff, cmd: Decide, now: datetime) -> list[HandoffEvent]:
    """Where one approval is enough and duties are not separated, an edit is approved as it is made.

    Else the edited form is put to the others: it is a new digest, so earlier votes do not carry over.
    """
    if cmd.person_id == state.editor:
        raise _not_counted(state, too_close(state, cmd.person_id))
    if not cmd.counts_for:
        raise _not_counted(state, "")
    clauses = state.requirement.clauses
    close = cmd.person_id in state.requested_by
    alone = tuple(i for i in cmd.counts_for if not clauses[i].separate)
    if met(state.requirement, {cmd.person_id: alone}):
        return [
            _decided(state, cmd),
            *granted(state, cmd.grant_id, cmd.grant_ttl_s, now, cmd.edited_digest),
        ]
    if close and not alone:
        raise _not_counted(state, too_close(state, cmd.person_id))
    if cmd.edited_action is None or not cmd.next_presented:
        raise ValueError("an edit that others must approve needs its body and what they are shown")
    edited = e.HandoffEdited(
        handoff_id=state.handoff_id,
        person_id=cmd.person_id,
        edited_action=cmd.edited_action,
        edited_digest=cmd.edited_digest,
        presented_digest=cmd.next_presented,
        auth=cmd.auth,
        reason=cmd.reason,
        edited_text=cmd.edited_text,
        edited_rules=cmd.edited_rules,
        assertion=cmd.assertion,
    )
    return [edited]


def _decided(state: Handoff, cmd: Decide, clauses: tuple[int, ...] = ()) -> e.HandoffDecided:
    """An approval of an edited form is recorded as one with edits."""
    edit = state.edit if cmd.kind is DecisionKind.APPROVE else None
    return e.HandoffDecided(
        handoff_id=state.handoff_id,
        decision=DecisionKind.APPROVE_WITH_EDITS if edit else cmd.kind,
        person_id=cmd.person_id,
        presented_digest=cmd.presented_digest,
        auth=cmd.auth,
        reason=cmd.reason,
        edited_action=edit.action if edit else cmd.edited_action,
        edited_digest=edit.digest if edit else cmd.edited_digest,
        edited_rules=edit.rules if edit else cmd.edited_rules,
        edited_text=edit.text if edit else cmd.edited_text,
        answer=cmd.answer,
        clauses=clauses,
        assertion=cmd.assertion,
    )


def _check_words(state: Handoff, cmd: Decide) -> None:
    if cmd.kind is DecisionKind.APPROVE_WITH_EDITS and not cmd.edited_digest:
        raise UsageError("`edited_call` is missing", hint="Send the call as it should run.")
    if cmd.kind is DecisionKind.ANSWER:
        if not cmd.answer.strip():
            raise UsageError("`answer` is empty", hint="Write the answer the agent should get.")
        if state.kind is HandoffKind.DOUBT and cmd.answer not in DOUBT_ANSWERS:
            raise UsageError(f"`answer` must be one of: {', '.join(DOUBT_ANSWERS)}")
    plain = cmd.kind is DecisionKind.APPROVE and state.edit is None
    if cmd.scope.said and not (plain and state.executor is not Executor.NONE):
        raise UsageError("`scope` goes with a plain approval of an action only")
    needs = cmd.kind in MUST_GIVE_REASON or (
        state.risk in REASON_FOR_RISK and state.kind is not HandoffKind.DOUBT
    )
    if needs and not cmd.has_reason:
        raise UsageError(
            f"`reason` is missing: `{cmd.kind.value}` at {state.risk} risk needs one",
            hint="Write one sentence; the agent and the audit trail get it.",
        )


def unvote(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    """Take back an approval, as long as it has not decided anything."""
    check_open(state)
    if person_id not in votes_of(state):
        raise InvalidTransition(f"handoff `{state.handoff_id}` has no approval of yours")
    return [e.HandoffUnvoted(state.handoff_id, person_id)]


@dataclass(frozen=True, slots=True)
class Override:
    """`only_one`: nobody else could decide or override here."""

    person_id: PersonId
    auth: str
    presented_digest: str
    reason: BodyRef
    grant_id: GrantId
    grant_ttl_s: int
    only_one: bool


def override(state: Handoff, cmd: Override, now: datetime) -> list[HandoffEvent]:
    """Approve in place of all that it takes. Raises as `decide` does."""
    check_open(state)
    if DecisionKind.APPROVE not in state.offered or is_override_review(state):
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is nothing that an emergency could approve",
            hint="Decide it as it is offered.",
        )
    _check_presented(state, cmd.presented_digest)
    why = too_close(state, cmd.person_id)
    if why and not cmd.only_one:
        raise NotPermitted(
            f"you cannot override handoff `{state.handoff_id}`: {why}",
            code="not_eligible",
            hint="Ask another admin or operator.",
        )
    overridden = e.HandoffOverridden(
        state.handoff_id, cmd.person_id, cmd.presented_digest, cmd.auth, cmd.reason
    )
    edited = state.edit.digest if state.edit else ""
    return [overridden, *granted(state, cmd.grant_id, cmd.grant_ttl_s, now, edited)]


def is_override_review(state: Handoff) -> bool:
    """A review of another handoff, not of finished work: those are opened about overrides only."""
    return state.kind is HandoffKind.REVIEW and bool(state.about)
