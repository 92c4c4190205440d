"""What a leased run needs, from what is recorded about it.

approved review   → merge                 rejected review → discard
decided otherwise → the agent goes on      queued          → the agent starts
its agent is gone → doubts and waiting handoffs first, else it is told and goes on
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from handfast.client import calls
from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError, NotFound, StorageError, UsageError
from handfast.runner.hooks.registry import SessionRegistry
from handfast.runner.processes import NeverStarted
from handfast.runner.supervisor import claude, ending, leftovers, merging, prompts
from handfast.runner.supervisor.aftermath import Aftermath
from handfast.runner.supervisor.edit_told import edits_told
from handfast.runner.supervisor.ending import Ended
from handfast.runner.supervisor.ground import Ground
from handfast.runner.supervisor.handed_back import handed_back
from handfast.runner.supervisor.held import Declined, Held, LetGo, TakenOver
from handfast.runner.supervisor.plan import Agent, Going
from handfast.runner.supervisor.probing import still_open
from handfast.runner.supervisor.working import Working
from handfast.runner.workspace import Workspace

_LOST: Final = (
    "The process you worked in was lost and is gone with all it had started. This is what became of your "
    "calls:"
)
_DECIDED: Final = (
    "You were paused for a decision, and there is one. This is what became of your calls:"
)
_HANDED_BACK: Final = "This is what became of your earlier calls:"
_NOT_KEPT: Final = (
    "the agent had ended, and its runner was lost before a snapshot of its work left that machine"
)
_LOST_S: Final = 1.0  # for an agent whose lease is over: nothing it does counts any more
log = logging.getLogger("handfast.runner")


class Life:
    """One lease's worth of a run's life. `go` ends with the run paused or ended, or raises LetGo."""

    def __init__(
        self,
        held: Held,
        registry: SessionRegistry,
        environment: Mapping[str, str],
        flush: Callable[[], bool],
    ) -> None:
        self._held = held
        self._registry = registry
        self._flush = flush
        self._ground = Ground(held.run, held.settings)
        self._agent: Agent
        self._after: Aftermath
        self._environment = environment
        self._running: list[Json] = []  # when a person took the run over
        self.started = False  # whether an agent was started under this lease

    def go(self) -> None:
        """Idempotent: what was done under an earlier lease is found and not repeated."""
        held = self._held
        survivors = leftovers.end_all(held.run, held.settings, min(held.settings.grace_s, _LOST_S))
        if survivors:
            log.error("run `%s`: processes %s do not end; it waits", held.run_id, survivors)
            raise LetGo
        self._reach()
        self._agent = Agent(held.run, held.settings, self._environment)
        self._after = Aftermath(held, self._agent, self._ground)
        held.deliver(self._flush)
        ready_for = str(held.run.get("ready_for") or "")
        handoff = held.send(calls.handoff(ready_for)) if ready_for else None
        try:
            self._go(handoff)
        except TakenOver:
            self._to_person()

    def _go(self, handoff: Json | None) -> None:
        held = self._held
        if held.run.get("held_by"):
            raise TakenOver
        if self._untold():
            self._handed_back()
        elif handoff is not None and handoff["kind"] == "review":
            self._reviewed(handoff)
        elif handoff is not None:
            self._decided(handoff)
        elif self._was_started():
            self._left()
        else:
            self._fresh()

    def _reach(self) -> None:
        """Raises Declined where the repository is not to be had and somebody else may have it."""
        try:
            self._ground.reach()
        except (StorageError, LetGo):
            raise
        except HandfastError as error:
            if self._held.settings.declines:
                raise Declined(error.message) from error
            log.warning("run `%s`: %s", self._held.run_id, error.message)

    # -- in a person's hands

    def _to_person(self) -> None:
        """End what is left of the agent, and hand its worktree over. Nothing of it is started any more."""
        held = self._held
        held.deliver(self._flush)
        held.settle()
        run = held.refresh()
        if run.get("process"):  # its end was not seen
            self._after.record(ending.lost(run, ending.TAKEN))
        try:
            workspace = self._ground.find()
        except NotFound:
            workspace = self._ground.make(self._base())
        self._after.to_person(workspace, self._running)

    def _untold(self) -> list[Json]:
        """Take-overs that were handed back, and of which the agent does not know yet."""
        takeovers: list[Json] = self._held.run.get("takeovers") or []
        return [t for t in takeovers if t["handed_back_at"] and not t["told"]]

    def _handed_back(self) -> None:
        """First git says what the person changed, and that is on record; then it goes on as they said."""
        try:
            workspace = self._ground.find_here()
        except NotFound as error:
            raise Declined(f"what a person left is not here: {error.message}") from error
        if not self._untold()[-1]["recorded"]:
            self._after.record_work(workspace, self._untold()[-1])
            self._held.refresh()
        told = self._untold()
        match told[-1]["then"]:
            case "end":
                self._after.withdrawn()
            case "review":
                self._after.hand_over_for(workspace, told[-1])
            case _:
                self._resume(workspace, handed_back(told))

    def _resume(self, workspace: Workspace, said: str) -> None:
        doubts = still_open(self._held, self._held.settle(), workspace.path)
        waiting = [str(h["handoff_id"]) for h in self._held.handoffs("waiting")]
        waits_on = list(dict.fromkeys([*doubts, *waiting]))
        if waits_on:
            self._after.pause(workspace, waits_on, "handed back; first what is in doubt is settled")
            return
        self._after.restore_session(workspace)
        words = self._story(_HANDED_BACK)
        self._work(workspace, Going(fresh=False, words=words, handed_back=said))

    # -- the situations

    def _fresh(self) -> None:
        try:
            workspace = self._ground.make(self._base())
        except (StorageError, LetGo):
            raise
        except HandfastError as error:
            self._after.never_started(error.message, error.hint)
            return
        self._work(workspace, Going(), first=True)

    def _left(self) -> None:
        """An earlier start was not seen to its end under its own lease."""
        run = self._held.run
        recorded = not run.get("process") and run.get("worktree")
        doubts = self._held.settle()
        if recorded and run.get("exit_reason") not in (ending.LOST, ending.STOPPED):
            try:
                workspace = self._workspace()
            except NotFound:
                self._held.gap("work-lost", _NOT_KEPT)
                self._lost(doubts)
                return
            folder = self._held.settings.folder(self._held.run_id)
            found = ending.seen_before(run, folder, is_claude=self._agent.is_claude)
            self._after.go_on(workspace, found, doubts)
            return
        if not recorded:
            self._after.record(ending.lost(run))
        self._lost(doubts)

    def _lost(self, doubts: list[str]) -> None:
        """The agent is gone and had not finished."""
        held = self._held
        try:
            workspace = self._ground.find()
        except NotFound:
            workspace = self._ground.make(self._base())
        doubts = still_open(held, doubts, workspace.path)
        waiting = [str(h["handoff_id"]) for h in held.handoffs("waiting")]
        waits_on = list(dict.fromkeys([*doubts, *waiting]))
        approved = [h for h in held.handoffs("decided") if h["status"] == "decided"]
        if waits_on:
            self._after.pause(workspace, waits_on, ending.LOST)
        elif self._agent.is_claude or approved:
            self._after.restore_session(workspace)
            self._work(workspace, Going(fresh=False, words=self._story(_LOST)))
        else:
            self._after.hand_over(workspace, ending.lost(held.run))

    def _decided(self, handoff: Json) -> None:
        """What the run was paused for is settled."""
        workspace = self._workspace()
        waiting = self._held.handoffs("waiting")
        doubts = [*self._held.settle(), *(h["handoff_id"] for h in waiting if h["kind"] == "doubt")]
        doubts = still_open(self._held, dict.fromkeys(doubts), workspace.path)
        if doubts:
            self._after.pause(workspace, list(dict.fromkeys(doubts)), "in doubt")
            return
        if handoff["kind"] == "escalation" and self._upheld(workspace, handoff):
            return
        self._after.restore_session(workspace)
        deferred = self._held.run.get("exit_reason") == claude.DEFERRED
        pending = self._agent.is_claude and deferred and _call_goes_on(handoff)
        words = "" if pending else self._story(_DECIDED)
        self._work(workspace, Going(fresh=False, words=words, pending=pending))

    def _upheld(self, workspace: Workspace, handoff: Json) -> bool:
        """Whether a person does not let the run go on beyond its limit: then it ends, and work that is
        there is shown before it is dropped."""
        match (handoff.get("decision") or {}).get("kind"):
            case "take_over":  # decided before a run could be handed over
                self._after.withdrawn()
            case "reject":
                folder = self._held.settings.folder(self._held.run_id)
                found = ending.seen_before(self._held.run, folder, is_claude=self._agent.is_claude)
                said = str((handoff.get("decision") or {}).get("reason") or "no reason given")
                note = f"A person stopped the run at a limit: {said} It may not be finished."
                self._after.hand_over(workspace, found, notes=(note,))
            case _:
                return False
        return True

    def _reviewed(self, handoff: Json) -> None:
        decision = handoff.get("decision") or {}
        if handoff["status"] == "incomplete":
            self._returned(handoff)
            return
        if into := str(handoff.get("edited_into") or ""):
            self._after.pause(self._workspace(), [into], "a reviewer edited the work")
            return
        match decision.get("kind"):
            case "approve" | "approve_with_edits":
                self._merge(handoff)
            case "reject":
                self._after.rejected()
            case "request_changes":
                workspace = self._workspace()
                self._after.restore_session(workspace)
                words = (str(decision.get("reason") or ""), edits_told(self._held, handoff))
                feedback = "\n\n".join(filter(None, words))
                self._work(workspace, Going(fresh=False, feedback=feedback))
            case _:
                self._after.withdrawn()

    def _returned(self, handoff: Json) -> None:
        """The work lacks what its agent can supply: nobody was asked, and the agent is told."""
        workspace = self._workspace()
        self._after.restore_session(workspace)
        words = prompts.returned_text(handoff.get("missing") or [])
        self._work(workspace, Going(fresh=False, words=words))

    def _merge(self, handoff: Json) -> None:
        merged = merging.merge_approved(self._held, self._ground, handoff)
        if merged.tip:
            self._after.merged(merged.tip)
            return
        folder = self._held.settings.folder(self._held.run_id)
        found = ending.seen_before(self._held.run, folder, is_claude=self._agent.is_claude)
        self._after.hand_over(self._workspace(), found, notes=(merged.why,))

    # -- working

    def _work(self, workspace: Workspace, going: Going, *, first: bool = False) -> None:
        working = Working(self._held, self._agent, self._registry, self._flush)
        try:
            found = working.run(workspace, going)
        finally:
            self.started = working.began
            self._running = working.running
        if self._nothing_pending(found, going):
            # The call that was paused is not in the session any more: the agent is told instead.
            found = working.run(workspace, Going(fresh=False, words=self._story(_DECIDED)))
        if isinstance(found, NeverStarted):
            self._not_run(workspace, found, first=first)
            return
        self._after.after(workspace, found, first=first)

    def _nothing_pending(self, found: Ended | NeverStarted, going: Going) -> bool:
        if isinstance(found, NeverStarted) or not going.pending or found.code in (0, None):
            return False
        return claude.NO_DEFERRED_CALL in found.error_output

    def _not_run(self, workspace: Workspace, failure: NeverStarted, *, first: bool) -> None:
        """Its program could not be run: on a first start nothing was done, later there may be work."""
        if first:
            self._after.never_started(failure.reason)
            return
        found = ending.not_run(self._held.run, failure.reason)
        self._after.record(found)
        self._after.hand_over(workspace, found, notes=(failure.reason,))

    def _workspace(self) -> Workspace:
        return self._ground.find()

    def _was_started(self) -> bool:
        run, folder = self._held.run, self._held.settings.folder(self._held.run_id)
        return bool(run.get("process") or run.get("worktree")) or leftovers.was_started_here(folder)

    def _base(self) -> str:
        """The commit the task names, else the tip of its target branch."""
        task = self._held.send(calls.task(str(self._held.run["task_id"])))
        target = str(task["target_branch"])
        base = str(task.get("base_commit") or "") or self._ground.git.commit_id(
            f"refs/heads/{target}"
        )
        if not base:
            raise UsageError(
                f"the repository `{self._ground.repository}` has no branch `{target}`",
                code="target_branch_unknown",
                hint="Name a branch that exists: --target.",
            )
        return base

    def _story(self, opening: str) -> str:
        known = [str(h["handoff_id"]) for h in reversed(self._held.handoffs("all"))]
        full = [self._held.send(calls.handoff(h)) for h in known[-prompts.MAX_LISTED :]]
        return prompts.story(opening, full, self._held.steps())


def _call_goes_on(handoff: Json) -> bool:
    """Whether the paused call is simply made again: nobody has words for the agent that it must hear first."""
    decided = (handoff.get("decision") or {}).get("kind")
    return handoff["kind"] == "approval" or (
        handoff["kind"] == "escalation" and decided == "approve"
    )
