"""Who is asked when: levels, holding, freezing, and what time does by itself. No command here decides.

Every function is pure: state and command in, events out, or an error of the RejectedError branch.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain import events_handoff as e
from handfast.core.domain.action import Risk
from handfast.core.domain.codec import format_time
from handfast.core.domain.copying import replace
from handfast.core.domain.errors import AlreadyDecided, InvalidTransition, UsageError
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import Executor
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted, given
from handfast.core.domain.handoff import FINAL, REFUSED, USABLE, Handoff
from handfast.core.domain.ids import CheckpointId, GrantId, HandoffId, PersonId
from handfast.core.domain.requirement import REVIEWERS, Asking, Silence, askings

ROUNDS = 3
"""How often the last level is asked again before everybody is, and then the case ends."""
MAX_RECORDED = 1_000


def check_open(state: Handoff) -> None:
    """Raises AlreadyDecided, or InvalidTransition for what waits for nobody or is frozen."""
    if state.decision is not None:
        raise AlreadyDecided(
            f"handoff `{state.handoff_id}` was decided already: {state.decision.kind.value}",
            hint="Look at the case to see who decided and what happened.",
            details={
                "decided_by": state.decision.person_id or "policy",
                "decided_at": format_time(state.decision.at),
                "decision": state.decision.kind.value,
            },
        )
    if not state.waiting:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is {state.status.value}; it waits for nobody"
        )
    check_not_frozen(state)


def check_not_frozen(state: Handoff) -> None:
    if state.frozen_at is not None:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is frozen since {format_time(state.frozen_at)}",
            code="frozen",
            hint="The kill switch stopped it. It goes on, with the time that was left, when that ends.",
        )


def route(
    request: e.HandoffRequested, people: tuple[PersonId, ...], now: datetime
) -> list[HandoffEvent]:
    """Ask the first level, whose `people` are known. A handoff without levels is a mistake of the caller."""
    if not request.levels_s:
        raise UsageError("`levels_s` is empty: a handoff needs at least one level of people")
    asking = askings(request.requirement, sum(request.levels_s))[0]
    ends_at = now + timedelta(seconds=sum(request.levels_s))
    last = len(request.levels_s) == 1
    seconds = request.levels_s[0] if people or last else 0
    due_at = now + timedelta(seconds=seconds)
    return [_routed(request.handoff_id, asking, people, due_at, ends_at)]


@dataclass(frozen=True, slots=True)
class Told:
    """The checkpoint, and who is told of this very handoff."""

    checkpoint_id: CheckpointId
    people: tuple[PersonId, ...] = ()


def gathered(
    state: Handoff, people: tuple[PersonId, ...], now: datetime, told: Told
) -> list[HandoffEvent]:
    """Ask the first level about what was deferred. Its whole time begins now: nobody was silent before."""
    if state.deferral is None:
        return []
    asking, seconds = steps(state)[0], state.levels_s[0]
    ends_at = now + timedelta(seconds=sum(state.levels_s))
    due_at = now + timedelta(seconds=seconds if people or len(state.levels_s) == 1 else 0)
    routed = _routed(state.handoff_id, asking, people, due_at, ends_at)
    told_people = tuple(p for p in people if p in told.people)
    return [
        replace(routed, checkpoint_id=told.checkpoint_id, gathered=True, told=told_people),
    ]


def _routed(
    handoff_id: HandoffId,
    asking: Asking,
    people: tuple[PersonId, ...],
    due_at: datetime,
    ends_at: datetime,
) -> e.HandoffRouted:
    return e.HandoffRouted(
        handoff_id=handoff_id,
        level=asking.level,
        to=", ".join(asking.to),
        due_at=due_at,
        ends_at=ends_at if ends_at > due_at else None,
        round=asking.round,
        people=people[:MAX_RECORDED],
    )


def steps(state: Handoff) -> tuple[Asking, ...]:
    """Who is asked one after the other, with the recorded times."""
    planned = askings(state.requirement, sum(state.levels_s))
    return tuple(
        Asking(planned[min(i, len(planned) - 1)].to, seconds, i)
        for i, seconds in enumerate(state.levels_s)
    )


def next_asking(state: Handoff, now: datetime) -> Asking | None:
    """Who is asked when the present level has timed out; None when that was the end.

    Each call leads further: through the levels, then `ROUNDS` times the last one where silence
    escalates, then all reviewers, then no more.
    """
    planned = steps(state)
    last = len(planned) - 1
    over = state.ends_at is not None and now >= state.ends_at
    if state.round == 0 and state.level < last and not over:
        return planned[state.level + 1]
    if state.requirement.silence is not Silence.ESCALATE or state.round > ROUNDS:
        return None
    to = planned[last].to if state.round < ROUNDS else (REVIEWERS,)
    return Asking(to, planned[last].seconds, last, state.round + 1)


@dataclass(frozen=True, slots=True)
class Due:
    """What a sweep brings along: the people of the next asking, and a grant's id in case one is needed."""

    grant_id: GrantId
    grant_ttl_s: int
    people: tuple[PersonId, ...] = ()


def sweep(state: Handoff, now: datetime, with_: Due) -> list[HandoffEvent]:
    """What is due by itself: the next level, the end of the last one, or an unused grant's expiry.

    Silence never counts as a person's approval, and before people were asked there is none. A start without an effect is not handled here, because it
    opens a second handoff: see `engine.effects`.
    """
    due = state.next_due
    if due is None or now < due or state.deferral is not None:
        return []
    if state.waiting:
        timed_out = e.LevelTimedOut(state.handoff_id, state.level)
        asking = next_asking(state, now)
        if asking is None:
            return [timed_out, *_silence(state, now, with_)]
        return [timed_out, _next(state, asking, with_.people, now)]
    grant = state.grant
    if grant is not None and grant.status in USABLE:
        return [
            e.GrantExpired(state.handoff_id, grant.grant_id),
            e.HandoffClosed(state.handoff_id, "scope_ended" if grant.used else "grant_expired"),
        ]
    return []


def _next(
    state: Handoff, asking: Asking, people: tuple[PersonId, ...], now: datetime
) -> HandoffEvent:
    """A level that nobody belongs to now is passed at once, unless it is the last."""
    ends_at = state.ends_at
    if asking.round or ends_at is None:
        ends_at = now + timedelta(seconds=sum(s.seconds for s in steps(state)[asking.level :]))
    last = asking.level == len(state.levels_s) - 1
    due_at = ends_at if last else min(ends_at, now + timedelta(seconds=asking.seconds))
    if not last and not people:
        due_at = now
    return _routed(state.handoff_id, asking, people, due_at, ends_at)


def _silence(state: Handoff, now: datetime, with_: Due) -> list[HandoffEvent]:
    """Nobody answered to the end. Only what the policy lets go on, and nobody holds or edited, goes on."""
    silence = state.requirement.silence
    proceeds = silence is Silence.AUTO_PROCEED and state.may_proceed
    touched = state.holder or state.editors
    if proceeds and state.risk == Risk.LOW.value and not touched:
        went_on = e.HandoffAutoProceeded(state.handoff_id, state.rules, state.policy_digest)
        return [went_on, *granted(state, with_.grant_id, with_.grant_ttl_s, now)]
    outcome = REFUSED if silence is Silence.REJECT else ""
    return [e.HandoffExpired(state.handoff_id, state.level, outcome)]


def granted(
    state: Handoff,
    grant_id: GrantId,
    ttl_s: int,
    now: datetime,
    digest: str = "",
    wanted: Wanted | None = None,
) -> list[HandoffEvent]:
    """What an approval leads to: a grant, or the end of a case in which nothing runs.

    `wanted` is the scope that a person gives; without one it is a single start within `ttl_s` at most.
    Raises UsageError for a scope that is wider than the rule.
    """
    if state.executor is Executor.NONE:
        return [e.HandoffClosed(state.handoff_id, "approve")]
    allowed = state.requirement.scope
    scope = given(wanted or AS_THE_RULE_SAYS, allowed, has_task=bool(state.task_id))
    within_s = scope.within_s or ttl_s
    minted = e.GrantMinted(
        handoff_id=state.handoff_id,
        grant_id=grant_id,
        action_digest=digest or state.action_digest,
        agent_id=state.agent_id,
        run_id=state.run_id,
        executor=state.executor,
        expires_at=now + timedelta(seconds=within_s if wanted else min(within_s, ttl_s)),
        uses=scope.times,
        span=scope.span,
    )
    return [minted]


def acknowledge(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    """Idempotent for the holder; refused while somebody else holds it."""
    check_open(state)
    if state.holder == person_id:
        return []
    if state.holder:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is held by `{state.holder}`",
            hint="Ask them to release it, or decide it directly: the first decision wins.",
        )
    return [e.HandoffAcknowledged(state.handoff_id, person_id)]


def release(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    check_open(state)
    _check_holder(state, person_id)
    return [e.HandoffReleased(state.handoff_id, person_id)]


def _check_holder(state: Handoff, person_id: PersonId) -> None:
    if state.holder != person_id:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is not held by you", hint="Acknowledge it first."
        )


@dataclass(frozen=True, slots=True)
class ReRoute:
    """`people` are those of `to` who may decide it now."""

    person_id: PersonId
    to: tuple[str, ...]
    people: tuple[PersonId, ...]
    reason: BodyRef


def re_route(state: Handoff, cmd: ReRoute, now: datetime) -> list[HandoffEvent]:
    """Ask somebody else instead. They have the time of the present level, at most the whole deadline."""
    check_open(state)
    to = ", ".join(cmd.to)
    if not cmd.people:
        raise UsageError(
            f"nobody of `{to}` could decide handoff `{state.handoff_id}`",
            code="nobody_there",
            hint="Name people whose approval counts here.",
        )
    due_at = now + timedelta(seconds=state.levels_s[state.level])
    due_at = min(due_at, state.deadline) if state.deadline else due_at
    people = cmd.people[:MAX_RECORDED]
    return [
        e.HandoffRerouted(state.handoff_id, cmd.person_id, to, due_at, cmd.reason, people),
    ]


def snooze(
    state: Handoff, person_id: PersonId, until: datetime, now: datetime
) -> list[HandoffEvent]:
    """Hide it from its holder's inbox. Deadlines go on, so it must come back before they end."""
    check_open(state)
    _check_holder(state, person_id)
    if until <= now or (state.deadline is not None and until >= state.deadline):
        ends = f" and before {format_time(state.deadline)}" if state.deadline else ""
        raise UsageError(f"`until` must lie ahead{ends}", hint="The deadline does not move.")
    return [e.HandoffSnoozed(state.handoff_id, person_id, until)]


def freeze(state: Handoff, reason: str = "") -> list[HandoffEvent]:
    """Stop its deadlines. Idempotent. A start that already happened is not frozen: it must be settled."""
    unused = state.grant is not None and state.grant.status in USABLE
    if state.frozen_at is not None or not (state.waiting or unused):
        return []
    return [e.HandoffFrozen(state.handoff_id, reason)]


def thaw(state: Handoff) -> list[HandoffEvent]:
    """Let its deadlines go on, moved by the time it was frozen. Idempotent."""
    over = state.status in FINAL
    return [] if state.frozen_at is None or over else [e.HandoffThawed(state.handoff_id)]
