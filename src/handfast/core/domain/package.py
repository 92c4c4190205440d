"""The context package: what the receiver of control gets.

Everything in it is drawn from recorded facts, but for `agent_says` and `stated`, which are the agent's words
and are labelled so wherever they are shown.
"""

from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.reviewed_files import EditableFile, LeftOut


class ShowKind(StrEnum):
    COMMAND = "command"
    DIFF = "diff"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class WhatWillHappen:
    """`text` is the exact command, diff or text; `details` are our sentences about it.

    `preview` is what a dry run printed, `preview_about` our line on where that came from and how it ended
    (a preview that was not run has only this line). `undo` is what a person can run to take it back; `undo_about`
    says who declared it. Both texts are bounded and hold no known secret. `effect` is the kind of call; packages
    written before it was kept have none.
    """

    kind: ShowKind
    text: str
    details: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    reversible: bool | None = None
    preview: str = ""
    preview_about: str = ""
    undo: str = ""
    undo_about: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Unshown:
    """A file that `text` of `WhatWillHappen` does not hold whole, because it is too large to be shown at once."""

    path: str
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A claim and the recorded step behind it: see `core.domain.claims`.

    `status`: `recorded` (the step shows it), `failed` (the step shows the opposite), `outdated` (files changed
    after the step), else `unverified`. `said_by` is `brief` for a criterion, `agent` for what the agent claims,
    '' for our own. `at` is when the step was called. `changed_by_this` are files of this very change that
    decide what the step shows: the tests it ran and what steers them.
    """

    claim: str
    status: str = "unverified"
    step_id: str = ""
    result: str = ""
    said_by: str = ""
    command: str = ""
    exit_code: int | None = None
    at: str = ""
    changed_by_this: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stated:
    """A claim in the agent's own words. `confidence` is its number from 0 to 1 as text, '' for none; `basis` what it
    rests the claim on. `step_id`, `command` and `exit_code` are of the recorded step that the basis names, where
    there is one. It decides nothing and orders nothing."""

    claim: str
    confidence: str = ""
    basis: str = ""
    step_id: str = ""
    command: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """`run_id` and `at` say which run tried it, and when it was turned down; '' for a call of the run itself."""

    tried: str
    outcome: str
    why: str = ""
    run_id: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    cost_usd: str = "0"
    turns: int = 0
    duration_ms: int = 0
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    commit: str
    subject: str


@dataclass(frozen=True, slots=True)
class CommandRun:
    """A recorded command of the run. `exit_code` is None where no result was reported."""

    command: str
    exit_code: int | None = None
    duration_ms: int = 0
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """What a person wrote while they held the run. `files` are as they left them; what is in `changed_since` was
    changed again after that. The rest of the work is the agent's."""

    person_id: str
    commits: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    changed_since: tuple[str, ...] = ()


FINISHED = "The agent says it has finished. Finished work is always reviewed."


@dataclass(frozen=True, slots=True)
class ReviewedWork:
    """Finished work: exactly `head_commit` is what approval merges into `target_branch`.

    `target_commit` is where that branch stood when the work was handed over. `tree` is that of the head, `editable`
    the files a reviewer may edit, `left_out` the changed ones they may not. `intent` is what its brief wants.
    """

    base_commit: str
    head_commit: str
    target_branch: str
    commits: tuple[Commit, ...] = ()
    commands: tuple[CommandRun, ...] = ()
    files: tuple[str, ...] = ()
    outside_scope: tuple[str, ...] = ()
    powerful: tuple[str, ...] = ()
    symlinks: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()
    mode_changes: tuple[str, ...] = ()
    target_commit: str = ""
    parts: tuple[WrittenPart, ...] = ()
    tree: str = ""
    editable: tuple[EditableFile, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    intent: str = ""


@dataclass(frozen=True, slots=True)
class DoubtFacts:
    started_at: str
    start_id: str
    how_to_check: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """What policy declares about this kind of action: commands as lists of words, never run by a shell.

    `undo` a person may run afterwards. `reconcile` answers whether it ran: exit 0 yes, 1 no.
    """

    kind: str
    undo: tuple[str, ...] = ()
    reconcile: tuple[str, ...] = ()
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class ChangedOperand:
    """A thing the action depends on, with its digests; '' where it was no operand. `diff` leads from the one text to
    the other, where both were kept."""

    path: str
    before: str
    after: str
    diff: str = ""


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """An earlier form of this action. `before` is its text where the words differ, `moved` its folder where that
    does; `operands` are those that are not the same any more."""

    handoff_id: str
    approved: bool = False
    decided_by: str = ""
    decided_at: str = ""
    before: str = ""
    before_digest: str = ""
    operands: tuple[ChangedOperand, ...] = ()
    moved: str = ""


@dataclass(frozen=True, slots=True)
class SinceReview:
    """An earlier form of this work that somebody sent back: `diff` leads from its `head_commit` to this one."""

    handoff_id: str
    head_commit: str
    decided_by: str
    decided_at: str
    reason: str
    diff: str


@dataclass(frozen=True, slots=True)
class Package:
    """`incomplete` names what is missing where it was handed over all the same. `unshown` is what of the change is
    not shown with it, and `whole_digest` of all of it: the whole is kept beside the package."""

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
    review: ReviewedWork | None = None
    doubt: DoubtFacts | None = None
    containment: str = ""
    contract: Contract | None = None
    changed: ChangedSince | None = None
    incomplete: tuple[str, ...] = ()
    since: SinceReview | None = None
    stated: tuple[Stated, ...] = ()
    unshown: tuple[Unshown, ...] = ()
    whole_digest: str = ""
