"""A take-over of a run, as the run's JSON shows it."""

from pydantic import BaseModel, ConfigDict, JsonValue


class TakeoverOut(BaseModel):
    """One take-over. `handed_over_at` is '' until the worktree is the person's, `handed_back_at` until they
    gave it back; `told` says whether the agent, or the review of its work, knows."""

    model_config = ConfigDict(extra="ignore")

    by: str
    by_name: str
    at: str
    reason: str = ""
    handoff_id: str = ""
    handed_over_at: str = ""
    host: str = ""
    from_head: str = ""
    from_commit: str = ""
    found: dict[str, JsonValue] = {}
    handed_back_at: str = ""
    handed_back_by: str = ""
    note: str = ""
    then: str = ""
    recorded: bool = False
    to_head: str = ""
    to_commit: str = ""
    changed: int = 0
    work_digest: str = ""
    work: dict[str, JsonValue] = {}
    told: bool = False
