"""What an agent is told of a reviewer's edit that was not merged: whose it is, and exactly what differs."""

from collections.abc import Iterator, Mapping
from typing import Final

from handfast.client import calls, review_calls
from handfast.client.request import Json
from handfast.core.domain.errors import RejectedError, UsageError
from handfast.observe.text_diff import text_diff
from handfast.runner.supervisor.held import Held

MAX_DIFF_BYTES: Final = 40_000
_BAR: Final = "    "


def edits_told(held: Held, handoff: Json) -> str:
    """Of the review that sent work back, and of earlier ones of the same commit; '' where nobody edited it."""
    head = _head(handoff)
    asked = [str(h["handoff_id"]) for h in held.handoffs("all") if h["kind"] == "review"]
    full = (held.send(calls.handoff(handoff_id)) for handoff_id in reversed(asked))
    return "\n\n".join(_one(held, h) for h in full if _head(h) == head and _author(h))


def _head(handoff: Json) -> str:
    return str(((handoff.get("package") or {}).get("review") or {}).get("head_commit") or "")


def _author(handoff: Json) -> str:
    """Whose edit was put to the others or decided; '' where there was none."""
    decided = (handoff.get("decision") or {}).get("edited_call")
    for call in (decided, handoff.get("edited_call"), handoff.get("action")):
        arguments: Mapping[str, object] = (call or {}).get("arguments") or {}
        if arguments.get("edits"):
            return str(arguments.get("author") or "A reviewer")
    return ""


def _one(held: Held, handoff: Json) -> str:
    try:
        files = held.send(review_calls.review_files(str(handoff["handoff_id"])))["files"]
    except (RejectedError, UsageError):
        return f"{_author(handoff)} edited your work in its review; that edit was erased since."
    diff = "".join(_diffs(files))
    data = diff.encode("utf-8", "replace")
    cut = "" if len(data) <= MAX_DIFF_BYTES else "\nThe diff is cut here."
    shown = data[:MAX_DIFF_BYTES].decode("utf-8", "ignore")
    lines = "\n".join(f"{_BAR}{line}" for line in shown.split("\n")[:-1])
    return (
        f"{_author(handoff)} edited your work in its review ({handoff['handoff_id']}, commit {_head(handoff)}). The "
        "edit was not merged and is not in your worktree. Exactly this was changed, from your text to theirs:\n\n"
        f"{lines}{cut}"
    )


def _diffs(files: list[Json]) -> Iterator[str]:
    for file in files:
        if file.get("edited") is not None:
            yield text_diff(str(file["path"]), str(file["new"]), str(file["edited"]))
