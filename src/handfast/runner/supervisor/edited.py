"""What is merged of an approved review: the commit itself, or a reviewer's edit on top of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from handfast.client import review_calls
from handfast.client.request import Json
from handfast.core.domain.action import Call
from handfast.core.domain.codec import parse_time
from handfast.core.domain.errors import HandfastError, StorageError
from handfast.core.domain.faults import fault_point
from handfast.core.domain.inert import inert
from handfast.core.domain.reviewed_files import FileEdit, edited_merge, edits_in
from handfast.runner.edit_commit import edit_commit
from handfast.runner.git import Identity
from handfast.runner.supervisor.ground import Ground
from handfast.runner.supervisor.held import Held

log = logging.getLogger("handfast.runner")
_ADDRESS: Final = "person@localhost"


@dataclass(frozen=True, slots=True)
class Approved:
    """`call` is what the grant is bound to, `commit` what is merged; with `why` it cannot be, and nothing is.
    `edit` says whose edit it is, in words; '' for the agent's work as it is."""

    call: Call
    commit: str
    edit: str = ""
    why: str = ""


def approved(held: Held, ground: Ground, handoff: Json, merge: Call) -> Approved:
    """From the decision. The commit of an edit is made anew: it is the same each time. Raises StorageError."""
    commit = str(merge.arguments["commit"])
    arguments = _decided(handoff)
    if not arguments.get("edits"):
        return Approved(merge, commit)
    call = merge
    try:
        edits = edits_in(arguments)
        author, tree = str(arguments.get("author", "")), str(arguments.get("tree", ""))
        call = edited_merge(merge, tree, edits, author)
        made = _commit(held, ground, handoff, call, edits)
    except StorageError:
        raise
    except HandfastError as error:
        why = inert(f"{error.message}. {error.hint}", 400, multiline=False)
        log.warning("run `%s`: %s", held.run_id, error.message)
        return Approved(call, commit, why=f"The approved edit was refused: {why}")
    fault_point("merge.edited")
    return Approved(call, made, edit=f"with the edit of {author} as commit {made}")


def _decided(handoff: Json) -> Mapping[str, object]:
    """The arguments of the call that was decided on: edited in the decision, or proposed by an earlier editor."""
    decision = handoff.get("decision") or {}
    call = decision.get("edited_call") or handoff.get("action") or {}
    arguments: Mapping[str, object] = call.get("arguments") or {}
    return arguments


def _commit(
    held: Held, ground: Ground, handoff: Json, call: Call, edits: tuple[FileEdit, ...]
) -> str:
    listed = held.send(review_calls.review_files(str(handoff["handoff_id"])))["files"]
    texts = {
        str(f["path"]): str(f["edited"]).encode() for f in listed if f.get("edited") is not None
    }
    work = handoff["package"]["review"]
    at = parse_time(str(handoff["decision"]["at"]))
    by = Identity(_name(str(call.arguments["author"])), _ADDRESS, f"@{int(at.timestamp())} +0000")
    return edit_commit(
        ground.git,
        str(call.arguments["commit"]),
        str(call.arguments["tree"]),
        edits,
        texts,
        base=str(work["base_commit"]),
        by=by,
        message=_message(held, str(handoff["handoff_id"]), by.name, edits),
    )


def _name(author: str) -> str:
    shown = inert(author, 100, multiline=False)
    return "".join(c for c in shown if c not in "<>\n").strip(" .,:;\"'") or "A reviewer"


def _message(held: Held, handoff_id: str, name: str, edits: tuple[FileEdit, ...]) -> str:
    listed = "\n".join(f"- {edit.path}" for edit in edits)
    return (
        f"Edit of a reviewer in {len(edits)} file{'' if len(edits) == 1 else 's'}\n\n"
        f"{name} edited the agent's work in its review and approved it so:\n\n{listed}\n\n"
        f"Handfast-Handoff: {handoff_id}\nHandfast-Task: {held.run['task_id']}\n"
        f"Handfast-Run: {held.run_id}\n"
    )
