"""Which environments a call touches: those that were read from it, and those that its arguments name."""

import re
from collections.abc import Iterator
from typing import Final

from handfast.core.domain.action import DEPLOYING, Call, Facts
from handfast.core.domain.canonical import JSON

ANY: Final = "*"
_NAMED: Final = frozenset(
    {"env", "environment", "stage", "envname", "environmentname", "targetenv", "targetenvironment"}
    | {"deployenv", "environments", "envs", "stages"}
)
_DEPLOYS: Final = re.compile(r"(?:^|[^a-z])(?:re)?(?:deploy|migrate|rollback)", re.IGNORECASE)
_MAX_DEPTH: Final = 4


def environments_of(call: Call, facts: Facts) -> tuple[str, ...]:
    """Each once, as written; `*` for one that cannot be told."""
    return tuple(dict.fromkeys((*facts.environments, *_argued(call.arguments, _MAX_DEPTH))))


def deploys(call: Call, facts: Facts) -> bool:
    """Whether the call changes an environment, by its hazards or by what the tool is called."""
    return bool(DEPLOYING.intersection(facts.hazards) or _DEPLOYS.search(call.tool))


def _argued(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for item in value if depth else ():
            yield from _argued(item, depth - 1)
    if not hasattr(value, "items"):
        return
    for name, item in value.items():
        if re.sub(r"[^a-z]", "", str(name).lower()) in _NAMED:
            yield from _names(item)
        elif depth:
            yield from _argued(item, depth - 1)


def _names(value: JSON) -> Iterator[str]:
    """The name or the list of names; a value of another shape cannot be told."""
    listed = value if isinstance(value, list | tuple) else [value]
    for each in listed:
        yield each.strip() if isinstance(each, str) and each.strip() else ANY
