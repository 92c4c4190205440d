"""Who is in an audience and who of them is asked: the logins of the policy in force, met with the people
who are set up, their roles, who is away and who covers a rotation.

Fails closed: an audience nobody is known to be in has no members, and it never means everybody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from handfast.core.domain.errors import UsageError
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.ids import PersonId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.person import Person
from handfast.core.domain.requirement import REVIEWERS, Requirement
from handfast.core.policy.availability import at_work, turn
from handfast.core.policy.directory import Calendar, Roster, Weekly
from handfast.engine.calendars import Calendars
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.membership import Membership
from handfast.engine.people import digest_login
from handfast.engine.policies import Policies
from handfast.engine.projections import KINDS, load
from handfast.engine.zones import to_utc, wall_clock
from handfast.storage.api import Query

_PAGE = 500
# A delegate counts where the person away is named: as one of a team, in person, or on call.
_DELEGATED = ("team", "person", "oncall")


@dataclass(frozen=True, slots=True)
class OnCall:
    """Who is on call. `via` is `cover`, `turn` or `calendar`; `until` is known but for calendars."""

    people: tuple[Person, ...] = ()
    logins: tuple[str, ...] = ()
    via: str = ""
    until: datetime | None = None


class Directory:
    """Reads inside a unit of work: what it says holds for the decision it is asked for."""

    def __init__(self, kernel: Kernel, policies: Policies, calendars: Calendars) -> None:
        self._kernel = kernel
        self._policies = policies
        self._calendars = calendars

    def members(
        self, unit: Unit, audience: str, repository: str, at: datetime
    ) -> frozenset[PersonId]:
        """Everybody an audience means at this moment who may also decide by their roles: delegates of
        those away too, where the policy lets them.

        `owners` has no members here: whose files they are is known where the action is. Raises
        IntegrityError when the policy in force cannot be read.
        """
        roster = self._policies.in_force(unit, repository).roster
        found = self._people(unit, audience, roster, at)
        if self._delegated(audience, roster):
            found = [*found, *self._delegates(unit, found, at)]
        return frozenset(p.person_id for p in Membership(self._kernel, repository).of(found))

    def counts_for(
        self,
        unit: Unit,
        person_id: PersonId,
        requirement: Requirement,
        repository: str,
        at: datetime,
    ) -> tuple[int, ...]:
        """The indexes of the clauses that this person's approval counts for. The person's roles are part
        of what the decision rests on."""
        unit.rely_on(Person, person_id)
        if not Membership(self._kernel, repository, unit).takes_part(unit.get(Person, person_id)):
            return ()
        self._policies.in_force(unit, repository)  # nobody counts while it cannot be read
        audiences = {a for clause in requirement.clauses for a in clause.audience}
        within = {a for a in audiences if self._counts(unit, person_id, a, repository, at)}
        return tuple(
            i for i, clause in enumerate(requirement.clauses) if within & set(clause.audience)
        )

    def _counts(
        self, unit: Unit, person_id: PersonId, audience: str, repository: str, at: datetime
    ) -> bool:
        """Membership of one person. What their roles alone say needs nobody else read."""
        kind, _, name = audience.partition(":")
        if audience == REVIEWERS or kind == "role":
            person = unit.find(Person, person_id)
            held = person is not None and (audience == REVIEWERS or name in person.roles)
            return person is not None and held and person.may_decide
        return person_id in self.members(unit, audience, repository, at)

    def asked(
        self, unit: Unit, to: str | Sequence[str], repository: str, at: datetime
    ) -> tuple[PersonId, ...]:
        """Whom to ask of an audience or of a level's audiences, who holds the fewest handoffs first.

        Nobody who is away; their delegates instead, where those may count. Only those at work now, or all
        of them when nobody of the level is.
        """
        roster = self._policies.in_force(unit, repository).roster
        there: list[Person] = []
        for audience in (to,) if isinstance(to, str) else to:
            found = self._people(unit, audience, roster, at)
            if self._delegated(audience, roster):
                found = [*found, *self._delegates(unit, found, at)]
            there += [p for p in found if p.away(at) is None]
        there = Membership(self._kernel, repository).of(there)
        ids = {p.person_id for p in there}
        found_ids = self._working(there, roster, at) or ids
        held = self._held() if len(found_ids) > 1 else {}
        return tuple(sorted(found_ids, key=lambda p: (held.get(p, 0), p)))

    def on_call(self, unit: Unit, roster: Roster, rotation: str, at: datetime) -> OnCall:
        """Who is on call for a rotation: who covers it, else whose turn it is. Nobody is a valid answer."""
        found = roster.rotations.get(rotation)
        if found is None:
            return OnCall()
        state = unit.find(Installation, INSTALLATION_ID)
        covers = [c for c in state.covers if c.rotation == rotation] if state else []
        newest = next((c for c in reversed(covers) if c.starts <= at < c.ends), None)
        if newest is not None and newest.person_id:
            person = unit.find(Person, newest.person_id)
            return OnCall((person,) if person else (), (), "cover", newest.ends)
        logins, until = self._turn(found, at)
        people = [p for login in logins if (p := self.by_login(unit, login))]
        via = "turn" if isinstance(found, Weekly) else "calendar"
        return OnCall(tuple(people), logins, via, until)

    def by_login(self, unit: Unit, login: str) -> Person | None:
        rows = self._kernel.store.find(Query("person", match=digest_login(login), limit=1))
        return unit.find(Person, rows[0].stream.partition("/")[2]) if rows else None

    def everybody(self) -> list[Person]:
        """All people who are set up, oldest first."""
        found: list[Person] = []
        after: tuple[int, int] | None = None
        while True:
            rows = self._kernel.store.find(Query("person", after=after, limit=_PAGE))
            states = (load(KINDS[Person], row.doc) for row in rows)
            found += [p for p in states if isinstance(p, Person)]
            if len(rows) < _PAGE:
                return found
            after = (rows[-1].rank, rows[-1].opened)

    def _turn(
        self, rotation: Weekly | Calendar, at: datetime
    ) -> tuple[tuple[str, ...], datetime | None]:
        if isinstance(rotation, Calendar):
            return self._calendars.on_call(rotation, at), None
        try:
            found = turn(rotation, at, partial(to_utc, name=rotation.zone))
        except UsageError:  # the zone is gone from this machine: nobody, never everybody
            return (), None
        return ((found.login,), found.ends) if found else ((), None)

    def _people(self, unit: Unit, audience: str, roster: Roster, at: datetime) -> list[Person]:
        kind, _, name = audience.partition(":")
        if audience == REVIEWERS:
            return [p for p in self.everybody() if p.may_decide]
        if kind == "role":
            return [p for p in self.everybody() if name in p.roles and p.may_decide]
        if kind == "owner":
            behind = roster.owner(name)
            return self._people(unit, behind, roster, at) if behind else []
        if kind == "oncall":
            return [p for p in self.on_call(unit, roster, name, at).people if p.may_decide]
        logins = roster.teams.get(name, ()) if kind == "team" else (name,)
        named = logins if kind in ("team", "person") else ()
        found = [p for login in named if (p := self.by_login(unit, login))]
        if kind == "team":
            known = {p.person_id for p in found}
            joined = (p for p in self.everybody() if name in p.teams)
            found += [p for p in joined if p.person_id not in known]
        return [p for p in found if p.may_decide]

    def _delegated(self, audience: str, roster: Roster) -> bool:
        kind, _, name = audience.partition(":")
        if kind == "owner":
            kind = roster.owner(name).partition(":")[0]
        return roster.delegates and kind in _DELEGATED

    def _delegates(self, unit: Unit, people: Iterable[Person], at: datetime) -> list[Person]:
        """Of those away, one step: a delegate's own delegate does not count."""
        ids = [away.delegate for p in people if (away := p.away(at)) and away.delegate]
        found = [unit.find(Person, person_id) for person_id in ids]
        return [p for p in found if p is not None and p.may_decide]

    def _working(self, people: Sequence[Person], roster: Roster, at: datetime) -> set[PersonId]:
        """Those at work at `at`. Without stated hours one always is."""
        hours = {digest_login(login): each for login, each in roster.hours.items()}
        found = set()
        for p in people:
            stated = hours.get(p.login_digest)
            try:
                if stated is None or at_work(stated, wall_clock(at, stated.zone)):
                    found.add(p.person_id)
            except UsageError:  # the zone is gone from this machine
                found.add(p.person_id)
        return found

    def _held(self) -> dict[PersonId, int]:
        """How many handoffs each person holds, of the 1,000 most pressing ones that are held."""
        held: dict[PersonId, int] = {}
        query = Query("handoff", statuses=(Status.ACKNOWLEDGED.value,), limit=1000)
        for row in self._kernel.store.find(query):
            state = load(KINDS[Handoff], row.doc)
            if isinstance(state, Handoff):
                held[state.holder] = held.get(state.holder, 0) + 1
        return held
