"""Who is asked and who counts: what a handoff takes, resolved to people at the moment it matters."""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.copying import replace
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import HandoffId, PersonId, RunId, TaskId
from handfast.core.domain.requirement import Requirement, asks_owners, with_owners
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.core.policy.interruption_section import Budget, together
from handfast.core.policy.routes import Route
from handfast.engine.directory import Directory
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.policies import Policies


@dataclass(frozen=True, slots=True)
class About:
    """What a handoff is about, as far as it decides who is asked. `owners` are those of each changed file;
    `other` is the handoff that one without run and task is about."""

    kind: HandoffKind
    risk: str
    run_id: RunId = RunId("")
    task_id: TaskId = TaskId("")
    rules: tuple[str, ...] = ()
    tool: str = ""
    owners: tuple[tuple[str, ...], ...] = ()
    other: HandoffId = HandoffId("")


@dataclass(frozen=True, slots=True)
class Resolved:
    """`note` says what had to be assumed; `requested_by` who asked for the work."""

    requirement: Requirement
    requested_by: tuple[PersonId, ...]
    repository: str
    note: str = ""


class Audiences:
    """Reads in the unit of work that asks."""

    def __init__(self, kernel: Kernel, policies: Policies, directory: Directory) -> None:
        self.kernel = kernel
        self._policies = policies
        self._directory = directory

    def resolve(self, unit: Unit, about: About, requirement: Requirement) -> Resolved:
        """What it takes here: owners by name, and levels from `routes` where the gate names none."""
        run = unit.find(Run, about.run_id) if about.run_id else None
        task = unit.find(Task, about.task_id) if about.task_id else None
        repository = (run.root if run else "") or (task.repository if task else "")
        if about.other and not (run or task):
            repository = self.repository_of(unit, unit.get(Handoff, about.other))
        if not requirement.levels:
            route = self._route(unit, about, repository)
            requirement = replace(requirement, levels=route.levels) if route else requirement
        note = ""
        if asks_owners(requirement):
            known = [owners for owners in about.owners if owners]
            note = "" if known else "No owner of the changed files is known: any reviewer counts."
            requirement = with_owners(requirement, known)
        asked = (run.requested_by if run else "", task.requested_by if task else "")
        requested_by = tuple(dict.fromkeys(PersonId(p) for p in asked if p))
        return Resolved(requirement, requested_by, repository, note)

    def budget(self, unit: Unit, repository: str) -> Budget:
        """What may wait to be asked together. Nothing, when the policy in force cannot be read."""
        try:
            books = self._policies.in_force(unit, repository).books
        except IntegrityError:
            return Budget()
        found = (book.policy.interruptions for book in books)
        return together([budget for budget in found if budget is not None])

    def asked(self, unit: Unit, to: tuple[str, ...], repository: str) -> tuple[PersonId, ...]:
        """Whom to ask of these audiences now. Nobody, when the policy in force cannot be read: a deadline
        must still lead on."""
        try:
            return self._directory.asked(unit, to, repository, unit.now)
        except IntegrityError:
            return ()

    def _members(self, unit: Unit, to: tuple[str, ...], repository: str) -> tuple[PersonId, ...]:
        try:
            found = {p for a in to for p in self._directory.members(unit, a, repository, unit.now)}
        except IntegrityError:
            return ()
        return tuple(sorted(found))

    def repository_of(self, unit: Unit, h: Handoff) -> str:
        run = unit.find(Run, h.run_id) if h.run_id else None
        task = unit.find(Task, h.task_id) if h.task_id else None
        if h.about and not (run or task):  # a review of an override: it outlives the other's run
            return self.repository_of(unit, unit.get(Handoff, h.about))
        return (run.root if run else "") or (task.repository if task else "")

    def counts_for(
        self, unit: Unit, h: Handoff, person_id: PersonId, at: datetime | None = None
    ) -> tuple[int, ...]:
        """The clauses of `h` whose audience the person belongs to. With `at` whose turn it is and who is away
        are taken as of then; roles, teams, projects and the policy always as they are now.

        Raises IntegrityError when the policy in force cannot be read.
        """
        repository = self.repository_of(unit, h)
        when = at or unit.now
        return self._directory.counts_for(unit, person_id, h.requirement, repository, when)

    def counted(self, unit: Unit, h: Handoff) -> dict[PersonId, tuple[int, ...]]:
        """Everybody in an audience of `h` now, with the clauses they belong to; each audience is read once.

        To show, and to choose whom to ask. A decision asks `counts_for`, which it then rests on.
        """
        repository = self.repository_of(unit, h)
        found: dict[PersonId, tuple[int, ...]] = {}
        for i, clause in enumerate(h.requirement.clauses):
            for person in self._members(unit, clause.audience, repository):
                found[person] = (*found.get(person, ()), i)
        return found

    def _route(self, unit: Unit, about: About, repository: str) -> Route | None:
        """The first that applies, the organisation's before the repository's."""
        try:
            books = self._policies.in_force(unit, repository).books
        except IntegrityError:  # without a policy that reads, everybody who counts is asked at once
            return None
        routes = (route for book in books for route in book.policy.routes)
        facts = {
            "risk": (about.risk,),
            "kind": (about.kind.value,),
            "rules": about.rules,
            "repository": (repository,),
            "tool": (about.tool,),
        }
        return next((route for route in routes if route.applies(facts)), None)
