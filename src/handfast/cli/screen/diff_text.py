"""A unified diff for a terminal: colours, hunks, line numbers of both sides. Every character is inert."""

import re
from typing import Final

from rich.text import Text

from handfast.core.domain.diff_parts import MAX_LINE, MAX_LINES
from handfast.core.domain.inert import inert

_HUNK: Final = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_MARK: Final = re.compile("\u2039U\\+[0-9A-F]{4,6}[^\u203a]{0,12}\u203a")
_HEAD: Final = ("diff --git ", "index ", "old mode", "new mode", "similarity", "rename ", "Binary ")


def diff_text(diff: str) -> Text:
    """At most 4,000 lines; a cut says so. Text of the diff can neither style nor steer what is shown."""
    out = Text(no_wrap=True)
    lines = diff.split("\n")
    old = new = 0
    in_hunk = False
    for line in lines[:MAX_LINES]:
        found = _HUNK.match(line)
        if found:
            old, new, in_hunk = int(found[1]), int(found[2]), True
            out.append_text(_line("", "", line, "bold cyan"))
        elif line.startswith("diff --git "):
            in_hunk = False
            out.append("\n")
            out.append_text(_line("", "", line, "bold reverse"))
        elif not in_hunk:
            out.append_text(_line("", "", line, "dim" if line.startswith(_HEAD) else "bold"))
        elif line.startswith("+"):
            out.append_text(_line("", str(new), line, "green"))
            new += 1
        elif line.startswith("-"):
            out.append_text(_line(str(old), "", line, "red"))
            old += 1
        else:
            out.append_text(_line(str(old), str(new), line, ""))
            old, new = old + 1, new + 1
    if len(lines) > MAX_LINES:
        cut = f"… cut: {MAX_LINES:,} of {len(lines):,} lines shown; `handfast handoff changes` has the rest\n"
        out.append(cut, "bold yellow")
    return out


def marked(text: str, style: str = "") -> Text:
    """Inert text already; the marks of hidden characters stand out."""
    out = Text(text, style=style)
    out.highlight_regex(_MARK, "bold black on yellow")
    return out


def _line(old: str, new: str, line: str, style: str) -> Text:
    out = Text()
    out.append(f"{old:>5} {new:>5} ", "dim")
    out.append_text(marked(inert(line.replace("\t", "    "), MAX_LINE, multiline=False), style))
    return out.append("\n")
