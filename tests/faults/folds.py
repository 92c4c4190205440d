"""What each stream's events lead to, read by the checker itself: plain JSON, nothing of the product.

A state is a mapping of the few fields whose wrong value would lose or double something. The stored
projection of the stream must say the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
Fold = Callable[[Json, str, Json], None]

HANDOFF_STATUS = {
    "handoff.requested": "requested",
    "handoff.routed": "routed",
    "handoff.acknowledged": "acknowledged",
    "handoff.released": "routed",
    "handoff.rerouted": "routed",
    "handoff.decided": "decided",
    "handoff.overridden": "decided",
    "handoff.auto_proceeded": "decided",
    "grant.redeemed": "resumed",
    "handoff.closed": "closed",
    "handoff.superseded": "superseded",
    "handoff.withdrawn": "withdrawn",
    "handoff.expired": "expired",
    "handoff.returned": "incomplete",
}
RUN_STATUS = {
    "run.leased": "leased",
    "run.agent_started": "running",
    "run.paused": "paused",
    "run.ready": "ready",
    "run.agent_exited": "exited",
    "run.agent_never_started": "exited",
    "run.handed_back": "ready",
    "run.ended": "ended",
}
GRANT_STATUS = {
    "grant.redeemed": "redeemed",
    "grant.expired": "expired",
    "grant.reopened": "minted",
}


def _handoff(state: Json, kind: str, data: Json) -> None:
    state["status"] = HANDOFF_STATUS.get(kind, state.get("status"))
    if kind == "handoff.decided":
        state["decision"] = data["decision"]
    elif kind == "handoff.overridden":
        state["decision"] = "approve_with_edits" if state.get("edited") else "approve"
    elif kind == "handoff.auto_proceeded":
        state["decision"] = "approve"
    elif kind == "handoff.edited":
        state["edited"] = True
    elif kind == "handoff.closed":
        state["outcome"] = data["outcome"]
    elif kind == "effect.recorded":
        _effect(state, data)
    elif kind.startswith("grant."):
        _grant(state, kind, data)


def _grant(state: Json, kind: str, data: Json) -> None:
    if kind == "grant.minted":
        state |= {"grant": "minted", "uses": data.get("uses", 1), "used": 0}
    elif kind == "grant.revoked":
        running = state["grant"] == "redeemed"
        state["grant"] = "redeemed" if running else "revoked"
        state["uses"] = max(state["used"], 1)
    elif kind in GRANT_STATUS:
        state["grant"] = GRANT_STATUS[kind]
    if kind == "grant.redeemed":
        state |= {"used": state["used"] + 1, "start": data["start_id"], "effect": None}


def _effect(state: Json, data: Json) -> None:
    state["effect"] = data["outcome"]
    if state["used"] >= state["uses"]:
        state["grant"] = "settled"
        return
    state["grant"] = "blocked" if data["outcome"] == "unknown" else "minted"
    state["status"] = "decided"


def _run(state: Json, kind: str, data: Json) -> None:
    if kind == "run.created":
        state["status"] = "queued" if data.get("command") else "running"
    if kind == "run.taken_over":
        state["held"], state["waits"] = True, []
    elif kind == "run.handed_back":
        state["held"] = False
    status = RUN_STATUS.get(kind, state.get("status"))
    state["status"] = "taken_over" if state.get("held") and status != "ended" else status
    if kind == "run.leased":
        state["epoch"] = data["epoch"]
    elif kind == "run.paused":
        state["waits"] = data.get("waiting_on", [])
    elif kind == "run.ready":
        state["waits"] = []
    elif kind == "run.ended":
        state["outcome"] = data["outcome"]


def _task(state: Json, kind: str, data: Json) -> None:
    state["status"] = data["outcome"] if kind == "task.closed" else "open"


def _agent(state: Json, kind: str, _: Json) -> None:
    if kind in ("agent.registered", "agent.reinstated"):
        state["status"] = "active"
    elif kind == "agent.suspended":
        state["status"] = "suspended"


FOLDS: Mapping[str, Fold] = {"handoff": _handoff, "run": _run, "task": _task, "agent": _agent}


def stored(kind: str, status: str, doc: Json) -> Json:
    """The same fields, as the stored projection has them. It leaves out what has its default."""
    found: Json = {"status": status}
    if kind == "handoff":
        grant = doc.get("grant") or {}
        found |= {
            "decision": (doc.get("decision") or {}).get("kind"),
            "grant": grant.get("status", "minted") if grant else None,
            "uses": grant.get("uses", 1) if grant else None,
            "start": grant.get("start_id"),
            "effect": (doc.get("effect") or {}).get("outcome"),
            "outcome": doc.get("outcome") if status == "closed" else None,
        }
    elif kind == "run":
        found |= {
            "epoch": doc.get("epoch"),
            "waits": doc.get("waiting_on"),
            "outcome": doc.get("outcome"),
        }
    return found


class Told:
    """Folds the entries of a log, in order. `states` holds (version, state) of each stream."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[int, Json]] = {}

    def add(self, stream: str, version: int, kind: str, data: Json) -> None:
        _, state = self.states.get(stream, (0, {}))
        fold = FOLDS.get(stream.partition("/")[0])
        if fold is not None:
            fold(state, kind, data)
        self.states[stream] = (version, state)

    def differs(self, stream: str, version: int, status: str, doc: Json) -> str:
        """How the stored projection is not what the entries say; '' when it is."""
        told_version, told = self.states.get(stream, (0, {}))
        if told_version != version:
            return f"{stream} has {told_version} entries, and its projection is of {version}"
        kind = stream.partition("/")[0]
        if kind not in FOLDS:
            return ""
        for name, value in stored(kind, status, doc).items():
            if (told.get(name) or None) != (value or None):
                return f"{stream}: `{name}` is {told.get(name)} in the log and {value} in the queue"
        return ""
