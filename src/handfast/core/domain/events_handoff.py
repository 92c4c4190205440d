"""Facts about a transfer of control: the handoff, its decision, its grant and its effect."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from handfast.core.domain.assertion import Assertion
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Span
from handfast.core.domain.ids import (
    AgentId,
    CheckpointId,
    GrantId,
    HandoffId,
    PersonId,
    RunId,
    StartId,
    StepId,
    TaskId,
)
from handfast.core.domain.requirement import Requirement


class HandoffKind(StrEnum):
    APPROVAL = "approval"
    REVIEW = "review"
    ESCALATION = "escalation"
    QUESTION = "question"
    DELEGATION = "delegation"
    TAKEOVER = "takeover"
    DOUBT = "doubt"


class DecisionKind(StrEnum):
    APPROVE = "approve"
    APPROVE_WITH_EDITS = "approve_with_edits"
    ANSWER = "answer"
    REQUEST_CHANGES = "request_changes"
    REJECT = "reject"
    TAKE_OVER = "take_over"


class Executor(StrEnum):
    """Who runs the approved action, and so how well its effect is known."""

    MEDIATED = "mediated"
    HOOKED = "hooked"
    NONE = "none"


class EffectOutcome(StrEnum):
    VERIFIED = "verified"
    REPORTED = "reported"
    UNKNOWN = "unknown"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class HandoffRequested:
    """`levels_s` is how long each asking lasts, in seconds; the last one expires it. `requested_by` started the run or
    delegated the task. `may_proceed`: low risk, reversible and fully read, so that `auto_proceed` may hold. `editor`
    wrote this form and does not approve it. `edited_text` is the content of an edited file change, of which the action
    holds a digest. `form_digest` is of the action without what it depends on, `operand_texts` what was kept of those
    files, by path. `files` are the texts of finished work that a reviewer may edit, with the facts that its policy
    saw; `whole` is the change, where not all of it is shown."""

    handoff_id: HandoffId
    kind: HandoffKind
    risk: str
    agent_id: AgentId
    action_digest: str
    presented_digest: str
    package: BodyRef
    ask: BodyRef
    offered: tuple[DecisionKind, ...]
    levels_s: tuple[int, ...]
    run_id: RunId = RunId("")
    task_id: TaskId = TaskId("")
    step_id: StepId = StepId("")
    action: BodyRef | None = None
    executor: Executor = Executor.NONE
    blocking: bool = True
    rules: tuple[str, ...] = ()
    policy_digest: str = ""
    brief_digest: str = ""
    about: HandoffId = HandoffId("")
    requirement: Requirement = Requirement()
    requested_by: tuple[PersonId, ...] = ()
    may_proceed: bool = False
    editor: PersonId = PersonId("")
    edited_text: BodyRef | None = None
    form_digest: str = ""
    subagent: str = ""
    files: BodyRef | None = None
    operand_texts: BodyRef | None = None
    whole: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class HandoffReturned:
    """The package lacks required parts; nobody was asked."""

    handoff_id: HandoffId
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HandoffRouted:
    """People were asked. `ends_at` is the whole deadline where it is later than `due_at`.

    `gathered`: asked together with others, and only those of `people` who are in `told` were told of it.
    """

    handoff_id: HandoffId
    level: int
    to: str
    due_at: datetime
    ends_at: datetime | None = None
    round: int = 0
    people: tuple[PersonId, ...] = ()
    checkpoint_id: CheckpointId = CheckpointId("")
    gathered: bool = False
    told: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True)
class HandoffRerouted:
    """A person asked somebody else. Who may decide it stays as it was."""

    handoff_id: HandoffId
    person_id: PersonId
    to: str
    due_at: datetime
    reason: BodyRef
    people: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelTimedOut:
    handoff_id: HandoffId
    level: int


@dataclass(frozen=True, slots=True)
class HandoffAcknowledged:
    handoff_id: HandoffId
    person_id: PersonId


@dataclass(frozen=True, slots=True)
class HandoffReleased:
    handoff_id: HandoffId
    person_id: PersonId


@dataclass(frozen=True, slots=True)
class HandoffSnoozed:
    """Hidden from its holder's inbox until then. Deadlines go on."""

    handoff_id: HandoffId
    person_id: PersonId
    until: datetime


@dataclass(frozen=True, slots=True)
class HandoffFrozen:
    """Nothing of it is due and nothing may be decided or started until it is thawed."""

    handoff_id: HandoffId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandoffThawed:
    """Its deadlines move by the time it was frozen."""

    handoff_id: HandoffId


@dataclass(frozen=True, slots=True)
class HandoffViewed:
    handoff_id: HandoffId
    person_id: PersonId
    presented_digest: str
    dwell_ms: int = 0


@dataclass(frozen=True, slots=True)
class HandoffCommented:
    handoff_id: HandoffId
    text: BodyRef


@dataclass(frozen=True, slots=True)
class HandoffVoted:
    """One person's approval, when it takes more. `clauses` are the indexes it counts for."""

    handoff_id: HandoffId
    person_id: PersonId
    clauses: tuple[int, ...]
    presented_digest: str
    auth: str
    reason: BodyRef | None = None
    assertion: Assertion | None = None


@dataclass(frozen=True, slots=True)
class HandoffUnvoted:
    """Taken back by its person, `why` is ''; else it ended because they could not give it any more."""

    handoff_id: HandoffId
    person_id: PersonId
    why: str = ""


@dataclass(frozen=True, slots=True)
class HandoffEdited:
    """Another form of the action is put to the others. Approvals of the earlier form do not carry over."""

    handoff_id: HandoffId
    person_id: PersonId
    edited_action: BodyRef
    edited_digest: str
    presented_digest: str
    auth: str
    reason: BodyRef | None = None
    edited_text: BodyRef | None = None
    edited_rules: tuple[str, ...] = ()
    assertion: Assertion | None = None


@dataclass(frozen=True, slots=True)
class HandoffOverridden:
    """One person approved in place of all that it takes. Another one must review that."""

    handoff_id: HandoffId
    person_id: PersonId
    presented_digest: str
    auth: str
    reason: BodyRef


@dataclass(frozen=True, slots=True)
class HandoffAutoProceeded:
    """Nobody answered, and the policy lets what is low risk and reversible go on. No person decided."""

    handoff_id: HandoffId
    rules: tuple[str, ...] = ()
    policy_digest: str = ""


@dataclass(frozen=True, slots=True)
class HandoffDecided:
    """Ends the question. `edited_*` is set by approve_with_edits, `answer` by answer. `clauses` are the
    indexes an approval counts for, where earlier votes were needed."""

    handoff_id: HandoffId
    decision: DecisionKind
    person_id: PersonId
    presented_digest: str
    auth: str
    reason: BodyRef | None = None
    edited_action: BodyRef | None = None
    edited_digest: str = ""
    edited_rules: tuple[str, ...] = ()
    answer: str = ""
    clauses: tuple[int, ...] = ()
    edited_text: BodyRef | None = None
    assertion: Assertion | None = None


@dataclass(frozen=True, slots=True)
class GrantMinted:
    """Permission to start the action with `action_digest`, `uses` times and one at a time."""

    handoff_id: HandoffId
    grant_id: GrantId
    action_digest: str
    agent_id: AgentId
    run_id: RunId
    executor: Executor
    expires_at: datetime
    uses: int = 1
    span: Span = Span.RUN


@dataclass(frozen=True, slots=True)
class GrantRedeemed:
    """Start `use` of the `of` that a grant permits. Without an effect by `settle_by` it becomes unknown.

    `run_id` and `step_id` name the call of an agent's own tool that took it.
    """

    handoff_id: HandoffId
    grant_id: GrantId
    start_id: StartId
    executor: Executor
    action_digest: str
    epoch: int
    settle_by: datetime
    use: int = 1
    of: int = 1
    run_id: RunId = RunId("")
    step_id: StepId = StepId("")


@dataclass(frozen=True, slots=True)
class GrantRefused:
    """Somebody tried to use a grant and was refused; nothing ran."""

    handoff_id: HandoffId
    grant_id: GrantId
    reason: str
    attempted_digest: str = ""


@dataclass(frozen=True, slots=True)
class GrantExpired:
    handoff_id: HandoffId
    grant_id: GrantId


@dataclass(frozen=True, slots=True)
class GrantRevoked:
    """A person took back the starts that were left."""

    handoff_id: HandoffId
    grant_id: GrantId
    person_id: PersonId
    reason: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class GrantReopened:
    """A start of it was in doubt, and the doubt is settled: the starts that are left may be taken."""

    handoff_id: HandoffId
    grant_id: GrantId
    doubt: HandoffId


@dataclass(frozen=True, slots=True)
class HandoffCarriedOver:
    """A person's approval holds for `action_digest` too: the target moved, provably without touching what was
    approved. The patch ids are those of the merge onto the old and the new target."""

    handoff_id: HandoffId
    grant_id: GrantId
    kind: str
    commit: str
    old_target: str
    new_target: str
    action_digest: str
    old_patch_id: str = ""
    new_patch_id: str = ""


@dataclass(frozen=True, slots=True)
class EffectRecorded:
    handoff_id: HandoffId
    grant_id: GrantId
    start_id: StartId
    outcome: EffectOutcome
    executed_digest: str = ""
    exit_code: int | None = None
    output: BodyRef | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class HandoffClosed:
    """`by` took its place where it is `stale`."""

    handoff_id: HandoffId
    outcome: str
    by: HandoffId = HandoffId("")


@dataclass(frozen=True, slots=True)
class HandoffSuperseded:
    """`why` is `edited` when a reviewer's edit took its place, '' when the action itself changed."""

    handoff_id: HandoffId
    by: HandoffId
    why: str = ""


@dataclass(frozen=True, slots=True)
class HandoffWithdrawn:
    handoff_id: HandoffId
    reason: str


@dataclass(frozen=True, slots=True)
class HandoffExpired:
    """Nobody answered. `outcome` says what that means when it is more than an end."""

    handoff_id: HandoffId
    level: int
    outcome: str = ""
