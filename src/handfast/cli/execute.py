"""`handfast exec`: run an approved action, exactly once, and record what came of it."""

import codecs
import os
from collections.abc import Mapping
from pathlib import Path

from handfast.cli.output import Json, note, say_json, shown


class Passing:
    """Passes output on as it comes: bytes into files and pipes, inert text to a terminal."""

    def __init__(self, instead: Mapping[int, int]) -> None:
        self._instead = instead
        self._decoders = {n: codecs.getincrementaldecoder("utf-8")("replace") for n in (1, 2)}

    def __call__(self, number: int, data: bytes) -> None:
        descriptor = self._instead.get(number, number)
        if os.isatty(descriptor):
            data = shown(self._decoders[number].decode(data), len(data)).encode()
        while data:
            data = data[os.write(descriptor, data) :]


def execute(grant: str, /, *, as_json: Json = False) -> int:
    """Run the action a grant permits, exactly as approved. The exit code is the command's own.

    Parameters
    ----------
    grant
        Its id, `gr_…`, as `handfast handoff approve` printed it.
    """
    from handfast.client.discovery import data_folder
    from handfast.runner.execute import client_for, execute_grant

    # With `--json` standard output is for the answer alone.
    stream = Passing({1: 2} if as_json else {})
    with client_for(data_folder(), Path.cwd()) as client:
        done = execute_grant(client, grant, stream=stream)
    if as_json:
        say_json(
            {
                "grant_id": done.grant_id,
                "handoff_id": done.handoff_id,
                "exit_code": done.exit_code,
                "duration_ms": done.duration_ms,
                "recorded": done.recorded,
            }
        )
    if not done.recorded:
        note(f"The command ran, but the server did not take the record: {done.problem}")
        note("A person settles it: see `handfast inbox`.")
    return done.exit_code
