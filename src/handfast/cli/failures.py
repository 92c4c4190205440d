"""Errors as a person and a script see them: what happened, what to do, one exit code for each branch."""

import json
import re
import sys
from typing import Final

from handfast.cli.output import shown
from handfast.core.domain.errors import (
    AdapterError,
    HandfastError,
    IntegrityError,
    NotPermitted,
    RejectedError,
    StorageError,
    UsageError,
)

FAILED: Final = 1
INTERRUPTED: Final = 130
_LISTS: Final = {
    "agent": "handfast agent list",
    "checkpoint": "handfast checkpoint list",
    "grant": "handfast handoff list --status all",
    "handoff": "handfast handoff list --status all",
    "run": "handfast run list",
    "task": "handfast task list",
}
# The first that fits counts: the special stands before the general.
EXIT_CODES: Final[tuple[tuple[type[HandfastError], int], ...]] = (
    (UsageError, 2),
    (NotPermitted, 4),
    (RejectedError, 3),
    (StorageError, 5),
    (IntegrityError, 6),
    (AdapterError, 7),
)


def exit_code(error: HandfastError) -> int:
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILED)


def problem(error: HandfastError) -> dict[str, object]:
    """The error as the API answers it (RFC 9457)."""
    from handfast.server.problems import problem_of

    return problem_of(error).body()


def report(error: HandfastError, *, as_json: bool) -> None:
    """Print to standard error."""
    if as_json:
        print(json.dumps(problem(error)), file=sys.stderr)
        return
    print(f"handfast: {shown(error.message)}", file=sys.stderr)
    if hint := error.hint or _where_to_look(error):
        print(f"  {shown(hint)}", file=sys.stderr)


def _where_to_look(error: HandfastError) -> str:
    """What lists the things of a kind of which one was not found."""
    kind = re.match(r"there is no (\w+) `", error.message)
    return f"`{_LISTS[kind[1]]}` lists them." if kind and kind[1] in _LISTS else ""
