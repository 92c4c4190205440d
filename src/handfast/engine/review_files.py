"""The texts of finished work that are kept for a reviewer's edit, beside the facts its policy saw."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from handfast.core.domain.action import Call
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.errors import StaleDecision, UsageError
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.reviewed_files import (
    FileEdit,
    LeftOut,
    ReviewedFile,
    edits_in,
    text_digest,
)
from handfast.engine.effects import open_package
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.packages import ReviewFacts


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """`changes` and `hazards` are what the review was judged by; `files` some of the changed files."""

    files: tuple[ReviewedFile, ...]
    changes: tuple[ChangedFile, ...] = ()
    hazards: tuple[str, ...] = ()


def keep_files(unit: Unit, f: ReviewFacts) -> BodyRef | None:
    """None where no file can be edited."""
    if not f.files:
        return None
    return unit.put_json(encode(KeptFiles(f.files, f.changes, f.hazards)))


def kept_files(kernel: Kernel, handoff: Handoff) -> KeptFiles:
    """Raises UsageError where there are none, StaleDecision where they were erased."""
    if handoff.files is None:
        raise UsageError(
            f"handoff `{handoff.handoff_id}` has no files that can be edited",
            hint="Request changes, and say what should be different.",
        )
    content = kernel.vault.open(handoff.files.body_id)
    if content.erased:
        raise StaleDecision("the files of this work were erased; nobody can edit them")
    return decode(KeptFiles, cast("dict[str, object]", json.loads(content.data)))


def edited_texts(kernel: Kernel, handoff: Handoff) -> dict[str, str]:
    """By path, what a reviewer made of the files: as decided, else as it is put to the others. Empty where nobody
    edited them, or where it was erased."""
    d = handoff.decision
    ref = (d.edited_text if d else None) or (
        handoff.edit.text if handoff.edit else handoff.edited_text
    )
    content = kernel.vault.open(ref.body_id) if ref else None
    if handoff.files is None or content is None or content.erased:
        return {}
    return {str(path): str(text) for path, text in json.loads(content.data).items()}


def files_view(kernel: Kernel, handoff_id: str) -> Result:
    """Every file that can be edited, with its texts, and what a reviewer made of it. Raises as `kept_files`."""
    handoff = kernel.state(Handoff, handoff_id)
    kept, edited = kept_files(kernel, handoff), edited_texts(kernel, handoff)
    work = open_package(kernel, handoff).review
    left_out: tuple[LeftOut, ...] = work.left_out if work else ()
    return {
        "handoff_id": handoff_id,
        "files": [
            {
                "path": file.path,
                "mode": file.mode,
                "old": file.old,
                "new": file.new,
                "digest": text_digest(file.new),
                "edited": edited.get(file.path),
                "edited_digest": text_digest(edited[file.path]) if file.path in edited else "",
            }
            for file in kept.files
        ],
        "left_out": [{"path": each.path, "why": each.why} for each in left_out],
    }


def edits_of(call: Call) -> tuple[FileEdit, ...]:
    """What the call of a merge changes on top of its commit."""
    return edits_in(cast("Mapping[str, object]", call.arguments))
