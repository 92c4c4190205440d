"""Requests and replies about runs that a person takes over and hands back."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from handfast.server.api.schema_proof import Proof, Words
from handfast.server.api.schema_work import Asked, Digest, Epoch, Id, Line, Place, Reply

Listed = Annotated[tuple[dict[str, JsonValue], ...], Field(max_length=500)]
Paths = Annotated[tuple[Place, ...], Field(max_length=500)]


class TakeOverIn(Proof):
    reason: Words = ""


class TakenOver(Reply):
    """`ready`: the worktree is there. Else its runner is stopping the agent: ask for the run again."""

    run_id: str
    held_by: str
    ready: bool


class HandBackIn(Proof):
    """`note` goes to the agent, word for word. `then`: its agent goes on, its work is reviewed as it is, or the
    run ends and its branch stays."""

    note: Words = ""
    then: Literal["resume", "review", "end"] = "resume"


class HandedBack(Reply):
    run_id: str
    then: str


class SeenIn(Asked):
    """What the runner saw when it stopped the agent. Everything here is text of an untrusted author."""

    processes: Listed = ()
    uncommitted: Paths = ()
    left_out: Paths = ()
    commits: Listed = ()
    operation: Line = ""


class HandedOverIn(Asked):
    epoch: Epoch
    host: Line
    worktree: Place
    branch: Line
    head_commit: Digest
    snapshot_ref: Line
    snapshot_commit: Digest
    session_body_id: Id = ""
    seen: SeenIn = SeenIn()


class WorkIn(Asked):
    """Between `from_commit` and `snapshot_commit`, by git. `diff` is cut at its end where `cut` says so."""

    commits: Listed = ()
    files: Listed = ()
    uncommitted: Paths = ()
    diff: Annotated[str, Field(max_length=400_000)] = ""
    diff_sha256: Digest = ""
    cut: bool = False


class PersonsWorkIn(Asked):
    epoch: Epoch
    from_commit: Digest
    head_commit: Digest
    snapshot_ref: Line
    snapshot_commit: Digest
    changed: Annotated[int, Field(ge=0)] = 0
    work: WorkIn = WorkIn()
