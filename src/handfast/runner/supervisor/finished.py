"""Finished work, as a reviewer gets it: every field is drawn from commits and recorded steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from handfast.client import calls
from handfast.client.request import Json
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.codec import encode
from handfast.core.domain.inert import inert
from handfast.observe import git as observed
from handfast.observe.change import added_text
from handfast.observe.review import ReviewFacts, review_facts
from handfast.observe.secrets import redact
from handfast.runner.snapshot import Snapshot
from handfast.runner.supervisor import handing
from handfast.runner.supervisor.ending import Ended
from handfast.runner.supervisor.held import Held
from handfast.runner.supervisor.review_texts import review_texts
from handfast.runner.workspace import Workspace

MAX_INLINE_DIFF: Final = 200_000
MAX_LIST: Final = 500
MAX_COMMANDS: Final = 1_000
_NOT_TOLD: Final = "9999-12-31T00:00:00Z"
_SHELLS: Final = ("Bash", "PowerShell")


@dataclass(frozen=True, slots=True)
class Work:
    """What is handed over. `notes` are sentences for the page, `not_seen` what nobody watched. With `returns`
    the agent can be asked for what is missing."""

    workspace: Workspace
    head: str
    kept: Snapshot
    session_body_id: str
    ended: Ended
    notes: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()
    returns: bool = False


def open_review(held: Held, work: Work) -> str:
    """Hand the work over and pause the run. Gives the handoff's id. Repeating it opens no second one."""
    fields = review_fields(held, work)
    diff = observed.diff_text(work.workspace.path, work.workspace.base_commit, work.head)
    _, secrets = redact(added_text(diff))
    if secrets:
        fields["details"].insert(0, f"{secrets} text(s) in the added lines look like credentials.")
        fields["hazards"].append("secret.access")
    if len(diff) > MAX_INLINE_DIFF:
        fields["diff_body_id"] = held.body(diff.encode("utf-8", "replace"), "text/x-diff")
    else:
        fields["diff"] = diff
    fields |= _since(held, work)
    fields["files_body_id"] = held.body(fields.pop("texts"), "application/json")
    request = calls.review(held.run_id, fields)
    key = f"review:{held.run_id}:{held.epoch}:{work.head}"
    return str(held.send(replace(request, key=key, timeout_s=60.0))["handoff_id"])


def _since(held: Held, work: Work) -> Json:
    """What differs from the form of this work that a person sent back last, where that commit is still here."""
    asked = (h for h in held.handoffs("all") if h["kind"] == "review")
    back = next(
        (h for h in asked if (h.get("decision") or {}).get("kind") == "request_changes"), None
    )
    if back is None:
        return {}
    full = held.send(calls.handoff(str(back["handoff_id"])))
    commit = str((full["package"].get("review") or {}).get("head_commit") or "")
    path = work.workspace.path
    if not commit or observed.resolve(path, commit) is None:
        return {}
    diff = observed.diff_text(path, commit, work.head)
    if len(diff) > MAX_INLINE_DIFF:
        body = held.body(diff.encode("utf-8", "replace"), "text/x-diff")
        return {"since_commit": commit, "since_diff_body_id": body}
    return {"since_commit": commit, "since_diff": diff}


def review_fields(held: Held, work: Work) -> dict[str, Any]:
    """Everything of a review but its diff; `texts` is the body with the files that may be edited."""
    run, w = held.run, work.workspace
    brief = run.get("brief") or {}
    facts = review_facts(
        w.path, w.base_commit, work.head, (brief.get("scope") or {}).get("paths", [])
    )
    written = handing.parts(w.git, run.get("takeovers") or [], work.head)
    notes = (*work.notes, *handing.parts_in_words(written))
    fields = {
        "epoch": held.epoch,
        "base_commit": w.base_commit,
        "head_commit": work.head,
        "target_branch": str(run["target_branch"]),
        "target_commit": w.git.commit_id(f"refs/heads/{run['target_branch']}") or "",
        "files": [_line(change.path) for change in facts.files][:20_000],
        "changes": [_change(change) for change in facts.files][:20_000],
        "commits": [
            {"commit": each.id, "subject": inert(each.subject, 400, multiline=False)[:500]}
            for each in facts.commits
        ][:5_000],
        "commands": recorded_commands(held.steps()),
        "insertions": facts.insertions,
        "deletions": facts.deletions,
        "agent_says": work.ended.says[:20_000],
        "details": [_line(note) for note in (*notes, *_about(facts))][:MAX_LIST],
        "parts": [{k: v for k, v in part.items() if k != "name"} for part in written],
        "hazards": [],
        "not_seen": [_line(note) for note in (*work.not_seen, *_unseen(held, work))],
        "written_at": last_written(w.path),
        "returns": work.returns,
        "snapshot_ref": work.kept.ref,
        "snapshot_commit": work.kept.commit,
        "session_body_id": work.session_body_id,
        "texts": review_texts(w.git, w.base_commit, work.head, facts.files[:20_000]),
    }
    for name in ("outside_scope", "powerful", "symlinks", "submodules", "mode_changes"):
        fields[name] = [_line(path) for path in getattr(facts, name)][:MAX_LIST]
    return fields


def last_written(worktree: Path) -> str:
    """When a tracked file was last written, by the inode's own time, which no program sets. Deleted files and
    folders tell nothing; what cannot be looked at counts as written after everything."""
    newest = 0
    for name in observed.tracked(worktree, ["."]):
        try:
            newest = max(newest, (worktree / name).lstat().st_ctime_ns)
        except FileNotFoundError:
            continue
        except OSError:
            return _NOT_TOLD
    return datetime.fromtimestamp(newest / 1e9, UTC).isoformat()


def _change(change: ChangedFile) -> Json:
    """With its owners, for the policy. Names are made printable, as everywhere."""
    named = replace(change, path=_line(change.path), old_path=_line(change.old_path))
    return dict(encode(replace(named, owners=tuple(_line(each) for each in change.owners))))


def recorded_commands(steps: Sequence[Json]) -> list[Json]:
    """The shell commands with an effect that were let through, with the results that were reported; the
    newest last."""
    return [
        {
            "command": command_of(step)[:4_000],
            "exit_code": step.get("exit_code"),
            "duration_ms": step.get("duration_ms") or 0,
            "step_id": step["step_id"],
        }
        for step in _ran(steps)
    ][-MAX_COMMANDS:]


def _ran(steps: Sequence[Json]) -> list[Json]:
    return [
        s
        for s in steps
        if s.get("tool") in _SHELLS
        and s.get("verdict") in ("allow", "observed")
        and s.get("effect") != "read"
    ]


def command_of(step: Json) -> str:
    """The command itself; where it is not given, what was recorded of it."""
    return str(step.get("command") or step.get("summary") or "")


def _about(facts: ReviewFacts) -> list[str]:
    said = {
        "binary file(s) changed: see the list of files.": facts.binaries,
        "symbolic link(s) lead out of the worktree": facts.escaping,
        "file name(s) hold characters that do not show": facts.odd_names,
    }
    return [
        f"{len(paths)} {words}{'' if words.endswith('.') else ': ' + ', '.join(paths[:5])}"
        for words, paths in said.items()
        if paths
    ]


def _unseen(held: Held, work: Work) -> list[str]:
    counts = held.refresh().get("counts") or {}
    found = []
    if not counts.get("steps"):
        found.append(
            "What the agent ran between its start and its end: it did not come through the hook. Recorded are "
            "start, end, output and the changes below."
        )
    if counts.get("gaps"):
        found.append(f"{counts['gaps']} gap(s) in what was watched: see the run's timeline.")
    if work.ended.left_behind:
        found.append(
            f"{work.ended.left_behind} process(es) were still running when the agent ended, and were ended."
        )
    return found


def _line(text: str) -> str:
    return inert(str(text), 380, multiline=False)[:4_000]
