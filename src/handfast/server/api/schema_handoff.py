"""Requests and replies about handoffs, decisions, grants and reviews."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_rating import Part
from handfast.server.api.schema_changed import ApprovedOut, ChangedOut, DoubtOut
from handfast.server.api.schema_evidence import EvidenceOut, StatedOut
from handfast.server.api.schema_gate import CallIn, edited_text
from handfast.server.api.schema_grant import EffectOut, GrantOut, ScopeIn, ScopeOut
from handfast.server.api.schema_proof import Proof, Words
from handfast.server.api.schema_review import EditedFiles, ReviewedOut
from handfast.server.api.schema_routing import CheckpointNote, TakesOut
from handfast.server.api.schema_work import (
    Asked,
    AttemptOut,
    BriefOut,
    Digest,
    Reply,
    RunSummary,
)

StatusGroup = Literal["waiting", "decided", "closed", "all"]


class QuestionIn(Asked):
    """`blocking` false: the agent goes on meanwhile, so the question may wait for others."""

    question: Words
    blocking: bool = True


class DecisionIn(Proof):
    """`presented_digest` is the one of the handoff as it was shown.

    `edited_call` is the command as it should run, the content a file should get (for a Write or an Edit), or
    the call that holds it. Of finished work `edited_files` are all files that should be otherwise than the agent made
    them, whole. Where `package.unshown` names something, an approval takes `covers_unshown`: it is meant for that, too. Where policy asks more of the edited form than of the original, the answer is the handoff that was
    opened for it, which another person decides.
    """

    kind: DecisionKind
    presented_digest: Digest
    reason: Words = ""
    answer: Words = ""
    edited_call: Annotated[str, Field(max_length=100_000)] | CallIn | None = None
    edited_files: EditedFiles = ()
    covers_unshown: bool = False
    idempotency_key: Annotated[str, Field(max_length=200)] = ""
    scope: ScopeIn | None = None

    @property
    def edited(self) -> str:
        return edited_text(self.edited_call)


class CommentIn(Asked):
    text: Words


class RatingIn(Proof):
    """What who decided on it thought of the package."""

    good: bool
    lacks: Annotated[tuple[Part, ...], Field(max_length=len(Part))] = ()
    note: Annotated[str, Field(max_length=2_000)] = ""


class RatingOut(Reply):
    person_id: str
    by_name: str
    good: bool
    at: str
    lacks: list[str]
    note: str


class ViewedIn(Asked):
    ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0


class Holding(Reply):
    handoff_id: str
    holder: str = ""


class Noted(Reply):
    handoff_id: str


class DecisionOut(Reply):
    kind: str
    by: str
    by_name: str
    at: str
    auth: str
    reason: str
    answer: str
    presented_digest: str
    edited_digest: str
    edited_call: JsonValue = None
    by_machine: bool = False
    overridden: bool = False
    by_requester: bool = False
    edited_text: str = ""


class HandoffSummary(Reply):
    handoff_id: str
    kind: str
    status: str
    waiting: bool
    risk: str
    blocking: bool
    task_id: str
    run_id: str
    agent_id: str
    agent_name: str
    repository: str
    ask: str
    offered: list[str]
    rules: list[str]
    requested_at: str
    due_at: str
    holder: str
    holder_name: str
    outcome: str
    snoozed_until: str = ""
    frozen: bool = False
    need: str = ""
    decision: DecisionOut | None
    effect: EffectOut | None
    checkpoint: CheckpointNote | None = None


class HandoffPage(Reply):
    items: list[HandoffSummary]
    next: str


class WhatWillHappenOut(Reply):
    kind: str
    text: str
    details: list[str]
    hazards: list[str]
    opaque: list[str]
    reversible: bool | None
    preview: str = ""
    preview_about: str = ""
    undo: str = ""
    undo_about: str = ""
    effect: str = ""


class CostOut(Reply):
    cost_usd: str
    turns: int
    duration_ms: int
    tool_calls: int


class ContractOut(Reply):
    """What policy declares about this kind of action. Commands are lists of words."""

    kind: str
    undo: list[str]
    reconcile: list[str]
    idempotent: bool


class SinceOut(Reply):
    """An earlier form of this work that was sent back, and what differs since."""

    handoff_id: str
    head_commit: str
    decided_by: str
    decided_by_name: str = ""
    decided_at: str
    reason: str
    diff: str


class UnshownOut(Reply):
    """A file that is too large to be shown whole in `what_will_happen.text`."""

    path: str
    added: int
    removed: int


class PackageOut(Reply):
    """Drawn from recorded facts, but for `agent_says` and `stated`: those are the agent's words.

    `unshown` is what of the change is not in `what_will_happen.text`, or not whole; `GET …/changes` gives all of it,
    whose digest is `whole_digest`.
    """

    ask: str
    what_will_happen: WhatWillHappenOut
    why_now: str
    open_question: str
    state: str
    evidence: list[EvidenceOut]
    attempts: list[AttemptOut]
    cost: CostOut
    agent_says: str
    pointers: list[str]
    not_seen: list[str]
    review: ReviewedOut | None
    doubt: DoubtOut | None
    containment: str
    contract: ContractOut | None = None
    changed: ChangedOut | None = None
    incomplete: tuple[str, ...] = ()
    since: SinceOut | None = None
    stated: tuple[StatedOut, ...] = ()
    unshown: tuple[UnshownOut, ...] = ()
    whole_digest: str = ""


class TimelineOut(Reply):
    at: str
    type: str
    who: str
    who_type: str
    text: str


class HandoffOut(HandoffSummary):
    """Everything a reviewer needs to decide, and what became of it."""

    why_now: str
    action_digest: str
    presented_digest: str
    executor: str
    package: PackageOut
    grant: GrantOut | None
    may_give: ScopeOut | None = None
    about: str
    editor: str = ""
    edited_text: str = ""
    edited_into: str = ""
    successor: str = ""
    target_commit: str = ""
    missing: list[str]
    policy_digest: str
    brief_digest: str
    timeline: list[TimelineOut]
    ratings: tuple[RatingOut, ...] = ()
    action: JsonValue = None
    takes: TakesOut | None = None
    edited_call: JsonValue = None
    edited_by: str = ""
    approved: ApprovedOut | None = None
    brief: BriefOut | None = None
    run: RunSummary | None = None


class WaitOut(Reply):
    """`decided` is true once nothing is waited for any more: decided, expired or withdrawn."""

    decided: bool
    handoff: HandoffOut


class RevokeIn(Proof):
    reason: Annotated[str, Field(max_length=2_000)] = ""
