"""What a person gets who has taken a run over, and what became of earlier take-overs: as JSON."""

from typing import Final

from handfast.core.domain.codec import encode, format_time
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.run import Run
from handfast.core.domain.takeover import Takeover
from handfast.engine.kernel import Kernel, Result
from handfast.engine.people import People

_PRIVATE: Final = frozenset(
    {"command", "session", "output", "open_steps", "usage", "limits", "takeovers"}
)


class TakeoverViews:
    """Read only."""

    def __init__(self, kernel: Kernel, people: People) -> None:
        self._kernel = kernel
        self._people = people

    def run_doc(self, run: Run) -> Result:
        """What may be shown of a run's state as it is, and who holds it."""
        doc = encode(run)
        return {k: v for k, v in doc.items() if k not in _PRIVATE} | self.holding(run)

    def holding(self, run: Run) -> Result:
        """Who holds the run now, for lists and heads; `held_by` '' when nobody does."""
        now = run.held
        return {
            "held_by": now.by if now else "",
            "held_by_name": self._people.name(now.by) if now else "",
            "held_since": format_time(now.at) if now else "",
        }

    def all(self, run: Run) -> list[Result]:
        """Oldest first. The last one is in force while its `handed_back_at` is ''."""
        return [self._one(t) for t in run.takeovers]

    def _one(self, t: Takeover) -> Result:
        point, back, work = t.point, t.back, t.work
        return {
            "by": t.by,
            "by_name": self._people.name(t.by),
            "at": format_time(t.at),
            "reason": self._text(t.reason),
            "handoff_id": t.handoff_id,
            "handed_over_at": format_time(point.at) if point else "",
            "host": point.host if point else "",
            "from_head": point.head_commit if point else "",
            "from_commit": point.snapshot_commit if point else "",
            "found": self._json(point.found if point else None),
            "handed_back_at": format_time(back.at) if back else "",
            "handed_back_by": self._people.name(back.by) if back else "",
            "note": self._text(back.note if back else None),
            "then": back.following.value if back else "",
            "recorded": work is not None,
            "to_head": work.head_commit if work else "",
            "to_commit": work.snapshot_commit if work else "",
            "changed": work.changed if work else 0,
            "work_digest": work.body.digest if work and work.body else "",
            "work": self._json(work.body if work else None),
            "told": t.told,
        }

    def _text(self, ref: BodyRef | None) -> str:
        return self._kernel.vault.text(ref)

    def _json(self, ref: BodyRef | None) -> Result:
        found = self._kernel.vault.json(ref)
        return found if isinstance(found, dict) else {}
