"""The worktree of a run: made, found again, brought back from a snapshot, taken away."""

import logging
from pathlib import Path

from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError, NotFound, RejectedError
from handfast.runner import workspace
from handfast.runner.containment import objects
from handfast.runner.git import Git
from handfast.runner.restore import restore
from handfast.runner.snapshot import Snapshot, snapshot
from handfast.runner.supervisor.settings import SupervisorSettings
from handfast.runner.workspace import Workspace

log = logging.getLogger("handfast.runner")


class Ground:
    """Everything may be called again after a crash."""

    def __init__(self, run: Json, settings: SupervisorSettings) -> None:
        self._run_id, self._task_id = str(run["run_id"]), str(run["task_id"])
        self.repository = Path(str(run["repository"]))
        self._worktrees = settings.worktrees
        self._folder = settings.folder(self._run_id)
        self._run = run

    @property
    def git(self) -> Git:
        return Git(self.repository)

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
        try:
            return self._left()
        except RejectedError as missing:
            revision = self._run.get("snapshot_commit") or self._newest_snapshot()
            if not revision:
                raise missing from None
            return restore(self.repository, self._worktrees, str(revision)).workspace

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

    def keep(self, found: Workspace) -> Snapshot:
        return snapshot(found)

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
