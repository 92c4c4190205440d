"""The scope of a brief: which paths are inside it, and how a child narrows the brief of its parent."""

import re
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from functools import lru_cache
from typing import Final

from handfast.core.domain.action import Risk
from handfast.core.domain.brief import Brief, Budget, Scope
from handfast.core.domain.copying import replace
from handfast.core.domain.errors import UsageError

_MAX_TEXTS: Final = 100


def in_scope(path: str, scope: Sequence[str]) -> bool:
    """Whether a path of the worktree matches one of the globs: a file, a folder with all below it, `*` within one
    folder, `**` across folders. A path that goes up through `..` matches none."""
    return ".." not in path.split("/") and any(_compiled(glob).match(path) for glob in scope)


@lru_cache(maxsize=512)
def _compiled(glob: str) -> re.Pattern[str]:
    cleaned = _cleaned(glob)
    if cleaned in {"", "."}:
        return re.compile("")
    pattern = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", cleaned):
        pattern += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            token
        ) or re.escape(token)
    return re.compile(f"{pattern}(?:/.*)?\\Z", re.DOTALL)


def _cleaned(glob: str) -> str:
    return glob.removeprefix("./").rstrip("/")


def covers(wide: str, narrow: str) -> bool:
    """Whether every path that `narrow` matches is matched by `wide`. In doubt it says no.

    A folder and `folder/**` count as the same.
    """
    outer, inner = _parts(wide), _parts(narrow)
    if {".", ".."} & {*outer, *inner}:
        return False  # such a glob is matched by no path that git names
    while outer and outer[-1] == "**":
        outer = outer[:-1]
    return _covers(outer, inner)


def _parts(glob: str) -> tuple[str, ...]:
    cleaned = _cleaned(glob)
    return () if cleaned in {"", "."} else tuple(filter(None, cleaned.split("/")))


def _covers(outer: tuple[str, ...], inner: tuple[str, ...]) -> bool:
    if not outer:
        return True  # a folder stands for all below it
    if not inner:
        return False
    if outer[0] == "**":
        return _covers(outer[1:], inner) or _covers(outer, inner[1:])
    return _part_covers(outer[0], inner[0]) and _covers(outer[1:], inner[1:])


def _part_covers(outer: str, inner: str) -> bool:
    """One folder's name against another. `**` beside other characters is covered by its like only."""
    if outer == inner:
        return True
    if "**" in outer or "**" in inner:
        return False
    if outer == "*":
        return True
    if "*" not in inner and "?" not in inner:
        shape = "".join({"*": "[^/]*", "?": "[^/]"}.get(c) or re.escape(c) for c in outer)
        return bool(re.fullmatch(shape, inner))
    prefix = outer.removesuffix("*")
    return outer.endswith("*") and not set("*?") & set(prefix) and inner.startswith(prefix)


def narrowed(child: Brief, parent: Brief) -> Brief:
    """The child's brief within its parent's: what it leaves open is what the parent's says.

    Non-goals of the parent hold for the child, and its risk is never rated lower. Raises UsageError (code
    `wider_than_parent`, `details['field']`) for a scope or a budget beyond the parent's.
    """
    return replace(
        child,
        scope=Scope(
            paths=_paths(child.scope.paths, parent.scope.paths),
            tools=_subset("scope.tools", child.scope.tools, parent.scope.tools),
            environments=_subset(
                "scope.environments", child.scope.environments, parent.scope.environments
            ),
        ),
        budget=_budget(child.budget, parent.budget),
        non_goals=tuple(dict.fromkeys((*parent.non_goals, *child.non_goals)))[:_MAX_TEXTS],
        risk=max(child.risk, parent.risk, key=list(Risk).index),
        contacts=child.contacts or parent.contacts,
    )


def _wider(field: str, value: object, allowed: str) -> UsageError:
    return UsageError(
        f"`{field}` is wider than the parent's: `{value}` is not within {allowed}",
        code="wider_than_parent",
        hint="Narrow it, or leave it out to take the parent's.",
        details={"field": field},
    )


def _paths(child: tuple[str, ...], parent: tuple[str, ...]) -> tuple[str, ...]:
    for glob in child if parent else ():
        if not any(covers(each, glob) for each in parent):
            raise _wider("scope.paths", glob, _listed(parent))
    return child or parent


def _subset(field: str, child: tuple[str, ...], parent: tuple[str, ...]) -> tuple[str, ...]:
    for each in child if parent else ():
        if each not in parent:
            raise _wider(field, each, _listed(parent))
    return child or parent


def _listed(allowed: tuple[str, ...]) -> str:
    return ", ".join(f"`{each}`" for each in allowed[:20])


def _budget(child: Budget, parent: Budget) -> Budget:
    """0 and '' mean that there is no bound."""
    for bound in fields(Budget):
        mine, theirs = getattr(child, bound.name), getattr(parent, bound.name)
        least = Decimal(theirs or 0)
        if least and Decimal(mine or 0) > least:
            raise _wider(f"budget.{bound.name}", mine, f"`{theirs}`")
    return Budget(
        cost_usd=child.cost_usd if Decimal(child.cost_usd or 0) else parent.cost_usd,
        tool_calls=child.tool_calls or parent.tool_calls,
        retries=child.retries or parent.retries,
        reasoning_s=child.reasoning_s or parent.reasoning_s,
        wall_s=child.wall_s or parent.wall_s,
    )
