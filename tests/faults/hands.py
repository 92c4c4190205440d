"""Read from the log alone: while a person holds a run, nothing of its agent happens, and one person holds it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

NEVER_MEANWHILE = frozenset(
    {"run.agent_started", "run.paused", "run.ready", "run.ended", "run.agent_never_started"}
)


def in_hands(entries: Iterable[tuple[str, str, bytes]]) -> Iterator[str]:
    """What contradicts that, in words. Entries are (stream, type, bytes), in order."""
    holder: dict[str, str] = {}
    for stream, kind, raw in entries:
        data: dict[str, Any] = json.loads(raw)["data"]
        if kind == "run.taken_over":
            if stream in holder:
                yield f"{stream} was taken over by {data['by']} while {holder[stream]} held it"
            holder[stream] = data["by"]
        elif kind == "run.handed_back":
            if holder.pop(stream, "") == "":
                yield f"{stream} was handed back, and nobody held it"
        elif stream in holder and kind in NEVER_MEANWHILE:
            yield f"{stream} has `{kind}` while {holder[stream]} held it"
        elif stream in holder and kind == "step.judged" and _let_through(data):
            yield f"{stream} let a call through while {holder[stream]} held it"


def _let_through(step: dict[str, Any]) -> bool:
    return step["verdict"] in ("allow", "wait") and step["effect"] != "read"
