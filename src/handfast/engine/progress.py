"""How far a handoff is: what it takes, who approved, who can still decide, who is asked next and when."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from handfast.core.domain import handoff_routing as routing
from handfast.core.domain import handoff_votes as votes
from handfast.core.domain.codec import format_time
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.handoff import Handoff, Vote
from handfast.core.domain.ids import PersonId
from handfast.core.domain.requirement import Silence, in_words
from handfast.engine.audiences import Audiences
from handfast.engine.kernel import Result, Unit
from handfast.engine.people import People

MAX_NAMED = 50
_SILENCE = {
    Silence.AUTO_PROCEED: "a machine lets it go on, as the policy says; no person approves it",
    Silence.ESCALATE: "the last people are asked again, then every reviewer, then it ends: nothing runs",
    Silence.EXPIRE: "it ends and nothing runs; it may be asked for anew",
    Silence.REJECT: "it counts as refused: an equal call stays denied",
}


class Progress:
    """Read only."""

    def __init__(self, audiences: Audiences, people: People) -> None:
        self._audiences = audiences
        self._people = people

    def of(self, h: Handoff) -> Result:
        """For the JSON of one handoff. `could` lists who can still decide, at most 50 names."""
        unit = Unit(self._audiences.kernel, SYSTEM, "")
        missing = dict(votes.lacking(h.requirement, votes.votes_of(h)))
        could = self._could(unit, h) if h.waiting else {}
        clauses: list[Result] = []
        for i, clause in enumerate(h.requirement.clauses):
            given = [v.person_id for v in h.votes if i in v.clauses]
            clauses.append(
                {
                    "approvals": clause.approvals,
                    "audience": list(clause.audience),
                    "separate": clause.separate,
                    "approved_by": self._names(given),
                    "missing": missing.get(i, 0) if h.waiting else 0,
                    "could": self._names(p for p, counts in could.items() if i in counts),
                }
            )
        return {
            "in_words": in_words(h.requirement),
            "passkey": h.requirement.passkey,
            "clauses": clauses,
            "silence": h.requirement.silence.value,
            "silence_means": self._silence(h),
            "requested_by": self._names(h.requested_by),
            "votes": [self._vote(v) for v in h.votes],
            "asked": h.asked,
            "asked_people": self._names(h.asked_people),
            "level": h.level + 1,
            "levels": len(h.levels_s),
            "round": h.round,
            "next": self._next(h, unit.now),
            "ends_at": format_time(h.deadline) if h.deadline else "",
        }

    def _could(self, unit: Unit, h: Handoff) -> dict[PersonId, tuple[int, ...]]:
        """Everybody who did not vote yet, with the clauses that their approval would count for."""
        voted = votes.votes_of(h)
        found = {
            person: votes.counting(h, person, member)
            for person, member in self._audiences.counted(unit, h).items()
            if person not in voted
        }
        return {person: counts for person, counts in found.items() if counts}

    def _silence(self, h: Handoff) -> str:
        """What the end of the time means for this very case."""
        proceeds = h.requirement.silence is Silence.AUTO_PROCEED and h.may_proceed
        silence = h.requirement.silence
        if silence is Silence.AUTO_PROCEED and not (proceeds and h.risk == "low" and not h.editors):
            silence = Silence.EXPIRE
        return _SILENCE[silence]

    def _vote(self, v: Vote) -> Result:
        vault = self._audiences.kernel.vault
        return {
            "by": v.person_id,
            "by_name": self._people.name(v.person_id),
            "at": format_time(v.at),
            "auth": v.auth,
            "clauses": list(v.clauses),
            "reason": vault.text(v.reason),
        }

    def _next(self, h: Handoff, now: datetime) -> Result | None:
        """Who is asked when the present time is over, while nobody holds it."""
        if not h.waiting or h.due_at is None or h.frozen_at is not None or h.deferral:
            return None
        asking = routing.next_asking(h, max(now, h.due_at - timedelta(microseconds=1)))
        if asking is None or (h.holder and asking.round == 0):
            return None
        return {"to": ", ".join(asking.to), "at": format_time(h.due_at)}

    def _names(self, people: Iterable[PersonId]) -> list[str]:
        return [self._people.name(p) for p in list(people)[:MAX_NAMED]]
