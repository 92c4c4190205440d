"""The editor on the page of finished work: opened, shown again with what was typed, and decided on once it was seen."""

from collections.abc import Iterable, Mapping

from handfast.core.domain.errors import HandfastError
from handfast.core.domain.reviewed_files import MAX_EDIT_BYTES
from handfast.engine.kernel import Result
from handfast.engine.review_files import files_view
from handfast.server.pages.reader import Reader
from handfast.server.web.decision_form import DecisionInput
from handfast.server.web.edit_view import (
    SHOWN,
    EditView,
    changed_texts,
    edit_view,
    typed_texts,
)
from handfast.server.web.reading import Record, mapping, records, text

SHOW_FIRST = (
    "Nothing was decided: this is what you would approve. Look at your edit, then approve it."
)

LEFT_BEHIND = (
    "You edited a file, and this approval would leave that out. Approve with edits; or load the page again to drop "
    "your edit."
)


def edit_of(
    reader: Reader,
    handoff: Result,
    *,
    opened: Iterable[str] = (),
    form: Mapping[str, str] | None = None,
) -> EditView:
    """What is open, typed, put to the others or decided. The texts are read only where one of these is so."""
    opened, form = tuple(opened), form or {}
    typed = typed_texts(form)
    wanted = (*opened, *((form["open"],) if form.get("open") else ()))
    files = texts_of(reader, handoff) if wanted or typed or _edited(handoff) else []
    return edit_view(handoff, files, wanted, typed)


def texts_of(reader: Reader, handoff: Result) -> list[Record]:
    """None for what is no finished work, or was erased."""
    if handoff["kind"] != "review":
        return []
    try:
        return records(files_view(reader.engine.kernel, str(handoff["handoff_id"])), "files")
    except HandfastError:
        return []


def edited_files(reader: Reader, handoff: Result, form: Mapping[str, str]) -> dict[str, str]:
    """The files as they should be, by path."""
    return changed_texts(texts_of(reader, handoff), form) if typed_texts(form) else {}


def unseen(reader: Reader, handoff: Result, form: Mapping[str, str], given: DecisionInput) -> str:
    """Why this form is not decided on yet: an edit is exactly what was shown, or it is shown first; an approval
    without it does not drop it unsaid."""
    if not given.edits_files:
        return LEFT_BEHIND if given.kind == "approve" and _drops(reader, handoff, form) else ""
    if sum(len(value) for value in typed_texts(form).values()) > MAX_EDIT_BYTES:
        return f"The edited files are larger than {MAX_EDIT_BYTES:,} bytes together."
    view = edit_of(reader, handoff, form=form)
    if not view.shown:
        return "Nothing is edited. Open a file under Changes and edit it, or approve the work as it is."
    return "" if form.get(SHOWN) == view.shown else SHOW_FIRST


def _edited(handoff: Result) -> bool:
    """Whether somebody's edit is put to the others here, or was decided."""
    decided = mapping(handoff, "decision").get("edited_call")
    calls = (decided, handoff.get("edited_call"), handoff.get("action"))
    return any("edits" in mapping(c, "arguments") for c in calls if isinstance(c, Mapping))


def _drops(reader: Reader, handoff: Result, form: Mapping[str, str]) -> bool:
    """Whether the form holds an edit that is not the one put to a vote."""
    if not typed_texts(form):
        return False
    files = texts_of(reader, handoff)
    voted = {text(f, "path"): f["edited"] for f in files if isinstance(f.get("edited"), str)}
    return changed_texts(files, form) not in ({}, voted)
