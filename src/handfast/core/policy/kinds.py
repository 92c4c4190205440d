"""Kinds of actions and their contract: how to see what one would do, how to take it back, how to check it.

    actions:
      - id: terraform-apply
        when: call.command.startsWith("terraform apply")
        preview: [terraform, plan, -no-color]
        undo: [terraform, apply, previous.plan]
        reversible: true
        idempotent: true
        reconcile: [terraform, plan, -detailed-exitcode]

Every command is a list of words that is run as it stands, never through a shell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from handfast.core.policy import sections
from handfast.core.policy.sections import Path, Wrong

MAX_WORDS = 64
_KIND = ("id", "when", "tools", "preview", "undo", "reversible", "idempotent", "reconcile")


@dataclass(frozen=True, slots=True)
class ActionKind:
    """`reversible` None says nothing. The commands are empty where none is declared."""

    id: str
    when: str = ""
    tools: tuple[str, ...] = ()
    preview: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    reconcile: tuple[str, ...] = ()
    reversible: bool | None = None
    idempotent: bool = False

    @property
    def loosens(self) -> bool:
        """Whether it lets go on what would stop without it."""
        return self.reversible is True or self.idempotent or bool(self.reconcile)


def read_kind(item: object, path: Path) -> ActionKind:
    """Raises Wrong."""
    found = sections.mapping(item, path, _KIND)
    kind = ActionKind(
        id=sections.name(found.get("id"), (*path, "id")),
        when=sections.text(found.get("when"), (*path, "when"), 4_000),
        tools=tuple(sorted(sections.texts(found.get("tools"), (*path, "tools")))),
        preview=_words(found.get("preview"), (*path, "preview")),
        undo=_words(found.get("undo"), (*path, "undo")),
        reconcile=_words(found.get("reconcile"), (*path, "reconcile")),
        reversible=_truth(found.get("reversible"), (*path, "reversible")),
        idempotent=_truth(found.get("idempotent"), (*path, "idempotent")) or False,
    )
    if kind == ActionKind(kind.id, kind.when, kind.tools):
        raise Wrong(path, f"`{kind.id}` says nothing about its actions", "Add preview or undo.")
    return kind


def _words(value: object, path: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        raise Wrong(path, f"`{sections.shown(path)}` is one text", "Write a list of words.")
    words = sections.texts(value, path)
    if len(words) > MAX_WORDS or any("\0" in word for word in words):
        raise Wrong(path, f"`{sections.shown(path)}` has more than {MAX_WORDS} words")
    return words


def _truth(value: object, path: Path) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise Wrong(path, f"`{sections.shown(path)}` is {value!r}", "Write true or false.")


def together(kinds: Sequence[ActionKind]) -> ActionKind | None:
    """What all the kinds of one action say. Not reversible when one says so; of commands the first holds."""
    if not kinds:
        return None
    said = [k.reversible for k in kinds if k.reversible is not None]
    return ActionKind(
        id=", ".join(dict.fromkeys(k.id for k in kinds)),
        preview=next((k.preview for k in kinds if k.preview), ()),
        undo=next((k.undo for k in kinds if k.undo), ()),
        reconcile=next((k.reconcile for k in kinds if k.reconcile), ()),
        reversible=all(said) if said else None,
        idempotent=any(k.idempotent for k in kinds),
    )
