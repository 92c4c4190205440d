"""Which of an agent's earlier runs count, and for whom: figures of one project are not shown in another one."""

from typing import cast

from handfast.core.domain.events_limits import RunMeasured
from handfast.core.domain.limit_facts import History
from handfast.core.domain.project import Project, Sight
from handfast.core.domain.run import Run
from handfast.core.domain.track import Track, history
from handfast.engine.kernel import Kernel
from handfast.engine.membership import all_projects
from handfast.engine.projections import BY_NAME, load


def history_for(kernel: Kernel, track: Track | None, root: str) -> History:
    """What a new run in this repository is measured against: every earlier run that all who see this one may
    know of. Without projects those are all."""
    runs = track.runs if track else ()
    projects = all_projects(kernel) if runs else []
    if not projects:
        return history(runs)
    here = _projects_of(root, projects)
    there = [_projects_of(_root(kernel, r), projects) for r in runs]
    known = (here <= each if here else not each for each in there)
    return history([r for r, may in zip(runs, known, strict=True) if may])


def history_within(kernel: Kernel, track: Track, sight: Sight | None) -> History:
    """The medians over the runs that somebody may know of."""
    if sight is None:
        return history(track.runs)
    return history([r for r in track.runs if sight.covers(_root(kernel, r))])


def _projects_of(root: str, projects: list[Project]) -> frozenset[str]:
    return frozenset(p.project_id for p in projects if Sight(p.repositories).covers(root))


def _root(kernel: Kernel, measured: RunMeasured) -> str:
    """Where it ran; an older record does not say, but its run does."""
    if measured.repository:
        return measured.repository
    row = kernel.store.load(f"run/{measured.run_id}")
    return cast("Run", load(BY_NAME["run"], row.doc)).root if row else ""
