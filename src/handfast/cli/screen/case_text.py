"""A case as text with styles: what will happen, why it stopped, the evidence, what only a person decides."""

from collections.abc import Iterable
from typing import Any, Final

from rich.text import Text

from handfast.cli.output import cell, shown
from handfast.cli.screen.diff_text import diff_text, marked
from handfast.cli.show import after_lines, before_lines
from handfast.core.domain.diff_parts import MAX_CHARS

RISKS: Final = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "green",
}
_MAX_ASK: Final = 300


def case_text(h: dict[str, Any]) -> Text:
    """The facts first, the agent's own words last and marked as such."""
    out = Text()
    out.append(f" {cell(h['risk'])} ", RISKS.get(str(h["risk"]), "bold red"))
    out.append_text(marked(f" {cell(h['ask'], _MAX_ASK)}\n\n", "bold"))
    _lines(out, before_lines(h))
    out.append("\nWhat will happen\n", "bold")
    what = h["package"]["what_will_happen"]
    if what["kind"] == "diff":
        out.append_text(diff_text(str(what["text"])))
    else:
        for line in shown(what["text"], MAX_CHARS).splitlines() or [""]:
            out.append_text(marked(f"  {line}\n", "bold"))
    _lines(out, after_lines(h))
    return out


def row_text(h: dict[str, Any]) -> Text:
    """One case in the list: two lines."""
    out = Text(no_wrap=True)
    out.append(f"{cell(h['risk'], 10)} ", RISKS.get(str(h["risk"]), "bold red"))
    out.append(f"{cell(h['kind'], 20)}\n", "dim")
    out.append_text(marked(cell(h["ask"], _MAX_ASK)))
    if h.get("holder_name"):
        out.append(f"\n{cell(h['holder_name'], 60)} has it", "italic")
    return out


def _lines(out: Text, lines: Iterable[str]) -> None:
    for line in lines:
        title = bool(line) and not line.startswith(" ") and "  " not in line and len(line) < 60
        out.append_text(marked(f"{line}\n", "bold" if title else ""))
