"""The text of a file change as a reviewer may write it anew: the content of a Write, what goes in of an Edit.

Of such a text the call holds a digest. It is filled in only where the case itself shows it to the last character: as a
new file, or as somebody's edit.
"""

from dataclasses import dataclass

from handfast.core.domain.canonical import sha256
from handfast.core.domain.inert import inert
from handfast.core.policy.editing import CONTENT
from handfast.server.web.reading import Record, mapping, text

_LABELS = {
    "Write": "Content that the file gets instead",
    "Edit": "Text that goes in instead",
}


@dataclass(frozen=True, slots=True)
class ContentEdit:
    """`known`: `text` is what the call as it is put to people writes. `hidden`: it cannot be shown in a field."""

    label: str
    text: str = ""
    known: bool = False
    hidden: bool = False


def content_edit(handoff: Record) -> ContentEdit | None:
    """None for what is no such change."""
    call = mapping(handoff, "edited_call") or mapping(handoff, "action")
    tool = text(call, "tool")
    digest = text(mapping(call, "arguments"), CONTENT.get(tool, ""))
    if tool not in _LABELS or not digest:
        return None
    for found in (text(handoff, "edited_text"), _new_file(handoff)):
        if found and sha256(found.encode("utf-8", "surrogatepass")) == digest:
            if inert(found, len(found)) != found:
                return ContentEdit(_LABELS[tool], hidden=True)
            return ContentEdit(_LABELS[tool], found, known=True)
    return ContentEdit(_LABELS[tool])


def _new_file(handoff: Record) -> str:
    """The lines that a diff of a new file adds; the digest says whether they are all of it."""
    will = mapping(mapping(handoff, "package"), "what_will_happen")
    head, _, body = text(will, "text").partition("\n@@ ")
    if text(will, "kind") != "diff" or not head.startswith("--- /dev/null\n"):
        return ""
    lines = body.split("\n")[1:]
    found = "".join(f"{line[1:]}\n" for line in lines if line.startswith("+"))
    return found.removesuffix("\n") if lines[-2:-1] == ["\\ No newline at end of file"] else found
