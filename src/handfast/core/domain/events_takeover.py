"""Facts about a person who takes a run over, works in its worktree, and hands it back."""

from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import HandoffId, PersonId, RunId, RunnerId


class Following(StrEnum):
    """What happens after a hand-back: the agent goes on, its work is reviewed as it is, or the run ends."""

    RESUME = "resume"
    REVIEW = "review"
    END = "end"


@dataclass(frozen=True, slots=True)
class RunTakenOver:
    """From here on the agent may do nothing. `handoff_id` is the decision that said so, where one did."""

    run_id: RunId
    by: PersonId
    reason: BodyRef | None = None
    handoff_id: HandoffId = HandoffId("")


@dataclass(frozen=True, slots=True)
class RunHandedOver:
    """The agent is gone and the person has the worktree, as `snapshot_commit` holds it. `found` is JSON: what
    was running, what was not committed. `seat` as in AgentStarted."""

    run_id: RunId
    epoch: int
    host: str
    worktree: str
    branch: str
    head_commit: str
    snapshot_ref: str
    snapshot_commit: str
    found: BodyRef | None = None
    session: BodyRef | None = None
    seat: RunnerId = RunnerId("")


@dataclass(frozen=True, slots=True)
class RunHandedBack:
    run_id: RunId
    by: PersonId
    following: Following = Following.RESUME
    note: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class PersonsWorkRecorded:
    """What changed while a person held the run, told by git: from `from_commit` to `snapshot_commit`. `work` is
    JSON: commits, files with their counts, the diff. `changed` is the number of files."""

    run_id: RunId
    epoch: int
    from_commit: str
    head_commit: str
    snapshot_ref: str
    snapshot_commit: str
    changed: int = 0
    work: BodyRef | None = None
    seat: RunnerId = RunnerId("")
