"""How a package was read, and its rating by who decided on it: good, or lacking, and what."""

import re
from collections.abc import Sequence
from typing import Final

from handfast.core.domain.errors import NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_rating import HandoffAttended, HandoffRated, Part
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.inert import inert
from handfast.engine.kernel import Kernel, Result, Unit

MAX_NOTE: Final = 2_000
MAX_OPENED, MAX_NAME, DAY_MS = 50, 120, 86_400_000
PARTS: Final = tuple(part.value for part in Part)


_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class Ratings:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def rate(
        self,
        actor: Actor,
        handoff_id: str,
        *,
        good: bool,
        lacks: Sequence[str] = (),
        note: str = "",
    ) -> Result:
        """Record it. A second rating of the same person takes the place of the first.

        Raises NotFound, UsageError for a part no package has, NotPermitted (`not_the_decider`) for anybody
        who neither decided, approved nor holds it.
        """
        unknown = [each for each in lacks if each not in PARTS]
        if unknown:
            raise UsageError(
                f"`{unknown[0][:60]}` is no part of a package", hint=f"One of: {', '.join(PARTS)}."
            )
        if len(note) > MAX_NOTE:
            raise UsageError(f"`note` has {len(note)} characters; at most {MAX_NOTE} are taken")
        if good and lacks:
            raise UsageError("a good package lacks nothing", hint="Rate it as lacking.")

        def work(unit: Unit) -> Result:
            h = unit.get(Handoff, handoff_id)
            if actor.id not in deciders(h):
                raise NotPermitted(
                    f"you did not decide on handoff `{handoff_id}`",
                    code="not_the_decider",
                    hint="Who decides on a package rates it.",
                )
            event = HandoffRated(
                h.handoff_id,
                PersonId(actor.id),
                good,
                tuple(Part(each) for each in dict.fromkeys(lacks)),
                unit.put(note.strip()) if note.strip() else None,
            )
            unit.record(Handoff, handoff_id, [event])
            return {"handoff_id": handoff_id}

        return self._kernel.run(actor, work)

    def attended(
        self,
        actor: Actor,
        handoff_id: str,
        presented_digest: str,
        dwell_ms: int,
        opened: Sequence[str] = (),
    ) -> Result:
        """Record how long a person had a case in view and what they unfolded, as their browser says it. It decides
        nothing and shows nothing to anybody who decides.

        `dwell_ms` is at most a day; of `opened` the first 50 names count. Raises NotFound, NotPermitted for
        anything but a person, UsageError for an amount out of range or what is no digest.
        """
        if actor.type != "person":
            raise NotPermitted("a person reads a case; nothing else does")
        if not 0 < dwell_ms <= DAY_MS:
            raise UsageError(f"`ms` must be 1 to {DAY_MS}")
        if not _DIGEST.fullmatch(presented_digest):
            raise UsageError("`presented_digest` is no digest")
        names = dict.fromkeys(inert(each.strip(), MAX_NAME, multiline=False) for each in opened)

        def work(unit: Unit) -> Result:
            h = unit.get(Handoff, handoff_id)
            event = HandoffAttended(
                h.handoff_id,
                PersonId(actor.id),
                presented_digest,
                dwell_ms,
                tuple(name for name in names if name)[:MAX_OPENED],
            )
            unit.record(Handoff, handoff_id, [event])
            return {"handoff_id": handoff_id}

        return self._kernel.run(actor, work)


def deciders(h: Handoff) -> frozenset[str]:
    """Who decided, approved towards it, or holds it."""
    decided = h.decision.person_id if h.decision else ""
    return frozenset(filter(None, (decided, h.holder, *(vote.person_id for vote in h.votes))))
