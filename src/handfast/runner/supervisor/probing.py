"""Doubts that a declared probe can settle: the runner runs it in the worktree and reports what it found.

A doubt without a probe, or one whose probe gives no answer, stays with people.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from handfast.client import calls, grant_calls
from handfast.core.domain.errors import HandfastError
from handfast.runner.dry_run import dry_run, scope_of
from handfast.runner.supervisor.held import Held

log = logging.getLogger("handfast.runner")


def still_open(held: Held, doubts: Iterable[str], worktree: Path) -> list[str]:
    """The doubts that are left after every declared probe was tried."""
    return [doubt for doubt in doubts if not _settled(held, doubt, worktree)]


def _settled(held: Held, doubt: str, worktree: Path) -> bool:
    try:
        handoff = held.send(calls.handoff(doubt))
        words = ((handoff.get("package") or {}).get("contract") or {}).get("reconcile") or []
        if not words or not handoff.get("waiting"):
            return False
        cwd = str((handoff.get("action") or {}).get("cwd") or ".")
        scope = scope_of(worktree, cwd)
        found = dry_run([str(word) for word in words], scope, contained=held.contained)
        answer = held.send(grant_calls.reconciled(doubt, found.fields()))["answer"]
    except HandfastError as error:
        log.warning("the doubt `%s` could not be probed: %s", doubt, error.message)
        return False
    return bool(answer)
