"""Who of some people may take part in what happens in a repository: the members of its projects."""

from collections.abc import Iterable

from handfast.core.domain.person import Person
from handfast.core.domain.project import Project, Sight, sight_of
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.projections import KINDS, load
from handfast.storage.api import Query

_PAGE = 500


def all_projects(kernel: Kernel) -> list[Project]:
    """Every project, oldest first."""
    found: list[Project] = []
    after: tuple[int, int] | None = None
    while True:
        rows = kernel.store.find(Query("project", after=after, limit=_PAGE))
        found += [p for row in rows if isinstance(p := load(KINDS[Project], row.doc), Project)]
        if len(rows) < _PAGE:
            return found
        after = (rows[-1].rank, rows[-1].opened)


class Membership:
    """As the projects are now. With `unit` what a decision rests on is held until it commits."""

    def __init__(self, kernel: Kernel, repository: str, unit: Unit | None = None) -> None:
        self._repository = repository
        self._projects = all_projects(kernel)
        if unit is not None:
            for project in self._projects:
                if Sight(project.repositories).covers(repository):
                    unit.rely_on(Project, project.project_id)

    def takes_part(self, person: Person) -> bool:
        """Whether this person may decide here, be asked, and know of it."""
        sight = sight_of(person, self._projects, decides=True)
        return sight is None or sight.covers(self._repository)

    def of(self, people: Iterable[Person]) -> list[Person]:
        if not self._projects:
            return list(people)
        return [p for p in people if self.takes_part(p)]
