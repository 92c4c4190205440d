"""Need-to-know: which projects there are, what a person sees of them, and who may take part in what."""

import re
from collections.abc import Iterable, Sequence

from handfast.core.domain.checkpoint import Checkpoint
from handfast.core.domain.errors import NotFound, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_identity import ProjectSet, TeamsSet
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId, ProjectId
from handfast.core.domain.person import Person
from handfast.core.domain.project import Project, Sight, sight_of
from handfast.core.domain.publication import ORGANISATION, Publication
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.engine.directory import Directory
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.membership import all_projects
from handfast.engine.people import People, signed_in
from handfast.storage.api import Query

ADMIN = frozenset({"admin"})
MAX_LISTED = 200
_TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Knowing:
    """Reads are of what is committed; changes are atomic and an admin's."""

    def __init__(self, kernel: Kernel, people: People, directory: Directory) -> None:
        self._kernel = kernel
        self._people = people
        self._directory = directory

    def sight(self, person_id: str) -> Sight | None:
        """What this person sees; None is everything. Raises NotFound."""
        projects = all_projects(self._kernel)
        if not projects:
            return None
        return sight_of(self._kernel.state(Person, person_id), projects)

    def sees_with(self, sight: Sight | None, person_id: str, stream: str) -> bool:
        """Whether this person, who has this sight, may know of what a stream of the log is about. Of what
        belongs to no repository, whoever does not see all sees themselves only, and admins the rest."""
        kind, _, item = stream.partition("/")
        if sight is None:
            return True
        if kind == "checkpoint":  # its entries name every handoff of it
            named = self._kernel.state(Checkpoint, item).handoffs
            return len(self.known(sight, named)) == len(named)
        if kind == "track":  # figures of runs, whatever their project
            return False
        if kind == "policy":
            return self.sees_policy(sight, self._kernel.state(Publication, item).scope)
        if kind not in ("handoff", "run", "task"):
            return sight.beyond is not None or stream == f"person/{person_id}"
        return sight.covers(self._root(kind, item))

    def sees_policy(self, sight: Sight | None, scope: str) -> bool:
        """Whether the rules of a scope may be known: the organisation's to everybody, those of a repository to
        who may know what happens in it."""
        return sight is None or scope == ORGANISATION or sight.covers(scope)

    def check_policy(self, person_id: str, scope: str) -> None:
        """Raises NotFound, for what this person may not know of as for what there is not."""
        if not self.sees_policy(self.sight(person_id), scope):
            raise NotFound(f"no policy was ever proposed for `{scope[:200]}`")

    def check(self, person_id: str, kind: str, item: str) -> None:
        """Raises NotFound, for what this person may not know of as for what there is not."""
        sight = self.sight(person_id)
        if sight is not None and not sight.covers(self._root(kind, item)):
            raise NotFound(f"there is no {kind} `{item}`")

    def known(self, sight: Sight | None, handoffs: Sequence[str]) -> tuple[str, ...]:
        """Those of these handoffs that a sight covers, in their order."""
        found = dict.fromkeys(handoffs)
        return tuple(h for h in found if sight is None or sight.covers(self._root("handoff", h)))

    def known_to(self, actor: Actor, handoffs: Sequence[str]) -> tuple[str, ...]:
        """Those that whoever acts may know of; all of them for what is no person."""
        return self.known(self.sight(actor.id) if actor.person else None, handoffs)

    def _root(self, kind: str, item: str) -> str:
        """The repository that something belongs to, '' for none."""
        try:
            if kind == "run":
                return self._kernel.state(Run, item).root
            if kind == "task":
                return self._kernel.state(Task, item).repository
            found = self._kernel.state(Handoff, item)
        except NotFound:
            return ""
        if found.run_id:
            return self._root("run", found.run_id)
        return self._root(*(("task", found.task_id) if found.task_id else ("handoff", found.about)))

    # -- projects and teams

    def projects(self, sight: Sight | None = None) -> list[Result]:
        """Those that a sight reaches into, by name; all of them for None and for an admin's. One without
        repositories was removed."""
        kept = (p for p in all_projects(self._kernel) if p.repositories)
        found = sorted(kept, key=lambda p: p.name)
        if sight is not None and sight.beyond is None:
            found = [p for p in found if set(p.repositories) & set(sight.only)]
        return [self._shown(p) for p in found]

    def is_member(self, person: Person, project_id: str) -> bool:
        return self._kernel.state(Project, project_id).has(person)

    def set_project(
        self,
        actor: Actor,
        name: str,
        repositories: Sequence[str],
        members: Sequence[str],
        teams: Sequence[str],
    ) -> Result:
        """Make a project, or replace all of it. `members` are logins. It holds from the next request on.

        Without `repositories` the project is removed, and what belonged to it alone is seen as what is in
        none: need-to-know does not end with the last project.

        Raises NotPermitted for all but a signed-in admin, NotFound for a login and for the removal of what is
        not there, UsageError.
        """
        if not _TEAM.fullmatch(name):
            raise UsageError(
                f"`name` is {name[:64]!r}", hint="1 to 64 letters, digits, dots and hyphens."
            )
        _check_repositories(repositories)
        _check_teams(teams)

        def work(unit: Unit) -> Result:
            admin = signed_in(unit, actor, ADMIN)
            rows = self._kernel.store.find(Query("project", match=name, limit=1))
            known = rows[0].stream.partition("/")[2] if rows else ""
            if not known and not repositories:
                raise NotFound(f"there is no project `{name}`", hint="A new one has repositories.")
            project_id = ProjectId(known or new_id("pj"))
            event = ProjectSet(
                project_id,
                name,
                tuple(sorted({r.rstrip("/") for r in repositories})),
                tuple(sorted({self._named(unit, login) for login in members})),
                tuple(sorted(set(teams))),
                admin.person_id,
            )
            return self._shown(unit.record(Project, project_id, [event]))

        return self._kernel.run(actor, work)

    def set_teams(self, actor: Actor, login: str, teams: Sequence[str]) -> Result:
        """The teams a person is in beside those of the policies. Raises as `set_project` does."""
        _check_teams(teams)

        def work(unit: Unit) -> Result:
            admin = signed_in(unit, actor, ADMIN)
            person_id = self._named(unit, login)
            event = TeamsSet(person_id, tuple(sorted(set(teams))), admin.person_id)
            changed = unit.record(Person, person_id, [event])
            return {"person_id": person_id, "teams": list(changed.teams)}

        return self._kernel.run(actor, work)

    def _named(self, unit: Unit, login: str) -> PersonId:
        found = self._directory.by_login(unit, login)
        if found is None:
            raise NotFound(
                f"nobody has the login `{login[:64]}`", hint="Logins are those used to sign in."
            )
        return found.person_id

    def _shown(self, p: Project) -> Result:
        return {
            "project_id": p.project_id,
            "name": p.name,
            "repositories": list(p.repositories),
            "members": [{"person_id": each, "name": self._people.name(each)} for each in p.members],
            "teams": list(p.teams),
        }


def _check_repositories(repositories: Iterable[str]) -> None:
    found = list(repositories)
    wrong = next((r for r in found if not r.strip("/ ") or len(r) > 1000 or "\0" in r), None)
    if wrong is not None or len(found) > MAX_LISTED:
        raise UsageError(
            f"`repositories` has {wrong!r}" if wrong is not None else "too many `repositories`",
            hint="Each as a run or a task names it: a path, or an address.",
        )


def _check_teams(teams: Iterable[str]) -> None:
    found = list(teams)
    wrong = next((t for t in found if not _TEAM.fullmatch(t)), None)
    if wrong is not None or len(found) > MAX_LISTED:
        raise UsageError(
            f"`teams` has {wrong!r}" if wrong is not None else "too many `teams`",
            hint="Letters, digits, dots and hyphens.",
        )
