"""Starts without a recorded effect: found in the run, and settled by the function's own probe."""

from collections.abc import Generator
from typing import Any, cast

from handfast.adapters.python.options import Declared
from handfast.adapters.python.receipt import Found, Ran, Start
from handfast.adapters.python.steps import Invoke, Step
from handfast.client import calls
from handfast.client.request import Json
from handfast.core.domain.errors import UsageError

_PAGES, _PAGE = 20, 100


def open_starts(run_id: str, tool: str) -> Generator[Step, Any, list[Start]]:
    """The approved starts of `tool` in this run of which nobody recorded an effect."""
    found: list[Start] = []
    after = ""
    for _ in range(_PAGES):
        page = yield calls.handoffs("decided", run_id=run_id, after=after, limit=_PAGE)
        for item in page["items"]:
            if item["status"] == "resumed" and item["kind"] == "approval" and not item["effect"]:
                detail = yield calls.handoff(str(item["handoff_id"]))
                start = _start(detail, tool)
                found += [start] if start else []
        after = str(page["next"])
        if not after:
            break
    return found


def _start(detail: Json, tool: str) -> Start | None:
    action, grant = detail.get("action"), detail.get("grant")
    if not isinstance(action, dict) or not isinstance(grant, dict) or action.get("tool") != tool:
        return None
    return Start(
        tool,
        dict(action["arguments"]),
        str(detail["handoff_id"]),
        str(grant["grant_id"]),
        str(grant["start_id"]),
        str(grant["redeemed_at"]),
    )


def settle(start: Start, declared: Declared) -> Generator[Step, Any, Found]:
    """What the probe says of a start, recorded. `unknown` leaves it to a person, unless the function is
    idempotent: then it is closed as unknown, and the call is asked for anew."""
    found: Found = "unknown"
    if (probe := declared.reconcile) is not None:
        said = yield Invoke(lambda: probe(start))
        if not isinstance(said, Ran) and said not in ("ran", "did_not_run", "unknown"):
            raise UsageError(
                f"`reconcile` gave {said!r}", hint="ran, did_not_run, unknown, or Ran(value)."
            )
        found = cast("Found", said)
    if isinstance(found, Ran) or found == "ran":
        yield _effect(start, "verified", "reconciled: the probe says that it ran")
    elif found == "did_not_run":
        yield _effect(start, "none", "reconciled: the probe says that it did not run")
    elif declared.idempotent:
        yield _effect(start, "unknown", "in doubt; declared idempotent, so it is asked for anew")
    return found


def _effect(start: Start, outcome: str, note: str) -> Step:
    return calls.effect(start.grant_id, start.start_id, outcome, note=note)
