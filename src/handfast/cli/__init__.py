"""The `handfast` command: noun, verb, `--json`.

Lives here: commands as thin functions. Imports of the heavy parts stay inside the commands, so that
`--help` is quick. The way in: `catalogue` lists every command, `entry` parses and runs one,
`failures` turns an error into a message and an exit code, `terminal` is where a person proves
who they are.

May enter: `server`, `runner`, `client`, and what they rest on.
"""

import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code. Knows no command itself."""
    words = sys.argv[1:] if arguments is None else arguments
    if words in ([], ["--help"], ["-h"]):
        return _overview()
    if words == ["--version"]:
        from handfast import __version__

        print(__version__)
        return 0
    from handfast.cli.entry import run

    return run(words)


def _overview() -> int:
    """Printed without loading the parser. A reader that leaves early, like `head`, is no failure."""
    from handfast.cli.catalogue import overview

    try:
        print(overview(), flush=True)
    except BrokenPipeError:
        # Python flushes at exit and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
