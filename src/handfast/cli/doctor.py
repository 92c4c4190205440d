"""`handfast doctor`: checks every part that a stopped call depends on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from handfast.cli.failures import FAILED
from handfast.cli.output import Json, say, say_json
from handfast.core.domain.errors import UsageError

if TYPE_CHECKING:
    from handfast.runner.doctor import Check


def doctor(
    *,
    folder: Path | None = None,
    binary: str = "",
    prove: Annotated[bool, Parameter(negative="--no-proof")] = True,
    as_json: Json = False,
) -> int:
    """Check this installation, and prove the hook by a call that must be denied.

    The proof runs the real agent program once against a stand-in for its model: nothing leaves
    this machine. Exit code 1 when a check fails.

    Parameters
    ----------
    folder
        The project's folder; the current one when left out.
    binary
        The agent's program; `claude` on the path when left out.
    prove
        `--no-proof` leaves the proof out.
    """
    from handfast.client.discovery import data_folder
    from handfast.engine.clock import SystemClock
    from handfast.runner import doctor as checks

    program = checks.find_binary(binary)
    if binary and program is None:
        raise UsageError(
            f"there is no program `{binary}`", hint="Give its path, or its name on PATH."
        )
    found = checks.examine(
        data_folder(), folder or Path.cwd(), SystemClock().now(), binary=program, prove=prove
    )
    report = checks.report(found)
    if as_json:
        say_json(report)
    else:
        for check in found:
            _print(check)
    return FAILED if report["status"] == checks.FAIL else 0


def _print(check: "Check") -> None:
    say(f"{check.status:<8} {check.name}: {check.detail}")
    if check.remedy:
        say(f"{'':<8} {check.remedy}")
