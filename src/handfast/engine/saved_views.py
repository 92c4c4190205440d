"""The saved views of a person's inbox: filters under a name, kept with the person and theirs alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

from handfast.core.domain.errors import LimitExceeded, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_control import ViewsSet
from handfast.core.domain.person import Person
from handfast.engine.kernel import Kernel, Result, Unit

Change: TypeAlias = Callable[[dict[str, str]], object]
MOST, MAX_NAME, MAX_ADDRESS = 20, 40, 1_000


@dataclass(frozen=True, slots=True)
class SavedView:
    """`address` is the query of the inbox's address, as the page wrote it."""

    name: str
    address: str


class SavedViews:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def of(self, person_id: str) -> tuple[SavedView, ...]:
        """In the order of their names. Raises NotFound."""
        return self._opened(self._kernel.state(Person, person_id))

    def save(self, actor: Actor, name: str, address: str) -> Result:
        """Keep a view; one with this name is replaced. Raises UsageError, LimitExceeded, NotPermitted."""
        name = name.strip()
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise UsageError(f"a view's name has 1 to {MAX_NAME} printable characters")
        if not address or len(address) > MAX_ADDRESS or not address.isprintable():
            raise UsageError(
                "a view without a filter is the whole inbox", hint="Choose a filter first."
            )

        def change(views: dict[str, str]) -> None:
            views[name] = address
            if len(views) > MOST:
                raise LimitExceeded(
                    f"there are {MOST} saved views already", hint="Forget one in the settings."
                )

        return self._change(actor, change)

    def forget(self, actor: Actor, name: str) -> Result:
        """Idempotent. Raises NotPermitted."""
        return self._change(actor, lambda views: views.pop(name, None))

    def _change(self, actor: Actor, change: Change) -> Result:
        if actor.type != "person":
            raise NotPermitted("only a person has saved views of the inbox")

        def work(unit: Unit) -> Result:
            person = unit.get(Person, actor.id)
            before = {v.name: v.address for v in self._opened(person)}
            views = dict(before)
            change(views)
            if views != before:
                kept = unit.put_json(dict(sorted(views.items()))) if views else None
                unit.record(Person, actor.id, [ViewsSet(person.person_id, kept)])
            return {"views": len(views)}

        return self._kernel.run(actor, work)

    def _opened(self, person: Person) -> tuple[SavedView, ...]:
        found = cast("dict[str, str]", self._kernel.vault.json(person.views) or {})
        return tuple(SavedView(name, address) for name, address in sorted(found.items()))
