"""What a session of Claude Code has used, read from its transcript as it grows.

Format: one JSON object a line (Claude Code 2.1). An assistant's message stands on one line for each of
its blocks, all with the same `message.id` and `message.usage`; an `api-request` says when the model was
asked; a `cost-state`, written when the process ends, has the cost of the session so far. The file belongs
to the agent's user: what it says is a report, not proof.
"""

import json
import os
import re
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from handfast.runner.hooks.payload import Json

MAX_READ: Final = 32 * 1024 * 1024
MAX_LINE: Final = 8 * 1024 * 1024
_SESSIONS: Final = 500
_MOST: Final = 1_000_000_000
_STANDARD, _LONG = 200_000, 1_000_000
# A longer silence before an answer is a machine that slept or a person, not a model.
_LONGEST_ANSWER_MS: Final = 15 * 60 * 1000
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_INPUTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(slots=True)
class Tally:
    """Totals of one session so far. `context` is what the newest answer had before it, in tokens."""

    offset: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    reasoning_ms: int = 0
    compactions: int = 0
    heard: int = 0
    context: int = 0
    window: int = 0
    seen: bool = False
    cost: Decimal = Decimal(0)
    said: Json = field(default_factory=dict)
    compacting: bool = False
    _message: str = ""
    _counted: tuple[int, int] = (0, 0)
    _before: datetime | None = None

    def add(self, line: bytes) -> None:
        """One line. What cannot be read is passed over: the format is not ours."""
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(entry, dict) or entry.get("isSidechain") is True:
            return
        at = _time(entry.get("timestamp"))
        if entry.get("type") == "system" and entry.get("subtype") == "compact_boundary":
            self.compactions += 1
            self.compacting = False
            self.context = 0
        message = entry.get("message")
        if entry.get("type") == "assistant" and isinstance(message, dict):
            self._answer(message, at)
        if entry.get("type") == "cost-state" and entry.get("hasUnknownModelCost") is not True:
            self.cost = max(self.cost, _money(entry.get("totalCostUSD")))
        if at is not None and entry.get("type") in ("assistant", "user", "api-request"):
            self._before = at

    def _answer(self, message: dict[str, Any], at: datetime | None) -> None:
        usage = message.get("usage")
        if not isinstance(usage, dict) or message.get("model") == "<synthetic>":
            return
        given = sum(_count(usage.get(name)) for name in _INPUTS)
        answered = _count(usage.get("output_tokens"))
        if str(message.get("id")) != self._message:
            self._message, self._counted = str(message.get("id")), (0, 0)
        counted = self._counted
        self._counted = (max(given, counted[0]), max(answered, counted[1]))
        self.tokens_in += self._counted[0] - counted[0]
        self.tokens_out += self._counted[1] - counted[1]
        self.context = sum(self._counted)
        self.window = max(self.window, window_of(str(message.get("model")), self.context))
        self.seen = True
        if at is not None and self._before is not None:
            took = int((at - self._before).total_seconds() * 1000)
            self.reasoning_ms += min(max(took, 0), _LONGEST_ANSWER_MS)

    def figures(self) -> Json:
        """As the API takes it."""
        if not self.seen:
            return {"compactions": self.heard} if self.heard else {}
        found: Json = {
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "reasoning_ms": self.reasoning_ms,
            "compactions": max(self.compactions + int(self.compacting), self.heard),
        }
        if self.cost:
            found["cost_usd"] = f"{self.cost:.12f}".rstrip("0").rstrip(".")
        if self.window and self.context:
            found["context_fill"] = f"{self.context / self.window:.3f}"
        return found


def window_of(model: str, context: int) -> int:
    """How much a model takes in, in tokens; 0 where it is not known."""
    if "claude" not in model:
        return 0
    return _LONG if "[1m]" in model or context > _STANDARD else _STANDARD


class Transcripts:
    """Reads each transcript on from where it was left. Thread-safe: results of one turn come at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Tally] = OrderedDict()

    def news(self, session_id: str, path: str, *, compacting: bool = False) -> Json:
        """Totals, where something worth telling changed since they were told last; else empty."""
        with self._lock:
            tally = self._known.setdefault(session_id, Tally())
            while len(self._known) > _SESSIONS:
                self._known.popitem(last=False)
            read_on(tally, session_id, path)
            if compacting:
                tally.heard, tally.compacting = tally.heard + 1, True
            figures = tally.figures()
            if not _worth_telling(tally.said, figures):
                return {}
            tally.said = figures
            return dict(figures)


def read_on(tally: Tally, session_id: str, path: str) -> None:
    """Only a regular file that is named as the session's transcript is; at most 32 MB at a time."""
    name = Path(path)
    if not path or not _SESSION_ID.fullmatch(session_id) or name.name != f"{session_id}.jsonl":
        return
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            return
        tally.offset = min(tally.offset, about.st_size)  # cut: what was counted stays counted
        file.seek(tally.offset)
        data = file.read(MAX_READ)
    whole = data.rfind(b"\n") + 1
    if not whole and len(data) > MAX_LINE:
        tally.offset += len(data)  # no line of a transcript is that long
        return
    for line in data[:whole].splitlines():
        tally.add(line)
    tally.offset += whole


def _worth_telling(said: Json, now: Json) -> bool:
    if not now or now == said:
        return False
    if not said or any(now.get(name) != said.get(name) for name in ("compactions", "cost_usd")):
        return True
    moved = float(now.get("context_fill", 0)) - float(said.get("context_fill", 0))
    thought = int(now.get("reasoning_ms", 0)) - int(said.get("reasoning_ms", 0))
    return abs(moved) >= 0.01 or thought >= 10_000


def _money(value: object) -> Decimal:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return Decimal(0)
    amount = Decimal(str(value))
    return amount if amount.is_finite() and 0 < amount < _MOST else Decimal(0)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
