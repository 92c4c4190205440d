"""What git and the process table say of a run in a person's hands: what they get, what they changed, and in the
end who wrote which part. Nothing here is told by the person or the agent."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from handfast.client.request import Json
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.inert import inert
from handfast.observe import git as observed
from handfast.observe.change import changed_files
from handfast.observe.secrets import redact
from handfast.runner import proctable
from handfast.runner.git import Git
from handfast.runner.processes import ProcessIdentity, members
from handfast.runner.snapshot import Snapshot
from handfast.runner.workspace import Workspace

MAX_LISTED: Final = 200
MAX_DIFF: Final = 200_000
_MAX_LINE: Final = 400


def running(identity: ProcessIdentity) -> list[Json]:
    """The agent and all it has started, oldest first: number, parent, command line. As far as it may be read."""
    rows = sorted(members(identity), key=lambda row: (row.started, row.pid))
    return [{"pid": row.pid, "parent": row.parent, "command": _command(row.pid)} for row in rows][
        :MAX_LISTED
    ]


def _command(pid: int) -> str:
    if not proctable.LINUX:
        return ""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return _line(redact(" ".join(os.fsdecode(word) for word in words if word))[0])


def seen(workspace: Workspace, kept: Snapshot, processes: Sequence[Json]) -> Json:
    """What the person finds in the worktree. `processes` were running and have ended since."""
    commits = (
        observed.commits(workspace.path, workspace.base_commit, kept.head) if kept.head else ()
    )
    return {
        "processes": list(processes),
        "uncommitted": _uncommitted(workspace, kept),
        "left_out": [_line(path) for path in kept.left_out[:MAX_LISTED]],
        "commits": _commits(commits),
        "operation": kept.operation,
    }


def persons_work(workspace: Workspace, from_head: str, from_commit: str, kept: Snapshot) -> Json:
    """What differs between the snapshot of the take-over and one of now, as the runner reports it. Commits are
    those that HEAD has gained."""
    files = changed_files(workspace.path, from_commit, kept.commit)
    diff = observed.diff_text(workspace.path, from_commit, kept.commit)
    gained = from_head and kept.head and from_head != kept.head
    commits = observed.commits(workspace.path, from_head, kept.head) if gained else ()
    return {
        "from_commit": from_commit,
        "head_commit": kept.head,
        "snapshot_ref": kept.ref,
        "snapshot_commit": kept.commit,
        "changed": len(files),
        "work": {
            "commits": _commits(commits),
            "files": [_file(change) for change in files[:MAX_LISTED]],
            "uncommitted": _uncommitted(workspace, kept),
            "diff": diff[:MAX_DIFF],
            "diff_sha256": hashlib.sha256(diff.encode("utf-8", "surrogatepass")).hexdigest(),
            "cut": len(diff) > MAX_DIFF,
        },
    }


def parts(git: Git, takeovers: Iterable[Json], head: str) -> list[Json]:
    """Who of the people wrote what of the work at `head`: the files they changed, apart by whether the content is
    still what they left."""
    found = []
    for t in takeovers:
        work, left = t.get("work") or {}, str(t.get("to_commit") or "")
        paths = [str(f["path"]) for f in work.get("files") or []]
        if not (left and paths):
            continue
        same = _blobs(git, left, paths) & _blobs(git, head, paths)
        kept = {path for path, _ in same}
        gone = _absent(git, left, paths) & _absent(git, head, paths)
        found.append(
            {
                "person_id": str(t["by"]),
                "name": _line(str(t["by_name"])),
                "commits": [str(c["commit"]) for c in work.get("commits") or []],
                "files": [p for p in paths if p in kept or p in gone],
                "changed_since": [p for p in paths if p not in kept and p not in gone],
            }
        )
    return found


def parts_in_words(found: Iterable[Json]) -> list[str]:
    lines = []
    for part in found:
        said = []
        if part["files"]:
            said.append(f"as they left it: {', '.join(part['files'][:10])}{_more(part['files'])}")
        if part["changed_since"]:
            since = part["changed_since"]
            said.append(f"changed again since: {', '.join(since[:10])}{_more(since)}")
        lines.append(
            _line(
                f"{part['name']} wrote a part of this while they held the run; {'; '.join(said)}."
            )
        )
    return [*lines, "Everything else is the agent's."] if lines else []


def _more(paths: Sequence[str]) -> str:
    return f" and {len(paths) - 10} more" if len(paths) > 10 else ""


def _blobs(git: Git, commit: str, paths: Sequence[str]) -> set[tuple[str, str]]:
    listed = git.run("ls-tree", "-r", "-z", commit, "--", *paths, accept=(0, 128)).names
    found = set()
    for entry in listed:
        facts, _, path = entry.partition("\t")
        found.add((path, facts))
    return found


def _absent(git: Git, commit: str, paths: Sequence[str]) -> set[str]:
    return set(paths) - {path for path, _ in _blobs(git, commit, paths)}


def _uncommitted(workspace: Workspace, kept: Snapshot) -> list[str]:
    """Against HEAD, files git does not track yet among them."""
    if not kept.head:
        return []
    changes = changed_files(workspace.path, kept.head, kept.commit)
    return [_line(f"{change.status or '?'} {change.path}") for change in changes[:MAX_LISTED]]


def _commits(commits: Iterable[observed.Commit]) -> list[Json]:
    return [
        {"commit": c.id, "subject": _line(c.subject), "author": _line(c.author)}
        for c in list(commits)[:MAX_LISTED]
    ]


def _file(change: ChangedFile) -> Json:
    return {
        "path": _line(change.path),
        "old_path": _line(change.old_path),
        "status": change.status,
        "added": change.added,
        "deleted": change.deleted,
    }


def _line(text: str) -> str:
    return inert(text, _MAX_LINE, multiline=False)
