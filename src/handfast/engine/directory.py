"""Who is in an audience: logins of the policy in force, met with the people who are set up and their roles.

Fails closed: an audience nobody is known to be in has no members, and it never means everybody.
"""

from datetime import datetime
from functools import partial

from handfast.core.domain.errors import UsageError
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.core.domain.requirement import REVIEWERS, Requirement
from handfast.core.policy.directory import Roster, Weekly, turn
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.people import digest_login
from handfast.engine.policies import Policies
from handfast.engine.projections import KINDS, load
from handfast.engine.zones import to_utc
from handfast.storage.api import Query

_PAGE = 500


class Directory:
    """Reads inside a unit of work: what it says holds for the decision it is asked for."""

    def __init__(self, kernel: Kernel, policies: Policies) -> None:
        self._kernel = kernel
        self._policies = policies

    def members(
        self, unit: Unit, audience: str, repository: str, at: datetime
    ) -> frozenset[PersonId]:
        """Everybody an audience means at this moment who may also decide by their roles.

        `owners` has no members here: whose files they are is known where the action is. Raises
        IntegrityError when the policy in force cannot be read.
        """
        roster = self._policies.in_force(unit, repository).roster
        return frozenset(p.person_id for p in self._people(unit, audience, roster, at))

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
        audiences = {a for clause in requirement.clauses for a in clause.audience}
        within = {a for a in audiences if person_id in self.members(unit, a, repository, at)}
        return tuple(
            i for i, clause in enumerate(requirement.clauses) if within & set(clause.audience)
        )

    def on_call(self, roster: Roster, rotation: str, at: datetime) -> str | None:
        """The login whose turn it is, or None: nobody's."""
        found = roster.rotations.get(rotation)
        if not isinstance(found, Weekly):
            return None
        try:
            return turn(found, at, partial(to_utc, name=found.zone))
        except UsageError:  # the zone is gone from this machine: nobody, never everybody
            return None

    def _people(self, unit: Unit, audience: str, roster: Roster, at: datetime) -> list[Person]:
        kind, _, name = audience.partition(":")
        if audience == REVIEWERS:
            return [p for p in self._everybody() if p.may_decide]
        if kind == "role":
            return [p for p in self._everybody() if name in p.roles and p.may_decide]
        if kind == "owner":
            behind = roster.owner(name)
            return self._people(unit, behind, roster, at) if behind else []
        found = [self._by_login(unit, login) for login in self._logins(kind, name, roster, at)]
        return [p for p in found if p is not None and p.may_decide]

    def _logins(self, kind: str, name: str, roster: Roster, at: datetime) -> tuple[str, ...]:
        match kind:
            case "team":
                return roster.teams.get(name, ())
            case "person":
                return (name,)
            case "oncall":
                login = self.on_call(roster, name, at)
                return (login,) if login else ()
            case _:
                return ()

    def _by_login(self, unit: Unit, login: str) -> Person | None:
        rows = self._kernel.store.find(Query("person", match=digest_login(login), limit=1))
        return unit.find(Person, rows[0].stream.partition("/")[2]) if rows else None

    def _everybody(self) -> list[Person]:
        found: list[Person] = []
        after: tuple[int, int] | None = None
        while True:
            rows = self._kernel.store.find(Query("person", after=after, limit=_PAGE))
            states = (load(KINDS[Person], row.doc) for row in rows)
            found += [p for p in states if isinstance(p, Person)]
            if len(rows) < _PAGE:
                return found
            after = (rows[-1].rank, rows[-1].opened)
