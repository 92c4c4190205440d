"""Carry-over: a person's approval of a merge holds on for a target that moved, where policy says so and git proves it."""

from dataclasses import dataclass, replace
from typing import cast

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Call
from handfast.core.domain.codec import decode
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import HandoffCarriedOver, HandoffKind
from handfast.core.domain.handoff import GrantStatus, Handoff
from handfast.core.domain.handoff_votes import APPROVING
from handfast.core.domain.ids import HandoffId
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.core.policy.carrying import CarryOver
from handfast.engine.audiences import Audiences
from handfast.engine.effects import open_package
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.policies import Policies
from handfast.engine.reviews import merge_call

BY_A_PERSON = ("browser", "pin")


@dataclass(frozen=True, slots=True)
class Proof:
    """What the runner found: see `runner.carry`."""

    kind: str
    commit: str
    old_target: str
    new_target: str
    old_patch_id: str = ""
    new_patch_id: str = ""


class Carrying:
    """All calls are atomic."""

    def __init__(self, audiences: Audiences, policies: Policies) -> None:
        self._kernel: Kernel = audiences.kernel
        self._policies = policies

    def carry(self, actor: Actor, handoff_id: str, proof: Proof | None, attempted: str) -> Result:
        """Bind the unused grant of an approved review to the target as it is now, or close it as stale.

        Without a proof, or where policy in force, the decision or the proof does not allow it, the grant ends:
        nothing can be merged on it. Result: carried, action_digest, why. Idempotent for the same target.
        """
        return self._kernel.run(actor, lambda unit: self._carry(unit, handoff_id, proof, attempted))

    def _carry(self, unit: Unit, handoff_id: str, proof: Proof | None, attempted: str) -> Result:
        h = unit.get(Handoff, handoff_id)
        why = self._why_not(unit, h, proof)
        if proof is None or why or h.grant is None:
            if not h.waiting:
                unit.record(Handoff, handoff_id, commands.overtake(h, HandoffId(""), attempted))
            return {"handoff_id": handoff_id, "carried": False, "action_digest": "", "why": why}
        task = unit.get(Task, h.task_id)
        call = merge_call(task.repository, task.target_branch, proof.commit, proof.new_target)
        if (edited := self._edited(h)) is not None:
            call = replace(edited, arguments={**edited.arguments, **call.arguments})
        if call.digest != h.grant.action_digest:
            event = HandoffCarriedOver(
                handoff_id=h.handoff_id,
                grant_id=h.grant.grant_id,
                kind=proof.kind,
                commit=proof.commit,
                old_target=proof.old_target,
                new_target=proof.new_target,
                action_digest=call.digest,
                old_patch_id=proof.old_patch_id,
                new_patch_id=proof.new_patch_id,
            )
            unit.record(Handoff, handoff_id, [event])
        return {
            "handoff_id": handoff_id,
            "carried": True,
            "action_digest": call.digest,
            "why": "",
        }

    def _edited(self, h: Handoff) -> Call | None:
        """The merge as a reviewer edited it: the edit goes with it, as it is."""
        ref = (h.decision.edited_action if h.decision else None) or (h.action if h.editor else None)
        found = self._kernel.vault.json(ref)
        return decode(Call, cast("dict[str, object]", found)) if found else None

    def _why_not(self, unit: Unit, h: Handoff, proof: Proof | None) -> str:
        """'' when it may be carried over."""
        if h.kind is not HandoffKind.REVIEW or h.grant is None:
            return "it is no approved work"
        if h.grant.status is not GrantStatus.MINTED or unit.now >= h.grant.expires_at:
            return "its permission is used up or expired"
        decision = h.decision
        if decision is None or decision.kind not in APPROVING:
            return "nobody approved it"
        if decision.auth not in BY_A_PERSON:
            return "no person approved it"
        if decision.overridden:
            return "it was approved in an emergency, for exactly what was seen"
        if proof is None:
            return "the change of the target touches what was approved, or cannot be told from it"
        work = open_package(self._kernel, h).review
        seen = h.target_commit or (work.target_commit if work else "")
        if work is None or work.head_commit != proof.commit or seen != proof.old_target:
            return "the proof is about other commits"
        if proof.kind == CarryOver.TRIVIAL_REBASE and (
            not proof.old_patch_id or proof.old_patch_id != proof.new_patch_id
        ):
            return "the patches differ"
        run = unit.get(Run, h.run_id)
        if proof.kind not in self._policies.in_force(unit, run.root).carry_over:
            return f"the policy in force does not carry over `{proof.kind}`"
        return ""
