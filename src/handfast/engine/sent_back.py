"""Work that comes again after a person sent it back: which review that was, and what differs since."""

from typing import Final, cast

from handfast.core.domain.codec import format_time
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.package import SinceReview
from handfast.engine.effects import open_package
from handfast.engine.kernel import Kernel
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query

MAX_DIFF: Final = 100_000
_MAX_ROWS: Final = 200


def since_review(kernel: Kernel, task_id: str, commit: str, diff: str) -> SinceReview | None:
    """The newest review of the task that asked for changes, if it was of `commit`. The runner's diff starts
    there; who decided and why is from the record."""
    query = Query("handoff", task_id=task_id, newest_first=True, limit=_MAX_ROWS)
    for row in kernel.store.find(query) if task_id and commit else ():
        h = cast("Handoff", load(BY_NAME["handoff"], row.doc))
        d = h.decision
        if h.kind is not HandoffKind.REVIEW or not d or d.kind is not DecisionKind.REQUEST_CHANGES:
            continue
        review = open_package(kernel, h).review
        if review is None or review.head_commit != commit:
            return None
        reason = kernel.vault.text(d.reason)
        at = format_time(d.at)
        return SinceReview(h.handoff_id, commit, d.person_id, at, reason[:2_000], diff[:MAX_DIFF])
    return None
