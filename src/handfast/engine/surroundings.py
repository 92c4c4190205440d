"""What stands beside handoffs on one page: agents, repositories, people, texts. Each is read once, texts together."""

from collections.abc import Iterable
from typing import cast

from handfast.core.domain.agent import Agent
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.run import Run
from handfast.engine.kernel import Kernel
from handfast.engine.people import People
from handfast.engine.projections import BY_NAME, load
from handfast.engine.vault import Content


class Surroundings:
    """For one answer only: what it remembers is not looked up again."""

    def __init__(self, kernel: Kernel, people: People) -> None:
        self._kernel = kernel
        self._people = people
        self._known: dict[str, str] = {}
        self._opened: dict[str, Content] = {}

    def agent_name(self, agent_id: str) -> str:
        """The id of one that is not registered."""
        key = f"agent/{agent_id}"
        if key not in self._known:
            row = self._kernel.store.load(key)
            named = cast("Agent", load(BY_NAME["agent"], row.doc)).name if row else agent_id
            self._known[key] = named
        return self._known[key]

    def root(self, run_id: str) -> str:
        """The repository of a run, or its folder; '' for no run. Raises NotFound."""
        key = f"run/{run_id}"
        if key not in self._known:
            self._known[key] = self._kernel.state(Run, run_id).root if run_id else ""
        return self._known[key]

    def person_name(self, person_id: str) -> str:
        """'' for nobody."""
        key = f"person/{person_id}"
        if key not in self._known:
            self._known[key] = self._people.name(person_id) if person_id else ""
        return self._known[key]

    def open(self, refs: Iterable[BodyRef | None]) -> None:
        """Read these bodies together."""
        self._opened |= self._kernel.vault.open_many([ref.body_id for ref in refs if ref])

    def text(self, ref: BodyRef | None) -> str:
        """'' for none. Raises NotFound, IntegrityError."""
        if ref is None:
            return ""
        return (self._opened.get(ref.body_id) or self._kernel.vault.open(ref.body_id)).text
