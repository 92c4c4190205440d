"""`handfast policy facts --sql`: one SQL text a line in, what the built-in policy would stop in it a line out."""

import json
from collections.abc import Iterable
from typing import TextIO

from handfast.observe.report import gated_report
from handfast.observe.sql import sql_facts

_BAD = "the line is not one JSON string"


def run(lines: Iterable[str], out: TextIO) -> int:
    """Reads one JSON string a line and writes one JSON object a line, in order. Gives the exit code, 0.

    An object is `{"hazards": […], "opaque": […], "facts": […]}`. A line that is no JSON string gives one with
    the opaque reason `bad-line` and an `error`, so that nothing unread passes for harmless.
    """
    for line in lines:
        out.write(json.dumps(_answer(line), ensure_ascii=True) + "\n")
        out.flush()
    return 0


def _answer(line: str) -> dict[str, object]:
    try:
        text = json.loads(line)
    except (ValueError, RecursionError):
        text = None
    if not isinstance(text, str):
        return {"hazards": [], "opaque": ["bad-line"], "facts": [], "error": _BAD}
    return {**gated_report(sql_facts(text))}
