"""The repository that a run, a task or a handoff belongs to: it is known when each begins, and stays."""

from collections.abc import Callable

from handfast.core.domain.handoff import Handoff
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task

Find = Callable[[type, str], object]


def root_of(find: Find, state: object) -> str | None:
    """'' where it is not known, None for what belongs to no repository. `find` gives a state or None.

    The review of an override belongs to no run: what was overridden does.
    """
    if isinstance(state, Run):
        return state.root
    if isinstance(state, Task):
        return state.repository
    if not isinstance(state, Handoff):
        return None
    if state.run_id:
        owner = find(Run, state.run_id)
    elif state.task_id:
        owner = find(Task, state.task_id)
    else:
        owner = find(Handoff, state.about) if state.about else None
    return (root_of(find, owner) if owner is not None else "") or ""
