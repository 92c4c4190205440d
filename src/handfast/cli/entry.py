"""Parses a command line, runs the command, and answers with an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

from cyclopts import App, CycloptsError, Parameter

from handfast import __version__
from handfast.cli.catalogue import COMMANDS, GROUPS
from handfast.cli.failures import FAILED, INTERRUPTED, exit_code, report
from handfast.cli.help_pages import Columns
from handfast.core.domain.errors import HandfastError, StorageError, UsageError

BROKEN_PIPE = 141  # as a shell reports a program that SIGPIPE ended


def build() -> App:
    """The parser with every command of the catalogue. Functions are imported when they run."""
    app = App(
        name="handfast",
        help="Handoff control plane for software-engineering agents.",
        version=__version__,
        help_formatter=Columns(),
        default_parameter=Parameter(show_default=False, negative_iterable=()),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for group, does in GROUPS.items():
        entries = [e for e in COMMANDS if e.group == group]
        alone = [e for e in entries if not e.name]
        if alone:
            app.command(f"handfast.cli.{alone[0].target}", name=group, help=alone[0].does)
            continue
        sub = App(name=group, help=does)
        for e in entries:
            sub.command(f"handfast.cli.{e.target}", name=e.name, help=e.does)
        app.command(sub)
    return app


def run(words: Sequence[str]) -> int:
    """Never raises for what may go wrong: prints it and gives the exit code."""
    as_json = _wants_json(words)
    _never_fail_to_print()
    try:
        _arm_faults()
        result = _call(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except HandfastError as error:
        report(error, as_json=as_json)
        return exit_code(error)
    except BrokenPipeError:
        # Python flushes at exit and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        refused = StorageError(
            f"the system refused: {error}",
            hint="Check that the path exists, that you may use it and that the disk is not full.",
        )
        report(refused, as_json=as_json)
        return exit_code(refused)
    except Exception as error:  # noqa: BLE001 - the edge: a script gets a body for this too
        if not as_json:
            traceback.print_exc()
        report(_unforeseen(error), as_json=as_json)
        return FAILED
    return result


def _unforeseen(error: Exception) -> HandfastError:
    return HandfastError(
        f"Handfast failed in a way that was not foreseen: {type(error).__name__}: {error}",
        code="internal",
        hint="Please report it with what stands above, without secrets.",
    )


def _arm_faults() -> None:
    """For tests that stop a process which opens no engine itself: the runner and `exec`."""
    if "HANDFAST_FAULT" in os.environ:
        from handfast.engine.faults import arm_from_environment

        arm_from_environment()


def _call(words: Sequence[str]) -> int:
    """The command's exit code. A wrong command line is a UsageError."""
    if words[0] not in GROUPS and not words[0].startswith("-"):
        raise _unknown(words[0])
    try:
        result = build()(list(words), print_error=False, exit_on_error=False)
    except CycloptsError as error:
        asked = " ".join(["handfast", *_command(words), "--help"])
        raise UsageError(str(error).splitlines()[0], hint=f"See `{asked}`.") from None
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _command(words: Sequence[str]) -> Sequence[str]:
    """The words that name a command or a group of them."""
    known = {entry.words for entry in COMMANDS}
    if " ".join(words[:2]) in known:
        return words[:2]
    return words[:1] if words and words[0] in GROUPS else ()


def _unknown(word: str) -> UsageError:
    """Told from the table: the parser would import every command to say the same."""
    near = get_close_matches(word, GROUPS, 1)
    meant = f" Did you mean `{near[0]}`?" if near else ""
    return UsageError(f"there is no command `{word}`.{meant}", hint="See `handfast --help`.")


def _wants_json(words: Sequence[str]) -> bool:
    """Whether errors are to be JSON. What follows `--` belongs to another program."""
    ours = words[: words.index("--")] if "--" in words else words
    return "--json" in ours


def _never_fail_to_print() -> None:
    """A terminal that cannot show a character gets its code point instead of a crash."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
