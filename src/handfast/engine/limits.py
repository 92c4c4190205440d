"""Limits of runs: what was used, what is met, and what a person says to it.

The gate check asks here before policy is applied to a call with an effect. A run that met a limit is
handed over once, however many of its calls come at the same time: whoever records it first wins, the
others find it.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import cast

from handfast.core.domain.action import Risk
from handfast.core.domain.canonical import digest
from handfast.core.domain.codec import encode
from handfast.core.domain.errors import IntegrityError, NotFound
from handfast.core.domain.events import Actor, RunEvent
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.events_limits import (
    LimitRaised,
    LimitReached,
    LimitUpheld,
    LimitWarned,
    RunMeasured,
    UsageReported,
)
from handfast.core.domain.events_work import Mode
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import HandoffId, RunId
from handfast.core.domain.limit_facts import Crossed, Level, Reported, check_reported, later
from handfast.core.domain.run import Run, check_not_over
from handfast.core.domain.track import Track
from handfast.core.policy import limit_words
from handfast.core.policy.limits import METRICS, Limits, check, effective, raise_of
from handfast.core.policy.measures import for_history, measured, not_watched
from handfast.engine.audiences import Audiences
from handfast.engine.escalations import escalation
from handfast.engine.gating import Proposal, Stopped
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.opening import Opening, open_handoff
from handfast.engine.policies import Policies

_GO_ON = (DecisionKind.APPROVE, DecisionKind.ANSWER, DecisionKind.REQUEST_CHANGES)


class RunLimits:
    """Works inside the unit of work of whoever asks; `report` is a command of its own."""

    def __init__(self, audiences: Audiences, policies: Policies) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._policies = policies

    # -- the gate check

    def stopped(self, unit: Unit, run: Run, p: Proposal, mode: Mode) -> Stopped | None:
        """What a call with an effect is told because of a limit; None when none holds it up."""
        if mode is Mode.ENFORCE and (held := self._held(unit, run)) is not None:
            return held
        crossed = self._crossed(unit, run)
        reached = tuple(c for c in crossed if c.level is not Level.WARN)
        self._warn(unit, run, crossed)
        if not reached:
            return None
        if mode is Mode.OBSERVE:
            new = tuple(c for c in reached if _key(c) not in run.limits.met)
            if new:
                unit.record(Run, run.run_id, [LimitReached(run.run_id, new)])
            return None
        return self._hand_over(unit, run, p, reached)

    def _held(self, unit: Unit, run: Run) -> Stopped | None:
        """By an escalation that waits, by a person who said stop, or by words still to be told."""
        state = run.limits
        if state.upheld:
            words = self._words(unit.get(Handoff, state.upheld))
            said = f": {words}" if words else ""
            return Stopped("deny", state.upheld, reason=f"a person stopped this run{said}")
        if state.handoff_id and unit.get(Handoff, state.handoff_id).waiting:
            return _waits(state.handoff_id, state.crossed)
        if state.to_tell:
            words = self._words(unit.get(Handoff, state.to_tell))
            return Stopped("deny", state.to_tell, reason=words, words=words)
        return None

    def _words(self, h: Handoff) -> str:
        if h.decision is None:
            return ""
        reason = h.decision.reason
        text = self._kernel.vault.text(reason)
        return "\n".join(part for part in (h.decision.answer, text) if part)

    def _hand_over(
        self, unit: Unit, run: Run, p: Proposal, crossed: tuple[Crossed, ...]
    ) -> Stopped:
        handoff_id = HandoffId(new_id("ho"))
        rules = tuple(f"limit.{c.metric}" for c in crossed)
        unseen = not_watched(run, self.of(unit, run), unit.now)
        stop = any(c.level is Level.STOP for c in crossed)
        open_handoff(
            self._audiences,
            unit,
            Opening(
                kind=HandoffKind.ESCALATION,
                risk=Risk.HIGH.value if stop else Risk.MEDIUM.value,
                package=escalation(self._kernel, run, crossed, unseen, p.facts, p.agent_says),
                action_digest=digest([run.run_id, [encode(c) for c in crossed]]),
                agent_id=run.agent_id,
                within_s=self._kernel.settings.approval_within_s,
                run_id=run.run_id,
                task_id=run.task_id,
                rules=rules,
            ),
            handoff_id=handoff_id,
        )
        unit.record(Run, run.run_id, [LimitReached(run.run_id, crossed, handoff_id)])
        return _waits(handoff_id, crossed)

    # -- what is known

    def of(self, unit: Unit, run: Run) -> Limits:
        """The limits in force for a run. Raises as `Policies.in_force` does."""
        organisation, repository = self._policies.limits(unit, run.root)
        return effective(organisation, repository, run.budget)

    def _crossed(self, unit: Unit, run: Run) -> tuple[Crossed, ...]:
        figures = measured(run, unit.now)
        return check(figures, self.of(unit, run), run.history, run.limits.raised)

    def noticed(self, unit: Unit, run_id: str, *, agent_gone: bool = False) -> None:
        """Results or figures came in: warn where a limit is met. Handing over waits for the next call; when
        the agent is gone there may be none, and whoever gets its work is told of every limit."""
        run = unit.get(Run, run_id)
        try:
            crossed = self._crossed(unit, run)
        except IntegrityError:
            return  # what happened is recorded all the same; the next call cannot be judged, and is not run
        self._warn(unit, run, crossed, every_level=agent_gone and not run.limits.handoff_id)

    def _warn(
        self, unit: Unit, run: Run, crossed: Sequence[Crossed], *, every_level: bool = False
    ) -> None:
        told = [c for c in crossed if every_level or c.level is Level.WARN]
        new = [c for c in told if _key(c) not in run.limits.met]
        if new:
            unit.record(Run, run.run_id, [LimitWarned(run.run_id, c) for c in new])

    def report(
        self, actor: Actor, run_id: str, told: Reported, *, turn_over: bool = False
    ) -> Result:
        """Totals of a run. Idempotent: what is known already records nothing. Raises UsageError, NotFound,
        InvalidTransition for a run that has ended."""
        check_reported(told)

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_not_over(run)
            self.record(unit, run, told, turn_over=turn_over)
            self.noticed(unit, run_id)
            return {"run_id": run_id}

        return self._kernel.run(actor, work)

    def record(self, unit: Unit, run: Run, told: Reported, *, turn_over: bool = False) -> None:
        known = run.usage.reported
        ends = turn_over and run.usage.active_since is not None
        if ends or later(known, told) != known:
            unit.record(Run, run.run_id, [UsageReported(run.run_id, told, turn_over)])

    # -- decisions

    def decided(self, unit: Unit, h: Handoff) -> None:
        """A person decided an escalation: the run goes on with more room, or it stops."""
        run = unit.find(Run, h.run_id)
        if run is None or run.over or h.decision is None or run.limits.handoff_id != h.handoff_id:
            return
        events: list[RunEvent]
        handed_over = h.decision.kind is DecisionKind.TAKE_OVER and run.command is not None
        if h.decision.kind in _GO_ON or handed_over:  # it may come back
            figures = measured(run, unit.now)
            raised = tuple(
                raise_of(c, figures.get(c.metric, Decimal(c.figure))) for c in run.limits.crossed
            )
            words = bool(self._tells(h))
            events = [LimitRaised(run.run_id, h.handoff_id, raised, words=words)]
        else:
            events = [LimitUpheld(run.run_id, h.handoff_id)]
        unit.record(Run, run.run_id, events)

    def _tells(self, h: Handoff) -> bool:
        """Approving needs no words to the agent; an answer and requested changes are for it."""
        silent = (DecisionKind.APPROVE, DecisionKind.TAKE_OVER)
        return h.decision is not None and h.decision.kind not in silent

    # -- looking

    def standing(self, run_id: str) -> Result:
        """Usage beside its limits, what was met, and what is not watched. Raises NotFound."""
        unit = Unit(self._kernel, Actor("system"), "")
        run = unit.find(Run, run_id)
        if run is None:
            raise NotFound(f"there is no run `{run_id}`")
        try:
            return self._standing(run, self.of(unit, run), unit.now)
        except IntegrityError as error:
            return {"usage": [], "not_watched": list(METRICS), "warnings": [error.message]}

    def _standing(self, run: Run, held: Limits, now: datetime) -> Result:
        known = measured(run, now)
        rows: list[Result] = []
        for name in METRICS:
            figure = known.get(name)
            raised = run.limits.raised.get(name)
            limit = limit_words.beside(name, held, run.history, raised, figure)
            if figure is not None and (limit or figure):
                shown = limit_words.amount(name, str(figure))
                rows.append(
                    {
                        "metric": name,
                        "label": limit_words.LABELS[name],
                        "used": shown,
                        "limit": limit,
                    }
                )
        return {
            "usage": rows,
            "not_watched": list(not_watched(run, held, now)),
            "warnings": list(limit_words.warnings(run)),
            "handoff_id": run.limits.handoff_id or run.limits.upheld,
            "raised": [cast("object", encode(r)) for r in run.limits.raised.values()],
        }


def keep_measure(unit: Unit, run: Run) -> None:
    """A run ended: its figures become part of what later runs of its agent are measured against."""
    figures = for_history(run, unit.now)
    if figures:
        measure = RunMeasured(run.agent_id, RunId(run.run_id), figures, run.root)
        unit.record(Track, run.agent_id, [measure])


def _waits(handoff_id: HandoffId, crossed: Sequence[Crossed]) -> Stopped:
    figures = " and ".join(limit_words.figure(c) for c in crossed)
    if any(c.level is Level.STOP for c in crossed):
        reason = f"this run has met a hard limit ({figures}); only a person can let it go on"
        return Stopped("deny", handoff_id, reason=reason)
    return Stopped("wait", handoff_id, reason=f"this run has met a limit ({figures})")


def _key(crossed: Crossed) -> str:
    return f"{crossed.metric}:{crossed.level.value}"
