"""What becomes of a call that policy stopped: an equal call's earlier handoff decides, or a new one is opened.

Nothing here runs anything. `allow` means that a grant was redeemed in this transaction: the caller holds
the one start there will ever be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Call, Facts, Judgement
from handfast.core.domain.copying import replace
from handfast.core.domain.events_handoff import DecisionKind, Executor, HandoffKind
from handfast.core.domain.grant_scope import Span
from handfast.core.domain.handoff import REFUSED, GrantStatus, Handoff, Status
from handfast.core.domain.ids import HandoffId, StartId, StepId
from handfast.core.domain.package import Package
from handfast.core.domain.run import Run, void_again
from handfast.core.domain.task import Task
from handfast.core.policy.editing import edited_part
from handfast.core.policy.kinds import ActionKind
from handfast.engine import operand_texts
from handfast.engine.audiences import Audiences
from handfast.engine.effects import settle_unknown
from handfast.engine.evidence import stated_by
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.opening import Opening, at_most, open_handoff
from handfast.engine.packages import Shown, approval, shown_call
from handfast.engine.preview import Previewed, ahead, contract_of, with_kind
from handfast.engine.projections import BY_NAME, load
from handfast.engine.staleness import changed_since, earlier_form, goes_stale, of_form
from handfast.storage.api import Query

_FROZEN = "approved, but frozen by the kill switch. Ask again when it ended."
_VOID = (
    "a person took the run over since, so this is void and never ran. Read what they tell you; issue it again if it "
    "is still needed."
)
_GRANTED = (Status.DECIDED.value, Status.RESUMED.value)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call about to be made. `key` is the harness's own id of the call.

    `require_approval` asks a person whatever policy and mode say: a caller may tighten, never loosen.
    `preview` and `undo` are texts of the caller's own: what a dry run printed, and what would take it back.
    `previews` says that the caller can make the dry run that policy declares; `previewed` is one that was made.
    `operand_texts` are those of the files the call depends on, by path: see `operand_texts`.
    `kind`, `digest` and `form` (of the call, see `staleness.form_of`) are filled in by the engine.
    """

    run_id: str
    key: str
    call: Call
    facts: Facts
    executor: Executor = Executor.HOOKED
    shown: Shown | None = None
    subagent: str = ""
    agent_says: str = ""
    epoch: int | None = None
    request_key: str = ""
    wait_possible: bool = True
    require_approval: bool = False
    preview: str = ""
    undo: str = ""
    previews: bool = False
    previewed: Previewed | None = None
    operand_texts: Mapping[str, str] = field(default_factory=dict)
    kind: ActionKind | None = None
    digest: str = ""
    form: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What the caller is told: `wait`, `deny`, or `allow` with the grant that was redeemed. `words` are a
    person's, for the agent; `later` says that it waits for a checkpoint.

    `preview`: nothing was recorded yet; run this and propose again with what it printed.
    """

    verdict: str
    handoff_id: str = ""
    grant_id: str = ""
    reason: str = ""
    words: str = ""
    later: str = ""
    preview: tuple[str, ...] = ()


class Gating:
    """Works inside a unit of work: whatever it decides commits with the step that asked."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel

    def stopped(
        self, unit: Unit, run: Run, p: Proposal, judgement: Judgement, step_id: StepId
    ) -> Stopped:
        """An equal call seen before in this run decides what happens; else a handoff is opened."""
        same = of_form(self._kernel, run, p.form, p.digest)
        earlier = self._earlier(unit, run, p.digest, same)
        if earlier is None:
            return self._hand_over(unit, run, p, judgement, step_id, same)
        earlier = self._followed(unit, earlier)
        if earlier.waiting:
            return Stopped("wait", earlier.handoff_id)
        if earlier.status is Status.WITHDRAWN and void_again(run, earlier.handoff_id):
            return Stopped("deny", earlier.handoff_id, reason=_VOID)
        if _only_edited(earlier, p.digest):
            return Stopped("deny", earlier.handoff_id, reason=self._refused_before(earlier))
        if earlier.frozen_at is not None:
            return Stopped("deny", earlier.handoff_id, reason=_FROZEN)
        if earlier.status is Status.DECIDED:
            used = self._use_grant(unit, run, p, earlier, step_id)
            return used or self._hand_over(unit, run, p, judgement, step_id, same)
        if doubt := self._in_doubt(unit, earlier):
            return doubt
        if refusal := self._refused_before(earlier):
            return Stopped("deny", earlier.handoff_id, reason=refusal)
        return self._hand_over(unit, run, p, judgement, step_id, same)

    def held_back(self, unit: Unit, run: Run, p: Proposal) -> Stopped | None:
        """Whether a person refused this very call in this run, or nobody knows what came of a start of it:
        then neither a later policy nor another look at it lets it through."""
        if not run.counts.stopped and not run.task_id:
            return None
        earlier = self._earlier(unit, run, p.digest, of_form(self._kernel, run, p.form, p.digest))
        if earlier is None:
            return None
        earlier = self._followed(unit, earlier)
        if doubt := self._in_doubt(unit, earlier):
            return doubt
        if earlier.waiting:
            return None
        reason = self._refused_before(earlier)
        edited = _edited_away(earlier) and not _only_edited(earlier, p.digest)
        return Stopped("deny", earlier.handoff_id, reason=reason) if reason and not edited else None

    def _in_doubt(self, unit: Unit, h: Handoff) -> Stopped | None:
        """A start without an end becomes a doubt, and an open doubt is waited for: nothing is started twice."""
        if commands.starts_unsettled(h):
            h = settle_unknown(self._audiences, unit, h, "proposed again before a result")
        elif h.kind is not HandoffKind.DOUBT or not h.waiting:
            return None
        return Stopped("wait", h.handoff_id)

    def _earlier(
        self, unit: Unit, run: Run, action_digest: str, known: Sequence[Handoff]
    ) -> Handoff | None:
        """What an equal call of this run has led to. A start that nobody knows the end of comes before all
        else: as long as there is one, no other permission starts the same action."""
        same = [h for h in known if h.action_digest == action_digest and _for_calls_of(h, run)]
        granted = self._granted(run, action_digest)
        open_start = next((h for h in (*same, *granted) if commands.starts_unsettled(h)), None)
        if open_start is not None:
            return unit.get(Handoff, open_start.handoff_id)
        newest = unit.get(Handoff, same[0].handoff_id) if same else None
        if newest is not None and _stands(newest):
            return newest
        usable = next((h for h in granted if _may_start(h, unit.now)), None)
        if usable is not None:
            return unit.get(Handoff, usable.handoff_id)
        return newest or self._for_the_task(unit, run, action_digest)

    def _granted(self, run: Run, action_digest: str) -> list[Handoff]:
        """The newest handoffs of this run with a grant for this very action, those among them whose edit
        allows it."""
        query = Query("handoff", run_id=run.run_id, statuses=_GRANTED, newest_first=True, limit=200)
        found = (
            cast("Handoff", load(BY_NAME["handoff"], row.doc))
            for row in self._kernel.store.find(query)
        )
        return [
            h
            for h in found
            if h.grant and h.grant.action_digest == action_digest and _for_calls_of(h, run)
        ]

    def _for_the_task(self, unit: Unit, run: Run, action_digest: str) -> Handoff | None:
        """A grant that another run of the same task and agent got for the whole task: with a start left, or
        with one taken here that nobody knows the end of."""
        if not run.task_id:
            return None
        query = Query("handoff", task_id=run.task_id, agent_id=run.agent_id, statuses=_GRANTED)
        for row in self._kernel.store.find(query):
            g = cast("Handoff", load(BY_NAME["handoff"], row.doc)).grant
            if g and g.span is Span.TASK and g.action_digest == action_digest:
                h = unit.get(Handoff, row.stream.partition("/")[2])
                unsettled = commands.starts_unsettled(h) and commands.started_in(h, run.run_id)
                if unsettled or (h.grant and h.grant.status is GrantStatus.MINTED):
                    return h
        return None

    def _followed(self, unit: Unit, h: Handoff) -> Handoff:
        """The handoff that an edit put in the place of this one, and so on."""
        while h.edited_into:
            h = unit.get(Handoff, h.edited_into)
        return h

    def _refused_before(self, h: Handoff) -> str:
        """Why an equal call stays denied (a denied action never runs), or '' when it may be asked anew."""
        if h.status is Status.EXPIRED and h.outcome == REFUSED:
            return "nobody answered in time, and by policy that is a refusal"
        if h.decision is None:
            return ""
        if _edited_away(h):
            return f"approved only with edits: {self.edited_text(h)}"
        kind = h.decision.kind
        words = self.reason_text(h)
        if kind is DecisionKind.REJECT:
            return f"rejected by a reviewer: {words}"
        if kind is DecisionKind.REQUEST_CHANGES:
            return f"a reviewer asks for changes: {words}"
        if h.kind is HandoffKind.DOUBT and h.decision.answer == "it_ran":
            return "a reviewer checked: this already ran. Do not repeat it; go on from its result."
        return ""

    def reason_text(self, h: Handoff) -> str:
        if h.decision is None or h.decision.reason is None:
            return "no reason given"
        return self._kernel.vault.open(h.decision.reason.body_id).text

    def edited_text(self, h: Handoff) -> str:
        edited = h.decision.edited_action if h.decision else None
        edited = edited or (h.action if h.editor else None)
        return self._kernel.vault.text(edited)

    def _use_grant(
        self, unit: Unit, run: Run, p: Proposal, h: Handoff, step_id: StepId
    ) -> Stopped | None:
        """Take the next start of an approved call. None when its grant is used up or too old, or when the
        caller wants a person every time and one start of it was taken."""
        grant = h.grant
        if grant is None or not _may_start(h, unit.now):
            return None
        if p.require_approval and grant.used:
            return None
        if grant.executor is Executor.MEDIATED and p.executor is not Executor.MEDIATED:
            reason = f"approved to run through Handfast: run `handfast exec {grant.grant_id}`"
            return Stopped("deny", h.handoff_id, reason=reason)
        redeem = commands.Redeem(
            grant_id=grant.grant_id,
            start_id=StartId(new_id("start")),
            action_digest=p.digest,
            executor=p.executor,
            epoch=run.epoch,
            settle_within_s=self._kernel.settings.settle_within_s,
            run_id=run.run_id,
            step_id=step_id,
        )
        unit.record(Handoff, h.handoff_id, commands.redeem(h, redeem, unit.now))
        return Stopped("allow", h.handoff_id, grant.grant_id)

    def _hand_over(
        self,
        unit: Unit,
        run: Run,
        p: Proposal,
        judgement: Judgement,
        step_id: StepId,
        same: Sequence[Handoff],
    ) -> Stopped:
        if p.kind is not None and p.kind.preview and p.previews and p.previewed is None:
            return Stopped("preview", preview=p.kind.preview)
        handoff_id = new_id("ho")
        earlier = earlier_form(unit, run.open_steps.get(p.key), p.form, p.digest, same)
        if earlier is not None:
            self._overtake(unit, earlier, p, HandoffId(handoff_id))
        task = unit.find(Task, run.task_id) if run.task_id else None
        facts = with_kind(p.facts, p.kind)
        texts = operand_texts.kept(p.call, p.operand_texts)
        changed = changed_since(self._kernel, earlier, p.call, texts) if earlier else None
        package = replace(self._package(run, p, facts, judgement), changed=changed)
        open_handoff(
            self._audiences,
            unit,
            Opening(
                kind=HandoffKind.APPROVAL,
                risk=judgement.risk.value,
                package=package,
                action_digest=p.digest,
                agent_id=run.agent_id,
                within_s=self._kernel.settings.approval_within_s,
                run_id=run.run_id,
                task_id=run.task_id,
                step_id=step_id,
                action=unit.put_json(p.call.canonical()),
                executor=p.executor,
                rules=tuple(r.id for r in judgement.rules),
                policy_digest=judgement.policy_digest,
                brief_digest=task.brief_digest if task else "",
                requirement=at_most(judgement, facts),
                tool=p.call.tool,
                owners=owners_of(p.facts),
                form_digest=p.form,
                subagent=p.subagent[:200],
                operand_texts=unit.put_json(texts) if texts else None,
                editable=bool(edited_part(p.call.tool, p.call.arguments)),
            ),
            handoff_id=handoff_id,
        )
        return Stopped("wait", handoff_id)

    def _package(self, run: Run, p: Proposal, facts: Facts, judgement: Judgement) -> Package:
        known = ahead(p.preview, p.undo, p.kind, p.previewed)
        return replace(
            approval(facts, judgement, run, shown_call(p.call, p.shown), p.agent_says, known),
            contract=contract_of(p.kind),
            stated=stated_by(self._kernel, run, p.agent_says),
        )

    def _overtake(self, unit: Unit, h: Handoff, p: Proposal, by: HandoffId) -> None:
        """The call has another content now: what was asked or approved is stale."""
        step = unit.get(Run, p.run_id).open_steps.get(p.key)
        same_call = step is not None and step.handoff_id == h.handoff_id
        if not same_call and not goes_stale(h):
            return
        if h.grant is None or h.grant.action_digest != p.digest:
            unit.record(Handoff, h.handoff_id, commands.overtake(h, by, p.digest))


def owners_of(facts: Facts) -> tuple[tuple[str, ...], ...]:
    """The owners of each changed file, where they are known."""
    return tuple(change.owners for change in facts.changes)


def _for_calls_of(h: Handoff, run: Run) -> bool:
    """Not finished work, which we merge, and not an undo, which a person runs."""
    return h.kind is not HandoffKind.REVIEW and h.agent_id == run.agent_id


def _stands(h: Handoff) -> bool:
    """Whether it waits for an answer, or has one about the call as it was proposed."""
    return (h.waiting or h.status is Status.DECIDED) and not _edited_away(h)


def _may_start(h: Handoff, now: datetime) -> bool:
    """Whether its grant has a start left and time to take it. One that expired may not have been closed yet."""
    g = h.grant
    return g is not None and g.status is GrantStatus.MINTED and now < g.expires_at


def _edited_away(h: Handoff) -> bool:
    """Whether a person approved another form of the call that was proposed."""
    if h.decision is None:
        return False
    kind = h.decision.kind
    return kind is DecisionKind.APPROVE_WITH_EDITS or (
        bool(h.editor) and kind is DecisionKind.APPROVE
    )


def _only_edited(h: Handoff, action_digest: str) -> bool:
    """Whether a person approved another form of the call than this one."""
    return _edited_away(h) and (h.grant is None or h.grant.action_digest != action_digest)
