"""Approve finished work with edits: the merge with the reviewer's edit on top is judged as the work itself was.

Where policy asks no more of it, the edit counts as the rules of a vote say: see `core.domain.handoff_votes`. Where
it asks more, it opens a review of its own, which somebody else decides.
"""

from collections.abc import Mapping
from dataclasses import replace

from handfast.core.domain.action import Call, Judgement, Verdict
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events_handoff import Executor, HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.inert import inert
from handfast.core.domain.package import ReviewedWork
from handfast.core.domain.person import Person
from handfast.core.domain.reviewed_files import (
    MAX_EDIT_BYTES,
    FileEdit,
    ReviewedFile,
    check_text,
    edited_merge,
    text_digest,
)
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.engine.audiences import Audiences
from handfast.engine.edits import (
    Edited,
    Edits,
    keep_reason,
    policy_asks_more,
    superseded_by_edit,
)
from handfast.engine.effects import open_package
from handfast.engine.gating import owners_of
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.opening import Opening, at_most, open_handoff
from handfast.engine.packages import ReviewFacts
from handfast.engine.policies import Policies
from handfast.engine.review_files import KeptFiles, kept_files
from handfast.engine.reviews import MERGE_TOOL, judged_merge, merge_facts, merge_risk
from handfast.engine.tasks import Tasks
from handfast.observe.secrets import redact
from handfast.observe.text_diff import changed_counts


class ReviewEdits:
    """Works inside a unit of work: whatever it decides commits with the decision."""

    def __init__(
        self, audiences: Audiences, policies: Policies, tasks: Tasks, edits: Edits
    ) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._policies = policies
        self._tasks = tasks
        self._edits = edits

    def read(
        self, unit: Unit, handoff: Handoff, texts: Mapping[str, str], person: Person
    ) -> Edited:
        """The merge as it would be with these texts in place of the agent's, judged by policy. `texts` is all of the
        edit: what an earlier reviewer changed is not part of it unless it is said again.

        Raises UsageError (`edit_refused` for a file that cannot be edited, `edit_denied` where policy refuses it),
        StaleDecision when the files were erased.
        """
        kept = kept_files(self._kernel, handoff)
        changed = _changed(kept, texts)
        work = open_package(self._kernel, handoff).review
        if work is None or not work.tree:
            raise UsageError(f"handoff `{handoff.handoff_id}` is no finished work")
        edits = [
            FileEdit(file.path, file.mode, text_digest(file.new), text_digest(text))
            for file, text in changed
        ]
        name = inert(self._kernel.vault.text(person.name), 100, multiline=False)
        call = edited_merge(self._edits.action_of(handoff), work.tree, edits, name)
        if call.digest == self._edits.current_call(handoff).digest:
            raise UsageError("the edit is the one that is put to a vote", hint="Approve it.")
        facts = _facts(work, kept, changed)
        judged = self._judged(unit, handoff, call, facts)
        if judged.verdict is Verdict.DENY:
            why = " ".join(r.why for r in judged.rules)
            raise UsageError(f"policy denies the edited work: {why}", code="edit_denied")
        text = canonical_json({file.path: text for file, text in changed}).decode()
        return Edited(call, merge_facts(facts), judged, text)

    def _judged(self, unit: Unit, handoff: Handoff, call: Call, facts: ReviewFacts) -> Judgement:
        """Finished work is always reviewed, so what no rule stops still takes a person."""
        run, task = unit.get(Run, handoff.run_id), unit.get(Task, handoff.task_id)
        policy = self._policies.in_force(unit, task.repository)
        judged = judged_merge(unit, run, call, facts, policy)
        risk = merge_risk(facts, self._tasks.brief(task).risk, judged.risk)
        gate = Verdict.GATE if judged.verdict is Verdict.ALLOW else judged.verdict
        return replace(judged, verdict=gate, risk=risk)

    def asks_more(self, unit: Unit, handoff: Handoff, edited: Edited) -> bool:
        kind = HandoffKind.REVIEW
        return policy_asks_more(self._audiences, unit, handoff, edited, kind, MERGE_TOOL)

    def hand_on(
        self, unit: Unit, handoff: Handoff, edited: Edited, editor: PersonId, reason: str
    ) -> Handoff:
        """Open a review of the edited work, with its own requirement; the old one is superseded by it.

        Whoever edited an earlier form of it stays apart from it, too.
        """
        new, judged = superseded_by_edit(unit, handoff), edited.judgement
        package = open_package(self._kernel, handoff)
        why = f"A reviewer edited this work, and policy asks more of it so. {package.why_now}"
        rules = tuple(r for r in judged.rules if r.verdict is not Verdict.ALLOW)
        stopped = [f"{r.why.rstrip('.')} (rule `{r.id}`)." for r in rules]
        apart = (*handoff.requested_by, *handoff.editors)
        opened = open_handoff(
            self._audiences,
            unit,
            Opening(
                kind=HandoffKind.REVIEW,
                risk=judged.risk.value,
                package=replace(package, why_now=" ".join((why, *stopped))),
                action_digest=edited.call.digest,
                agent_id=handoff.agent_id,
                within_s=self._kernel.settings.review_within_s,
                run_id=handoff.run_id,
                task_id=handoff.task_id,
                action=unit.put_json(edited.call.canonical()),
                executor=Executor.MEDIATED,
                rules=tuple(r.id for r in rules),
                policy_digest=judged.policy_digest,
                brief_digest=handoff.brief_digest,
                requirement=at_most(judged, edited.facts),
                tool=MERGE_TOOL,
                owners=owners_of(edited.facts),
                apart=tuple({p: None for p in apart if p != editor}),
                editor=editor,
                edited_text=unit.put(edited.text),
                files=handoff.files,
                whole=handoff.whole,
            ),
            handoff_id=new,
        )
        keep_reason(unit, new, reason)
        return opened


def _changed(kept: KeptFiles, texts: Mapping[str, str]) -> list[tuple[ReviewedFile, str]]:
    """The files that are not as the agent made them. Raises UsageError."""
    if not texts:
        raise UsageError("`edited_files` is empty", hint="Send the files as they should be.")
    known = {file.path: file for file in kept.files}
    for path, text in texts.items():
        if path not in known:
            raise UsageError(
                f"`{inert(path, 300, multiline=False)}` is no file of this change that can be edited",
                code="edit_refused",
                hint="No new files: edit one of those that the case lists, or request changes.",
            )
        check_text(path, text)
    if sum(len(text.encode()) for text in texts.values()) > MAX_EDIT_BYTES:
        raise UsageError(f"the edited files are larger than {MAX_EDIT_BYTES:,} bytes together")
    changed = [(known[path], text) for path, text in texts.items() if known[path].new != text]
    if not changed:
        raise UsageError(
            "the edited files are as the agent made them", hint="Approve the work instead."
        )
    return changed


def _facts(
    work: ReviewedWork, kept: KeptFiles, changed: list[tuple[ReviewedFile, str]]
) -> ReviewFacts:
    """What the policy gets to see of the edited work: of the same files, counted again."""
    now = {file.path: (file, text) for file, text in changed}
    changes = tuple(
        _counted(change, *now[change.path]) if change.path in now else change
        for change in kept.changes
    )
    hazards = kept.hazards
    if "secret.access" not in hazards and any(redact(text)[1] for _, text in changed):
        hazards = (*hazards, "secret.access")
    return ReviewFacts(work, "", changes=changes, hazards=hazards)


def _counted(change: ChangedFile, file: ReviewedFile, text: str) -> ChangedFile:
    added, deleted = changed_counts(file.old, text)
    return replace(change, added=added, deleted=deleted)
