"""Errors as a person and a script see them: what happened, what to do, one exit code for each branch."""

import json
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
    if error.hint:
        print(f"  {shown(error.hint)}", file=sys.stderr)
