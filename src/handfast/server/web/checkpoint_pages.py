"""The contexts of the checkpoint pages: records of the API in, what their templates name out."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from handfast.server.web.checkpoint_view import ALL, checkpoint_of, deferred_of, opened_rows
from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.reading import Record


def checkpoint_page(
    checkpoint: Record,
    *,
    shell: Shell,
    now: datetime,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Context:
    """For `checkpoint.html`. `typed` and `problems` (by handoff) show a refused pass again."""
    view = checkpoint_of(checkpoint, shell.person_id, typed, problems)
    reason = (typed or {}).get("reason", "")
    return context(shell, now, nav="checkpoints", checkpoint=view, reason=reason, all_of=ALL)


def checkpoints_page(
    opened: Iterable[Record],
    deferred: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    told_today: int,
) -> Context:
    """For `checkpoints.html`: what waits for one, and the latest."""
    return context(
        shell,
        now,
        nav="checkpoints",
        deferred=deferred_of(deferred),
        opened=opened_rows(opened),
        told_today=told_today,
    )
