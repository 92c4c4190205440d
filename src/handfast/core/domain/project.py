"""Need-to-know: a project is some repositories, and who may know what happens in them.

While there is no project, everybody who may sign in sees everything. From the first one on a person sees
what belongs to the projects they are a member of. What belongs to none is seen by admins only, so that one
of them can say whose it is. Auditors read everything, and decide only where they are members.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from handfast.core.domain.events_identity import ProjectSet
from handfast.core.domain.ids import PersonId, ProjectId
from handfast.core.domain.person import Person


@dataclass(frozen=True, slots=True)
class Project:
    project_id: ProjectId
    name: str
    repositories: tuple[str, ...]
    members: tuple[PersonId, ...]
    teams: tuple[str, ...]
    created_at: datetime

    def has(self, person: Person) -> bool:
        """Whether a person is a member: named, or in one of its teams."""
        return person.person_id in self.members or bool(set(self.teams) & set(person.teams))


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody may know of: what is in one of `only`, and with `beyond` what is in none of those."""

    only: tuple[str, ...] = ()
    beyond: tuple[str, ...] | None = None

    def covers(self, root: str) -> bool:
        """Whether what happens in this repository or folder may be known."""
        if any(_within(root, r) for r in self.only):
            return True
        return self.beyond is not None and not any(_within(root, r) for r in self.beyond)


def _within(root: str, repository: str) -> bool:
    return root == repository or root.startswith(repository + "/")


def sight_of(person: Person, projects: Iterable[Project], *, decides: bool = False) -> Sight | None:
    """What a person sees, or with `decides` takes part in; None is everything."""
    projects = tuple(projects)
    if not projects or ("auditor" in person.roles and not decides):
        return None
    own = sorted({r for p in projects if p.has(person) for r in p.repositories})
    assigned = tuple(sorted({r for p in projects for r in p.repositories}))
    return Sight(tuple(own), assigned if "admin" in person.roles else None)


def evolve(state: Project | None, event: ProjectSet, at: datetime) -> Project:
    """Fold one recorded event. `at` is the envelope's time."""
    if state is None:
        return Project(
            event.project_id, event.name, event.repositories, event.members, event.teams, at
        )
    return replace(
        state,
        name=event.name,
        repositories=event.repositories,
        members=event.members,
        teams=event.teams,
    )
