"""Follows a run to its end: one line for everything that happens."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from handfast.cli.control import Control
from handfast.cli.output import cell, note, say, say_json
from handfast.cli.show import step_line
from handfast.client import calls
from handfast.core.domain.errors import Unavailable

# Exit codes by outcome. What is not listed counts as failed.
OUTCOMES: Final = {
    "merged": 0,
    "nothing_changed": 0,
    "session_over": 0,
    "rejected": 3,
    "withdrawn": 3,
    "never_started": 7,
    "failed": 1,
}
_EVERY_S = 0.4
_PATIENCE_S = 60.0
_UNTAKEN_S = 8.0
_WAITING = ("requested", "routed", "acknowledged")


def follow(control: Control, run_id: str, *, as_json: bool) -> int:
    """Print what happens until the run ends, and give its exit code. Ctrl-C only stops looking."""
    followed = _Followed(control, run_id, quiet=as_json)
    try:
        run = followed.to_its_end()
    except KeyboardInterrupt:
        note(f"The run goes on: handfast run show {run_id}")
        raise
    outcome = str(run.get("outcome") or "failed")
    if as_json:
        say_json(run)
    else:
        why = f": {cell(run['exit_reason'])}" if run.get("exit_reason") else ""
        say(f"{run_id} ended: {outcome.replace('_', ' ')}{why}")
        if outcome == "never_started" and run.get("output"):
            note(run["output"][-2000:])
    return OUTCOMES.get(outcome, 1)


@dataclass(slots=True)
class _Followed:
    """What was printed already, so that every look prints only what is new."""

    control: Control
    run_id: str
    quiet: bool
    status: str = ""
    counts: object = None
    page: int = 0
    steps: dict[str, bool] = field(default_factory=dict)
    handoffs: dict[str, str] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    warned: bool = False

    def to_its_end(self) -> dict[str, Any]:
        """The run as it ended. Outlasts a server that restarts within a minute. Raises Unavailable."""
        silent_since: float | None = None
        while True:
            try:
                run = self._look()
                silent_since = None
            except Unavailable:
                now = time.monotonic()
                silent_since = silent_since or now
                if now - silent_since > _PATIENCE_S:
                    raise
                run = {}
            if run.get("status") == "ended":
                return run
            time.sleep(_EVERY_S)

    def _look(self) -> dict[str, Any]:
        run = self.control.send(calls.run(self.run_id))
        if run["counts"] != self.counts:
            self._steps()
            self.counts = run["counts"]
        self._handoffs()
        if run["status"] != self.status:
            self.status = run["status"]
            self._moved(run)
        elif self.status == "queued":
            self._untaken()
        return run

    def _say(self, line: str) -> None:
        if not self.quiet:
            say(line)

    def _moved(self, run: dict[str, Any]) -> None:
        match self.status:
            case "queued":
                self._say(f"{self.run_id} queued, task {run.get('task_id', '')}")
            case "running":
                self._say(f"started on branch {run.get('branch', '')} in {run.get('worktree', '')}")
                if run.get("containment"):
                    self._say(cell(run["containment"], 500))
            case "paused":
                self._say("paused: the agent's process is gone, its work is kept")
            case "ready":
                self._say("the run goes on")
            case "taken_over":
                self._say(f"taken over by {cell(run['held_by_name'])}: the agent is stopped")
            case "exited":
                self._say(f"the agent ended with exit code {run.get('exit_code')}")
            case _:
                pass

    def _untaken(self) -> None:
        if not self.warned and time.monotonic() - self.since > _UNTAKEN_S:
            self.warned = True
            if not self.quiet:
                note(
                    "No runner has taken it yet. `handfast serve` starts one unless told --no-runner."
                )

    def _steps(self) -> None:
        """New steps, and failures of known ones. Only the last page is read again."""
        while True:
            page = self.control.send(calls.steps(self.run_id, self.page))
            for step in page["items"]:
                self._step(step)
            if not page.get("next"):
                return
            self.page = int(page["next"])

    def _step(self, step: dict[str, Any]) -> None:
        key, failed = step["step_id"], bool(step.get("failed"))
        if key not in self.steps:
            if step.get("tool"):
                self._say(step_line(step))
        elif failed and not self.steps[key]:
            self._say(f"  failed: {cell(step.get('output') or step.get('summary') or key)}")
        self.steps[key] = failed

    def _handoffs(self) -> None:
        asked = calls.handoffs("all", run_id=self.run_id)
        for h in reversed(self.control.send(asked)["items"]):
            known, now = self.handoffs.get(h["handoff_id"]), h["status"]
            if known == now:
                continue
            self.handoffs[h["handoff_id"]] = now
            if now in _WAITING and known not in _WAITING:
                self._say(f"WAITS for you: {h['kind']}, {h['risk']} risk: {cell(h['ask'])}")
                self._say(f"  {self.control.url}/handoffs/{h['handoff_id']}")
                self._say(f"  handfast handoff show {h['handoff_id']}")
            elif h.get("decision") and (known in _WAITING or known is None):
                d = h["decision"]
                reason = f": {cell(d['reason'])}" if d.get("reason") else ""
                self._say(f"{d['kind']} by {cell(d['by_name'])}{reason}")
            elif now in ("expired", "withdrawn", "superseded"):
                self._say(f"{h['handoff_id']} is {now}")
