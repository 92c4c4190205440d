"""Requests and replies about finished work: what a runner hands over, what a reviewer sees, reads and edits of it."""

from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from handfast.core.domain.errors import UsageError
from handfast.core.domain.inert import inert
from handfast.core.domain.reviewed_files import (
    MAX_FILE_BYTES,
    MAX_FILES,
    LeftOut,
    ReviewedFile,
)
from handfast.server.api.schema_gate import ChangedFileIn
from handfast.server.api.schema_proof import Words
from handfast.server.api.schema_work import (
    Asked,
    AttemptIn,
    Epoch,
    EvidenceIn,
    Id,
    Line,
    Lines,
    Reply,
)

Path = Annotated[str, Field(max_length=4_096)]
Content = Annotated[str, Field(max_length=MAX_FILE_BYTES)]


class FileIn(Asked):
    """A changed text file: what was there before, and what the agent made of it."""

    path: Path
    mode: Annotated[str, Field(max_length=6)]
    old: Content
    new: Content


class LeftOutIn(Asked):
    path: Path
    why: Line


class FilesIn(Asked):
    """The changed files of finished work that a reviewer may edit, and those that they may not."""

    tree: Line
    files: Annotated[tuple[FileIn, ...], Field(max_length=MAX_FILES)] = ()
    left_out: Annotated[tuple[LeftOutIn, ...], Field(max_length=500)] = ()

    def reviewed(self) -> tuple[ReviewedFile, ...]:
        return tuple(ReviewedFile(f.path, f.mode, f.old, f.new) for f in self.files)

    def without(self) -> tuple[LeftOut, ...]:
        return tuple(LeftOut(each.path, each.why) for each in self.left_out)


def files_in(data: bytes | None) -> FilesIn:
    """Raises UsageError for a body that holds something else."""
    if data is None:
        return FilesIn(tree="")
    try:
        return FilesIn.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = inert(f"{where}: {first['msg']}", 300, multiline=False)
        raise UsageError(f"`files_body_id` holds no files of a review: {said}") from None


class EditedFileIn(Asked):
    """A file as it should be, whole: line ends, and a missing one at the end, are taken as they are."""

    path: Path
    text: Content


EditedFiles = Annotated[tuple[EditedFileIn, ...], Field(max_length=MAX_FILES)]


def edited_files(given: tuple[EditedFileIn, ...]) -> dict[str, str]:
    """Raises UsageError for a file that is named twice."""
    found = {each.path: each.text for each in given}
    if len(found) != len(given):
        raise UsageError("`edited_files` names a file twice")
    return found


class CommitIn(Asked):
    commit: Line
    subject: Annotated[str, Field(max_length=500)] = ""


class CommandIn(Asked):
    """A recorded command of the run; `exit_code` stays out where no result was reported."""

    command: Annotated[str, Field(max_length=4_000)]
    exit_code: int | None = None
    duration_ms: Annotated[int, Field(ge=0)] = 0
    step_id: Id = ""


class PartIn(Asked):
    """What a person wrote while they held the run."""

    person_id: Id
    commits: Lines = ()
    files: Lines = ()
    changed_since: Lines = ()


class ReviewIn(Asked):
    """Finished work. `head_commit` is exactly what an approval merges.

    The diff comes as text, or as the id of a body when it is large. `evidence` of older runners is not looked at:
    it is derived here from the recorded calls. `written_at` is when a file of the worktree was last written. With
    `returns` the runner can give the work back to its agent: then it may come back `incomplete`, and the run is ready.
    `files_body_id` names a body with the texts that a reviewer may edit: `{tree, files, left_out}`.
    """

    epoch: Epoch
    base_commit: Line
    head_commit: Line
    target_branch: Line
    diff: str = ""
    diff_body_id: Id = ""
    files: Annotated[tuple[str, ...], Field(max_length=20_000)] = ()
    changes: Annotated[tuple[ChangedFileIn, ...], Field(max_length=20_000)] = ()
    commits: Annotated[tuple[CommitIn, ...], Field(max_length=5_000)] = ()
    commands: Annotated[tuple[CommandIn, ...], Field(max_length=1_000)] = ()
    outside_scope: Lines = ()
    powerful: Lines = ()
    symlinks: Lines = ()
    submodules: Lines = ()
    mode_changes: Lines = ()
    insertions: Annotated[int, Field(ge=0)] = 0
    deletions: Annotated[int, Field(ge=0)] = 0
    agent_says: Words = ""
    details: Lines = ()
    hazards: Lines = ()
    not_seen: Lines = ()
    attempts: Annotated[tuple[AttemptIn, ...], Field(max_length=200)] = ()
    evidence: Annotated[tuple[EvidenceIn, ...], Field(max_length=200)] = ()
    written_at: AwareDatetime | None = None
    returns: bool = False
    since_commit: Line = ""
    since_diff: str = ""
    since_diff_body_id: Id = ""
    snapshot_ref: Line = ""
    snapshot_commit: Line = ""
    session_body_id: Id = ""
    target_commit: Line = ""
    parts: Annotated[tuple[PartIn, ...], Field(max_length=50)] = ()
    files_body_id: Id = ""


class ReviewOpened(Reply):
    handoff_id: str
    status: str


class EditableOut(Reply):
    """A file that can be edited, by the digests of what the agent made and of what was there before."""

    path: str
    mode: str
    digest: str
    old_digest: str


class LeftOutOut(Reply):
    path: str
    why: str


class FileOut(Reply):
    """`edited` is what a reviewer made of it."""

    path: str
    mode: str
    old: str
    new: str
    digest: str
    edited: str | None = None
    edited_digest: str = ""


class ReviewFilesOut(Reply):
    """The texts of finished work that can be edited, exactly as they are in its commit."""

    handoff_id: str
    files: list[FileOut]
    left_out: list[LeftOutOut]


class CommitOut(Reply):
    commit: str
    subject: str


class CommandOut(Reply):
    command: str
    exit_code: int | None
    duration_ms: int
    step_id: str


class PartOut(Reply):
    person_id: str
    commits: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    changed_since: tuple[str, ...] = ()


class ReviewedOut(Reply):
    """Finished work: exactly `head_commit` is merged into `target_branch` on approval."""

    base_commit: str
    head_commit: str
    target_branch: str
    commits: list[CommitOut]
    commands: list[CommandOut]
    files: list[str]
    outside_scope: list[str]
    powerful: list[str]
    symlinks: list[str]
    submodules: list[str]
    mode_changes: list[str]
    target_commit: str = ""
    parts: tuple[PartOut, ...] = ()
    tree: str = ""
    editable: tuple[EditableOut, ...] = ()
    left_out: tuple[LeftOutOut, ...] = ()
