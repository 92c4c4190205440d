"""The editor of a reviewer: which files of the change are open, what they hold, and what differs from the agent's.

A form field cannot carry every text: browsers make all line ends alike, and hidden characters would be edited
unseen. Files that hold such are named with the reason; they can be edited with the command line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from handfast.core.domain.canonical import digest
from handfast.core.domain.inert import inert
from handfast.core.domain.reviewed_files import text_digest
from handfast.observe.text_diff import text_diff
from handfast.server.web.diff import DiffView, parse_diff
from handfast.server.web.reading import Record, mapping, records, text

FIELD = "edit:"
SHOWN = "edits_shown"
_MIXED = "its line ends differ from line to line"
_HIDDEN = "it holds characters that do not show"
_ELSEWHERE = "Edit it with `handfast handoff approve --edit-file`."


@dataclass(frozen=True, slots=True)
class Editor:
    """One open file. With a `problem` there is no field for it. `typed`: what it holds is not the agent's any more."""

    path: str
    field: str
    text: str
    rows: int
    problem: str = ""
    typed: bool = False


@dataclass(frozen=True, slots=True)
class EditedFile:
    """One file of an edit, with the digests of what it was and is."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class EditView:
    """`may` are the files that can be opened, `left_out` the others with the reason. `diff` leads from what the agent
    made to what is approved; `shown` names exactly that. `by` is whose edit is put to the others, or was decided."""

    may: frozenset[str] = frozenset()
    left_out: tuple[tuple[str, str], ...] = ()
    editors: Mapping[str, Editor] | None = None
    files: tuple[EditedFile, ...] = ()
    diff: DiffView | None = None
    shown: str = ""
    by: str = ""
    decided: bool = False

    def editor(self, path: str) -> Editor | None:
        return (self.editors or {}).get(path)


def edit_view(
    handoff: Record, files: Iterable[Record], opened: Iterable[str], typed: Mapping[str, str]
) -> EditView:
    """`files` are as `GET …/files` gives them, or none where nobody edits. `typed` are the fields of a form by path,
    as the browser sent them."""
    work = mapping(mapping(handoff, "package"), "review")
    offered = handoff.get("offered")
    waits = (
        bool(handoff.get("waiting"))
        and isinstance(offered, list)
        and "approve_with_edits" in offered
    )
    known = {text(file, "path"): file for file in files}
    now = {path: as_typed(file, typed[path]) for path, file in known.items() if path in typed}
    edited = {p: e for p, file in known.items() if isinstance(e := file.get("edited"), str)}
    result = {**({} if now else edited), **now}
    changed = {p: t for p, t in result.items() if t != known[p].get("new")}
    open_now = [p for p in known if waits and (p in now or p in opened or p in edited)]
    return EditView(
        may=frozenset(text(f, "path") for f in records(work, "editable")) if waits else frozenset(),
        left_out=tuple((text(f, "path"), text(f, "why")) for f in records(work, "left_out"))
        if waits
        else (),
        editors={p: _editor(known[p], result.get(p), typed=p in now) for p in open_now},
        files=tuple(
            EditedFile(p, text(known[p], "digest"), text_digest(now)) for p, now in changed.items()
        ),
        diff=own_diff(known, changed),
        shown=digest(changed) if changed else "",
        by=_by(handoff) if edited and not now else "",
        decided=bool(handoff.get("decision")),
    )


def typed_texts(form: Mapping[str, str]) -> dict[str, str]:
    """The fields of the editors, by path."""
    return {
        name.removeprefix(FIELD): value for name, value in form.items() if name.startswith(FIELD)
    }


def changed_texts(files: Iterable[Record], form: Mapping[str, str]) -> dict[str, str]:
    """By path, the typed texts that are not the agent's, with the line ends of the file itself."""
    typed = typed_texts(form)
    found = {}
    for file in files:
        path = text(file, "path")
        if (
            path in typed
            and not _problem(file)
            and (now := as_typed(file, typed[path])) != file.get("new")
        ):
            found[path] = now
    return found


def as_typed(file: Record, value: str) -> str:
    """Browsers send CR LF for every line end: the file's own comes back."""
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    return plain.replace("\n", "\r\n") if "\r\n" in text(file, "new") else plain


def own_diff(files: Mapping[str, Record], texts: Mapping[str, str]) -> DiffView | None:
    """None where nothing differs."""
    parts = [text_diff(path, text(files[path], "new"), now) for path, now in texts.items()]
    if not any(parts):
        return None
    view = parse_diff("".join(parts), open_all=True)
    shown = (replace(file, anchor=f"own-{n}") for n, file in enumerate(view.files, 1))
    return replace(view, files=tuple(shown))


def _editor(file: Record, now: str | None, *, typed: bool) -> Editor:
    path, made = text(file, "path"), text(file, "new")
    shown = made if now is None else now
    rows = min(max(shown.count("\n") + 2, 4), 30)
    return Editor(path, FIELD + path, shown, rows, _problem(file), typed or now is not None)


def _problem(file: Record) -> str:
    made = text(file, "new")
    ends = made.replace("\r\n", "")
    if "\r" in ends or ("\r\n" in made and "\n" in ends):
        return f"It cannot be edited here: {_MIXED}. {_ELSEWHERE}"
    plain = made.replace("\r\n", "\n")
    if inert(plain, len(plain)) != plain:
        return f"It cannot be edited here: {_HIDDEN}. {_ELSEWHERE}"
    return ""


def _by(handoff: Record) -> str:
    call = mapping(mapping(handoff, "decision"), "edited_call") or mapping(handoff, "edited_call")
    author = text(mapping(call or mapping(handoff, "action"), "arguments"), "author")
    return author or text(handoff, "edited_by")
