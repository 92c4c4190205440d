"""What an agent is told when a person hands its run back: their note and, from git, exactly what they changed."""

from collections.abc import Iterable
from typing import Final

from handfast.client.request import Json

MAX_DIFF_BYTES: Final = 40_000
_MAX_NOTE: Final = 20_000
_BAR: Final = "    "


def handed_back(takeovers: Iterable[Json]) -> str:
    """`takeovers` are those the agent has not been told of, oldest first."""
    return "\n\n".join(_one(t) for t in takeovers)


def _one(t: Json) -> str:
    who, work = str(t["by_name"]), t.get("work") or {}
    opening = (
        f"A person, {who}, took this run over at {t['at']} and handed it back at {t['handed_back_at']}. You were "
        "stopped meanwhile. What they say and what git says of the time between stands here; it is not your work, "
        "and it stays unless they say otherwise."
    )
    void = (
        "Calls of yours that waited for a decision, or were approved and had not run, are void: ask again if they "
        "are still needed. Read the files again before you change them."
    )
    note = _note(who, str(t.get("note") or ""))
    return "\n\n".join((opening, note, _changed(t, work), void))


def _note(who: str, note: str) -> str:
    if not note:
        return f"{who} left no note."
    quoted = "\n".join(f"> {line}" for line in note[:_MAX_NOTE].splitlines())
    return f"{who} writes:\n\n{quoted}"


def _changed(t: Json, work: Json) -> str:
    if not t.get("changed"):
        return "Nothing in the worktree was changed."
    ends = f"{t['from_commit']} {t['to_commit']}"
    lines = [f"Changed in the worktree, from git ({t['changed']} files; snapshots {ends}):"]
    lines += [f"- {_file(f)}" for f in work.get("files") or []]
    lines += [f"- commit {c['commit'][:12]}: {c['subject']}" for c in work.get("commits") or []]
    uncommitted = work.get("uncommitted") or []
    if uncommitted:
        lines += ["Not committed when it was handed back:", *(f"- {line}" for line in uncommitted)]
    diff, cut = _bounded(str(work.get("diff") or ""))
    if diff:
        lines += ["The diff:", "", *(_BAR + line for line in diff.splitlines())]
    if cut or work.get("cut"):
        lines.append(f"The diff is cut here. All of it: git diff {ends}")
    return "\n".join(lines)


def _file(f: Json) -> str:
    was = f" (was {f['old_path']})" if f.get("old_path") else ""
    counts = f" +{f['added']} -{f['deleted']}" if f.get("added") is not None else ""
    return f"{f.get('status') or '?'} {f['path']}{was}{counts}"


def _bounded(text: str) -> tuple[str, bool]:
    """A command line holds 128 KB, whatever the characters."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_DIFF_BYTES:
        return text, False
    return data[:MAX_DIFF_BYTES].decode("utf-8", "ignore"), True
