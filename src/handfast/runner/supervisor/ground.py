"""The worktree of a run: made, found again, brought here from a snapshot, taken away."""

import logging
from pathlib import Path

from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError, NotFound, RejectedError
from handfast.core.domain.faults import fault_point
from handfast.runner import workspace
from handfast.runner.containment import objects
from handfast.runner.fence import Fence, raise_fence
from handfast.runner.git import Git
from handfast.runner.origin import Origin, is_address
from handfast.runner.restore import restore
from handfast.runner.snapshot import Snapshot, snapshot
from handfast.runner.supervisor.leftovers import HOST
from handfast.runner.supervisor.settings import SupervisorSettings
from handfast.runner.workspace import Workspace

log = logging.getLogger("handfast.runner")


class Ground:
    """Everything may be called again after a crash. `continued`: what `find` gave is the newest there is, not
    the state of the last pause."""

    def __init__(self, run: Json, settings: SupervisorSettings) -> None:
        self._run_id, self._task_id = str(run["run_id"]), str(run["task_id"])
        named = str(run["repository"])
        self.origin = Origin.of(named, settings.home) if is_address(named) else None
        self.repository = self.origin.work if self.origin else Path(named)
        self.continued = False
        self._worktrees = settings.worktrees
        self._folder = settings.folder(self._run_id)
        self._run = run

    @property
    def git(self) -> Git:
        return Git(self.repository)

    def reach(self) -> None:
        """Make sure that the repository is to be had here, as its origin has it now.

        Raises NotFound (`repository_missing`), UsageError, Unavailable.
        """
        if self.origin is not None:
            self.origin.sync(self._run_id, str(self._run["target_branch"]))
        elif not self.repository.is_dir():
            raise NotFound(
                f"the repository `{self.repository}` is not on this machine",
                code="repository_missing",
                hint="Name a repository by its address, or keep runners without it from such runs: "
                "`handfast runner add --repository`.",
            )

    def make(self, base: str) -> Workspace:
        """A worktree on the task's branch; one that is there already stays as it is."""
        try:
            return self._left()
        except RejectedError:
            return workspace.create(
                self.repository,
                self._worktrees,
                run_id=self._run_id,
                task_id=self._task_id,
                base=base,
            )

    def find(self) -> Workspace:
        """As it was left, else from the last snapshot. Raises NotFound when there is neither."""
        missing: RejectedError = NotFound(
            f"run `{self._run_id}` has no worktree here and no snapshot", code="workspace_missing"
        )
        try:
            return self.find_here()
        except RejectedError as error:
            missing = missing if isinstance(error, NotFound) else error
        revision = self._run.get("snapshot_commit") or self._newest_snapshot()
        if not revision:
            raise missing
        fault_point("runner.before_restore")
        self.continued = False
        return restore(self.repository, self._worktrees, str(revision)).workspace

    def find_here(self) -> Workspace:
        """As it was left on this machine; never from a snapshot of somewhere else. Raises NotFound, and
        RejectedError for one that is damaged."""
        missing: RejectedError = NotFound(
            f"the worktree of run `{self._run_id}` is not on this machine", code="workspace_missing"
        )
        # Another runner may have worked on it since it was here.
        if self._run.get("seat") in (None, "", self._run.get("runner_id")):
            try:
                found = self._left()
            except RejectedError as error:
                missing = error
            else:
                self.continued = True
                return found
        beside = self._beside()
        if not beside:
            raise missing
        fault_point("runner.before_restore")
        self.continued = True
        return restore(self.repository, self._worktrees, beside).workspace

    def _beside(self) -> str:
        """What another runner on this machine left in its worktree of the same repository, as a snapshot; the
        worktree is gone then, and its branch free. '' when there is none. Its agent must be gone."""
        place = Path(str(self._run.get("worktree") or ""))
        process = self._run.get("process")
        if not place.is_absolute() or place.parent == self._worktrees.resolve():
            return ""
        if process and process["host"] != HOST:
            return ""  # a folder that both machines see, and the agent may be alive there
        try:
            found = workspace.attach(place.parent, self._run_id)
        except RejectedError:
            return ""
        if found.repository.resolve() != self.repository.resolve():
            return ""
        objects.collect(found, place.parent.parent / self._folder.parent.name / self._run_id)
        kept = snapshot(found)
        workspace.remove(found)
        return kept.commit

    def _left(self) -> Workspace:
        """With what a contained agent committed there, when a killed runner could not bring it home."""
        found = workspace.attach(self._worktrees, self._run_id)
        objects.collect(found, self._folder)
        return found

    def _newest_snapshot(self) -> str:
        """One that was taken but never reported."""
        folder = f"refs/handfast/snapshots/{self._run_id}/"
        listed = self.git.text("for-each-ref", "--format=%(refname)", folder).split()
        numbered = [ref for ref in listed if ref.removeprefix(folder).isdigit()]
        return max(numbered, key=lambda ref: int(ref.removeprefix(folder)), default="")

    def keep(self, found: Workspace) -> tuple[Snapshot, str]:
        """A snapshot of the worktree, where other runners find it. And why they will not, where the origin
        refused it. Raises Unavailable."""
        kept = snapshot(found)
        try:
            if self.origin is not None:
                self.origin.push_snapshot(kept.ref, kept.commit)
        except RejectedError as error:
            return kept, error.message
        return kept, ""

    def fence(self, epoch: int) -> Fence:
        """From now on no runner of an earlier epoch moves a branch for this run. Raises StaleEpoch, RejectedError,
        Unavailable."""
        fence = raise_fence(self.git, self._run_id, epoch)
        if self.origin is not None:
            self.origin.push_fence(fence)
        return fence

    def publish(self, target: str, new: str, old: str, fence: Fence) -> None:
        """What was merged here becomes so at the origin. Raises as `Origin.push_target` does."""
        if self.origin is not None:
            self.origin.push_target(target, new, old, fence)

    def discard(self) -> None:
        """The repository as it was before the run, but for refs under `refs/handfast`."""
        found = self._attached()
        if found is not None:
            workspace.discard(found)
            return
        branch = f"refs/heads/{workspace.branch_of(self._task_id)}"
        tip = self.git.commit_id(branch)
        if tip is not None:
            self.git.run("update-ref", f"refs/handfast/discarded/{self._run_id}", tip)
            self.git.run("update-ref", "-d", branch, tip)

    def close(self, merged: str = "") -> None:
        """Take the worktree away; the branch too when all of it is in `merged`."""
        found = self._attached()
        if found is not None:
            workspace.remove(found)
        branch = f"refs/heads/{workspace.branch_of(self._task_id)}"
        tip = self.git.commit_id(branch)
        if merged and tip is not None and self.git.is_ancestor(tip, merged):
            self.git.run("update-ref", "-d", branch, tip)

    def _attached(self) -> Workspace | None:
        try:
            return workspace.attach(self._worktrees, self._run_id)
        except RejectedError as error:
            if not isinstance(error, NotFound):
                log.warning("the worktree of run `%s`: %s", self._run_id, error.message)
                return self._damaged()
            return None

    def _damaged(self) -> Workspace | None:
        try:
            path = workspace.prepare_place(self.git, self._worktrees, self._run_id)
        except (HandfastError, OSError) as error:
            log.warning("%s", error)
            return None
        log.info("the damaged worktree `%s` was taken away", path)
        return None
