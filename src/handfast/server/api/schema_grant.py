"""Requests and replies about grants: how far they reach, their starts and effects."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, JsonValue

from handfast.core.domain.errors import UsageError
from handfast.core.domain.events_handoff import EffectOutcome, Executor
from handfast.core.domain.grant_scope import MAX_TIMES, Span, Wanted
from handfast.server.api.schema_work import Asked, Digest, Epoch, Id, Reply


class ScopeIn(Asked):
    """How far an approval reaches; each part is the least that is wanted of what the rule allows.

    `times` 0 takes the most starts the rule allows. `until` is an absolute time, `within_s` one from now.
    """

    times: Annotated[int, Field(ge=0, le=MAX_TIMES)] = 0
    span: Span | None = None
    within_s: Annotated[int, Field(ge=0, le=31_536_000)] = 0
    until: AwareDatetime | None = None

    def wanted(self, now: datetime) -> Wanted:
        """Raises UsageError for a time that has passed."""
        within = self.within_s
        if self.until is not None:
            left = int((self.until - now).total_seconds())
            if left < 1:
                raise UsageError("`scope.until` has passed", details={"field": "scope"})
            within = min(within, left) if within else left
        sent = f"{self.within_s} until {self.until}" if self.until is not None else ""
        return Wanted(self.times, self.span, within, sent)


class EffectOut(Reply):
    outcome: str
    exit_code: int | None
    output_body_id: str
    output: str
    executed_digest: str
    note: str
    at: str
    use: int = 1


class GrantOut(Reply):
    grant_id: str
    status: str
    executor: str
    action_digest: str
    expires_at: str
    redeemed_at: str
    start_id: str
    uses: int = 1
    used: int = 0
    span: str = "run"
    effects: list[EffectOut] = Field(default_factory=list)


class ScopeOut(Reply):
    """The most that one approval may cover; `words` says it."""

    times: int
    span: str
    within_s: int
    words: str


class GrantDetail(Reply):
    """A grant and the exact call that it permits."""

    grant_id: str
    handoff_id: str
    run_id: str
    agent_id: str
    status: str
    grant: GrantOut | None
    call: JsonValue = None
    worktree: str


class RedeemIn(Asked):
    action_digest: Digest
    run_id: Id = ""
    epoch: Epoch | None = None
    executor: Executor = Executor.MEDIATED


class Started(Reply):
    start_id: str
    handoff_id: str


class Revoked(Reply):
    """`status` is `redeemed` while a start still runs: that one is not stopped, and it is the last."""

    handoff_id: str
    grant_id: str
    status: str


class EffectIn(Asked):
    start_id: Id
    outcome: EffectOutcome
    exit_code: int | None = None
    output: str = ""
    output_body_id: Id = ""
    executed_digest: Digest = ""
    note: Annotated[str, Field(max_length=2000)] = ""
    doubt: bool = False


class EffectNoted(Reply):
    handoff_id: str
    outcome: str
