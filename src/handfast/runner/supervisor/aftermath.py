"""What follows when an agent's process is gone: wait for people, hand the work over, or end the run."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from handfast.client import takeover_calls
from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError
from handfast.core.domain.faults import fault_point
from handfast.core.domain.inert import inert
from handfast.runner.git import Identity
from handfast.runner.snapshot import Snapshot, commit_all
from handfast.runner.supervisor import claude, ending, finished, handing
from handfast.runner.supervisor.ending import Ended
from handfast.runner.supervisor.ground import Ground
from handfast.runner.supervisor.held import Held, TakenOver
from handfast.runner.supervisor.leftovers import HOST
from handfast.runner.supervisor.plan import Agent
from handfast.runner.supervisor.probing import still_open
from handfast.runner.workspace import Workspace

MAX_SESSION_BYTES: Final = 24 * 1024 * 1024
log = logging.getLogger("handfast.runner")


class Aftermath:
    """Each method leaves the run paused, given back or ended. May be repeated after a crash."""

    def __init__(self, held: Held, agent: Agent, ground: Ground) -> None:
        self._held = held
        self._agent = agent
        self._ground = ground

    def never_started(self, reason: str, output: str = "") -> None:
        """The agent's program did not run: nothing of the run stays."""
        self._tidy(self._ground.discard)
        self._held.tell("never-started", reason=reason[:2_000], output=output)

    def after(self, workspace: Workspace, found: Ended, *, first: bool) -> None:
        """The process has just ended, and the hook's records are delivered."""
        doubts = still_open(self._held, self._held.settle(), workspace.path)
        if self._held.taken.is_set():
            self.record(found)
            raise TakenOver
        changed = self._changed(workspace) if first and found.code != 0 else True
        if not found.lost and ending.never_ran(found, first=first, changed=changed):
            self.never_started(
                f"{found.shown} It had not called, changed or said anything.", found.output
            )
            return
        self.record(found)
        self.go_on(workspace, found, doubts)

    def record(self, found: Ended) -> None:
        """Put the end on record. Not repeated for one that is."""
        self._held.tell(
            "exited",
            exit_code=found.code,
            signal=found.signal,
            reason=found.reason,
            cost_usd=claude.cost_since(
                found.cost_total, str(self._held.run.get("cost_usd") or "0")
            ),
            turns=found.turns,
            duration_ms=found.duration_ms,
            output=found.output,
        )

    def go_on(self, workspace: Workspace, found: Ended, doubts: Iterable[str]) -> None:
        """From an end that is on record."""
        waiting = [str(h["handoff_id"]) for h in self._held.handoffs("waiting")]
        waits_on = list(dict.fromkeys([*found.waits_on, *doubts, *waiting]))
        if waits_on:
            self.pause(workspace, waits_on, found.reason)
        elif found.reason == ending.STOPPED:
            self.give_back(workspace, found.reason)
        else:
            complete = not (found.failed or found.lost)
            self.hand_over(workspace, found, returns=complete and self._agent.is_claude)

    def pause(self, workspace: Workspace, waits_on: list[str], reason: str) -> None:
        """Keep files and session, then let go until one of the handoffs is settled."""
        kept = self._keep(workspace)
        self._held.tell(
            "paused",
            snapshot_ref=kept.ref,
            snapshot_commit=kept.commit,
            session_body_id=self.session_body(),
            waiting_on=waits_on,
            reason=reason[:2_000],
        )

    def give_back(self, workspace: Workspace, reason: str) -> None:
        """Nobody is asked anything: another runner goes on from here, at once."""
        kept = self._keep(workspace)
        session = self.session_body()
        fault_point("run.before_release")
        self._held.tell(
            "release",
            reason=reason,
            snapshot_ref=kept.ref,
            snapshot_commit=kept.commit,
            session_body_id=session,
        )

    def to_person(self, workspace: Workspace, processes: list[Json]) -> None:
        """The agent is gone; the worktree is theirs. `processes` were running when it was stopped."""
        kept = self._keep(workspace)
        fields = {
            "epoch": self._held.epoch,
            "host": HOST,
            "worktree": str(workspace.path),
            "branch": workspace.branch,
            "head_commit": kept.head,
            "snapshot_ref": kept.ref,
            "snapshot_commit": kept.commit,
            "session_body_id": self.session_body(),
            "seen": handing.seen(workspace, kept, processes),
        }
        fault_point("takeover.before_handed_over")
        self._held.send(takeover_calls.handed_over(self._held.run_id, fields))

    def record_work(self, workspace: Workspace, last: Json) -> None:
        """What the person changed, before anything goes on from it. Their files are kept as a snapshot."""
        kept = self._keep(workspace)
        ends = str(last["from_head"]), str(last["from_commit"])
        fields = handing.persons_work(workspace, *ends, kept)
        fault_point("takeover.before_recorded")
        request = takeover_calls.persons_work(
            self._held.run_id, {"epoch": self._held.epoch, **fields}
        )
        self._held.send(request)
        fault_point("takeover.after_recorded")

    def hand_over_for(self, workspace: Workspace, last: Json) -> None:
        """As a person hands it over: finished, by their word. What they left uncommitted is committed as theirs."""
        who, folder = str(last["by_name"]), self._held.settings.folder(self._held.run_id)
        seen = ending.seen_before(self._held.run, folder, is_claude=self._agent.is_claude)
        found = replace(seen, code=0, signal=None, reason=ending.COMPLETED)
        said = f"{last['handed_back_by']} handed it over for review: {last['note'] or 'no note'}"
        self.hand_over(workspace, found, notes=(said,), by=who)

    def hand_over(
        self,
        workspace: Workspace,
        found: Ended,
        notes: tuple[str, ...] = (),
        by: str = "",
        *,
        returns: bool = False,
    ) -> None:
        """Commit what is left and open the review; without any change the run ends. `by` is the person who left
        it uncommitted; '' is the agent. With `returns` it may come back for what the agent can supply."""
        message, author = self._commit_message(by or "the agent"), self._author(by)
        done = commit_all(workspace, message, author, max_file_bytes=100 * 1024 * 1024)
        not_seen = tuple(f"Left out of the commit: {path}" for path in done.left_out[:50])
        if not self._differs(workspace, done.commit):
            self._nothing(found, keep=bool(done.left_out))
            return
        if found.failed:
            notes = (*notes, f"{found.shown} What it left behind is shown as it is.")
        if found.lost:
            not_seen = (*not_seen, "How the agent ended, and whether it had finished: it was lost.")
        if (
            self._agent.is_claude
            and not found.calls
            and not (self._held.run.get("counts") or {}).get("steps")
        ):
            self._held.gap(
                "no-calls", "files changed, but no call of the agent came through the hook"
            )
        kept = self._keep(workspace)
        work = finished.Work(
            workspace, done.commit, kept, self.session_body(), found, notes, not_seen, returns
        )
        finished.open_review(self._held, work)

    def _keep(self, workspace: Workspace) -> Snapshot:
        kept, why = self._ground.keep(workspace)
        if why:
            self._held.gap("snapshot-not-pushed", f"resumable on this machine only: {why}")
        return kept

    def end(self, outcome: str) -> None:
        self._held.tell("ended", outcome=outcome)

    def rejected(self) -> None:
        self._tidy(self._ground.discard)
        self.end("rejected")

    def withdrawn(self) -> None:
        """Nobody decided: the branch stays, so that nothing is lost."""
        self._tidy(self._ground.close)
        self.end("withdrawn")

    def merged(self, tip: str) -> None:
        self._tidy(lambda: self._ground.close(tip))
        self.end("merged")

    def _nothing(self, found: Ended, *, keep: bool) -> None:
        if not keep:
            self._tidy(self._ground.discard)
        self.end("failed" if found.failed or found.lost else "nothing_changed")

    def session_body(self) -> str:
        path = self._agent.session_file()
        if path is None:
            return ""
        if path.stat().st_size > MAX_SESSION_BYTES:
            self._held.gap("session-too-large", "the session can be resumed on this machine only")
            return ""
        return self._held.body(path.read_bytes(), "application/jsonl")

    def restore_session(self, workspace: Workspace) -> None:
        """Bring the session file of the last pause here, when what is here is not the newest."""
        body_id = str(self._held.run.get("session_body_id") or "")
        here = self._ground.continued and self._agent.session_file() is not None
        if not (self._agent.is_claude and body_id) or here:
            return
        content = self._held.read_body(body_id)
        environment, session_id = self._agent.environment, self._agent.session_id
        claude.place_session(environment, session_id, workspace.path, content)

    def _changed(self, workspace: Workspace) -> bool:
        """Whether the agent left anything, ignored files aside."""
        head = workspace.git.commit_id("HEAD")
        if head != workspace.base_commit:
            return True
        return bool(workspace.git.run("status", "--porcelain", "-z").stdout)

    def _differs(self, workspace: Workspace, commit: str) -> bool:
        git = workspace.git
        trees = [git.text("rev-parse", f"{c}^{{tree}}") for c in (workspace.base_commit, commit)]
        return trees[0] != trees[1]

    def _author(self, by: str) -> Identity:
        agent = str(self._held.run.get("agent_name") or "agent")
        name = inert(by or agent, 100, multiline=False)
        cleaned = "".join(c for c in name if c not in "<>\n").strip() or "agent"
        if by:
            return Identity(cleaned, "person@localhost")
        return Identity(f"{cleaned} (agent)", "agent@localhost")

    def _commit_message(self, by: str) -> str:
        intent = str((self._held.run.get("brief") or {}).get("intent", "")).strip().splitlines()
        title = inert(intent[0] if intent else "Work of an agent", 72, multiline=False)
        return (
            f"{title}\n\nCommitted by Handfast: {inert(by, 100, multiline=False)} had left it uncommitted.\n\n"
            f"Handfast-Task: {self._held.run['task_id']}\nHandfast-Run: {self._held.run_id}\n"
        )

    def _tidy(self, clean: Callable[[], None]) -> None:
        """What cannot be cleaned away must not keep the run from its end; it is tried again at the next
        start of a runner."""
        try:
            clean()
        except (HandfastError, OSError) as error:
            log.warning("run `%s` could not be tidied up: %s", self._held.run_id, error)
