"""Named one-shot fault points, so that a test may kill or fail the product at a chosen place.

`HANDFAST_FAULT=name:action[:nth]` arms one point for the life of the process; `action` is
`kill` (SIGKILL to itself), `raise`, `stop` (SIGSTOP) or `full` (no file takes another byte). Unset, a
point costs one dictionary look-up.
The core may not touch the operating system, so the process installs the actor at its start
(`engine.faults`).
"""

from collections.abc import Callable

POINTS = frozenset(
    {
        "action.before_commit",
        "action.after_commit",
        "handoff.before_wait",
        "decision.before_commit",
        "decision.after_commit",
        "checkpoint.before_commit",
        "checkpoint.after_commit",
        "grant.before_redeem",
        "grant.redeemed",
        "exec.before_run",
        "exec.after_run",
        "effect.before_commit",
        "effect.after_commit",
        "hook.before_propose",
        "hook.after_propose",
        "hook.after_decision",
        "result.before_commit",
        "run.before_start",
        "run.after_start",
        "merge.edited",
        "merge.before_update",
        "merge.after_update",
        "merge.before_push",
        "merge.after_push",
        "lease.before_take",
        "lease.after_take",
        "runner.after_lease",
        "runner.before_heartbeat",
        "runner.before_restore",
        "run.before_release",
        "takeover.before_handed_over",
        "takeover.before_recorded",
        "takeover.after_recorded",
        "snapshot.before_push",
        "snapshot.after_push",
        "relay.before_handover",
        "relay.after_handover",
        "relay.before_deliver",
        "relay.after_deliver",
        "relay.before_mark",
        "notify.after_send",
        "store.before_commit",
        "store.after_commit",
        "upgrade.before_commit",
        "backup.page",
        "restore.page",
        "restore.before_commit",
    }
)

_armed: dict[str, Callable[[], None]] = {}


def arm(name: str, act: Callable[[], None]) -> None:
    """Arm `name` once. Raises ValueError for a name that is not in `POINTS`."""
    if name not in POINTS:
        raise ValueError(f"unknown fault point {name!r}")
    _armed[name] = act


def disarm(name: str) -> None:
    """Idempotent. For tests that arm points in their own process."""
    _armed.pop(name, None)


def fault_point(name: str) -> None:
    """A place where a test may stop the process. Does nothing unless armed."""
    if _armed and (act := _armed.get(name)):
        act()
