"""Approve with edits: the edited action is read and judged as if it had been proposed like that.

Where policy asks no more of it than of the original, the edit counts as the rules of a vote say: see
`core.domain.handoff_votes`. Where it asks more, it opens a handoff of its own, which somebody else decides.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from handfast.core.domain.action import Call, Effect, Facts, Judgement, Verdict
from handfast.core.domain.codec import decode
from handfast.core.domain.errors import StaleDecision, UsageError
from handfast.core.domain.events_handoff import (
    HandoffCommented,
    HandoffKind,
    HandoffSuperseded,
)
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import HandoffId, PersonId
from handfast.core.domain.package import ShowKind
from handfast.core.domain.run import Run
from handfast.core.policy.editing import CONTENT, MAX_CONTENT, asks_more, edited_part
from handfast.engine.audiences import About, Audiences
from handfast.engine.gating import owners_of
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.opening import Opening, at_most, open_handoff
from handfast.engine.packages import Shown, approval, shown_call
from handfast.engine.policies import Policies
from handfast.engine.preview import ahead, contract_of, with_kind
from handfast.engine.reading import ReadCall


@dataclass(frozen=True, slots=True)
class Edited:
    """The call as it should run. `text` is what the agent has to be given: the canonical form of a file
    change holds digests only; '' for a command."""

    call: Call
    facts: Facts
    judgement: Judgement
    text: str = ""


class Edits:
    """Works inside a unit of work: whatever it decides commits with the decision."""

    def __init__(self, audiences: Audiences, policies: Policies, read_call: ReadCall) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._policies = policies
        self._read_call = read_call

    def read(self, unit: Unit, handoff: Handoff, text: str) -> Edited:
        """The form that is put to a vote now, edited, and judged by policy. What policy denies cannot be
        edited in.

        Raises UsageError (`edit_denied` where policy refuses it), StaleDecision when the action was erased.
        """
        if handoff.action is None:
            raise UsageError("this handoff has no action that could be edited")
        original = self.current_call(handoff)
        if not text.strip():
            raise UsageError("`edited_call` is empty", hint="Send the call as it should run.")
        run = unit.get(Run, handoff.run_id)
        call, facts = self._changed(original, text, run)
        if call.digest == original.digest:
            raise UsageError(
                "the edited call is the same as the original", hint="Approve it instead."
            )
        judgement = self._policies.judge(
            unit, run, call, facts, executor=handoff.executor.value, subagent=handoff.subagent
        )
        if judgement.verdict is Verdict.DENY:
            why = " ".join(r.why for r in judgement.rules)
            raise UsageError(f"policy denies the edited call: {why}", code="edit_denied")
        return Edited(call, facts, judgement, text if original.tool in CONTENT else "")

    def _changed(self, original: Call, text: str, run: Run) -> tuple[Call, Facts]:
        part = edited_part(original.tool, original.arguments)
        if part == "command":
            return self._read_call(original.tool, {"command": text.strip()}, run, original.cwd)
        if not part:
            raise UsageError(
                f"a `{original.tool}` call cannot be edited here",
                hint="Request changes, and say what should be different.",
            )
        if len(text) > MAX_CONTENT:
            raise UsageError(f"`edited_call` is longer than {MAX_CONTENT:,} characters")
        given: Mapping[str, object] = {"old_string": "", **original.arguments, part: text}
        call, facts = self._read_call(original.tool, given, run, original.cwd)
        # The text that is replaced stays the one of the original: its digest is taken over, not made again.
        kept = {
            name: value
            for name, value in original.arguments.items()
            if name not in (part, "file_path")
        }
        return replace(call, arguments={**call.arguments, **kept}), facts

    def asks_more(self, unit: Unit, handoff: Handoff, edited: Edited) -> bool:
        return policy_asks_more(self._audiences, unit, handoff, edited, HandoffKind.APPROVAL)

    def hand_on(
        self, unit: Unit, handoff: Handoff, edited: Edited, editor: PersonId, reason: str
    ) -> Handoff:
        """Open a handoff for the edited action, with its own requirement; the old one is superseded by it.

        Whoever edited an earlier form of it stays apart from it, too.
        """
        new = superseded_by_edit(unit, handoff)
        run = unit.get(Run, handoff.run_id)
        kind = self._policies.kind(unit, run, edited.call, edited.facts)
        judgement, facts = edited.judgement, with_kind(edited.facts, kind)
        shown = shown_call(edited.call, Shown(ShowKind.TEXT, edited.text) if edited.text else None)
        package = approval(facts, judgement, run, shown, "", ahead("", "", kind, None))
        why = f"A reviewer edited the call, and policy asks more of it so. {package.why_now}"
        opened = open_handoff(
            self._audiences,
            unit,
            Opening(
                kind=HandoffKind.APPROVAL,
                risk=judgement.risk.value,
                package=replace(package, why_now=why, contract=contract_of(kind)),
                action_digest=edited.call.digest,
                agent_id=handoff.agent_id,
                within_s=self._kernel.settings.approval_within_s,
                run_id=handoff.run_id,
                task_id=handoff.task_id,
                step_id=handoff.step_id,
                action=unit.put_json(edited.call.canonical()),
                executor=handoff.executor,
                rules=tuple(r.id for r in judgement.rules),
                policy_digest=judgement.policy_digest,
                brief_digest=handoff.brief_digest,
                about=handoff.handoff_id,
                requirement=at_most(judgement, facts),
                tool=edited.call.tool,
                owners=owners_of(facts),
                apart=tuple(p for p in handoff.editors if p != editor),
                editor=editor,
                subagent=handoff.subagent,
                edited_text=unit.put(edited.text) if edited.text else None,
            ),
            handoff_id=new,
        )
        keep_reason(unit, new, reason)
        return opened

    def judged_now(self, unit: Unit, run: Run, handoff: Handoff) -> Judgement | None:
        """What the policy in force says of an approved call; None while it is the one it was asked under.

        What is not a command cannot be read again: rules about its tool and arguments are asked of it.
        """
        if self._policies.in_force(unit, run.root).digest == handoff.policy_digest:
            return None
        edited = handoff.decision.edited_action if handoff.decision else None
        call = self.call_in(edited.body_id) if edited else self.action_of(handoff)
        facts = Facts(Effect.EXEC, call.tool[:200])
        if isinstance(command := call.arguments.get("command"), str):
            _, facts = self._read_call(call.tool, {"command": command}, run, call.cwd)
        executor = handoff.executor.value
        return self._policies.judge(
            unit, run, call, facts, executor=executor, subagent=handoff.subagent
        )

    def current_call(self, handoff: Handoff) -> Call:
        """The call as it is put to a vote now: edited, where somebody edited it."""
        edit = handoff.edit
        return self.call_in(edit.action.body_id) if edit else self.action_of(handoff)

    def action_of(self, handoff: Handoff) -> Call:
        """The exact call that the handoff is about. Raises StaleDecision when it was erased."""
        if handoff.action is None:
            raise UsageError(f"handoff `{handoff.handoff_id}` has no action")
        return self.call_in(handoff.action.body_id)

    def call_in(self, body_id: str) -> Call:
        """The exact call that was recorded. Raises StaleDecision when it was erased."""
        content = self._kernel.vault.open(body_id)
        if content.erased:
            raise StaleDecision("the action was erased; nobody can approve what cannot be read")
        return decode(Call, cast("dict[str, object]", json.loads(content.data)))


def policy_asks_more(
    audiences: Audiences,
    unit: Unit,
    handoff: Handoff,
    edited: Edited,
    kind: HandoffKind,
    tool: str = "",
) -> bool:
    """Whether policy asks more of the edited form than of what was put to people. Raises as `resolve` does."""
    judged = edited.judgement
    about = About(
        kind=kind,
        risk=judged.risk.value,
        run_id=handoff.run_id,
        task_id=handoff.task_id,
        tool=tool,
        owners=owners_of(edited.facts),
    )
    takes = audiences.resolve(unit, about, judged.requirement).requirement
    return asks_more(handoff.risk, handoff.requirement, judged, takes)


def superseded_by_edit(unit: Unit, handoff: Handoff) -> HandoffId:
    """The id of the handoff that takes the place of an edited one."""
    new = HandoffId(new_id("ho"))
    superseded = HandoffSuperseded(handoff.handoff_id, new, why="edited")
    unit.record(Handoff, handoff.handoff_id, [superseded])
    return new


def keep_reason(unit: Unit, new: HandoffId, reason: str) -> None:
    """The editor's words, for those who decide the edited form."""
    if reason.strip():
        unit.record(Handoff, new, [HandoffCommented(new, unit.put(reason.strip()))])
