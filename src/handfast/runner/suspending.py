"""An agent held still while its lease is in doubt: nothing of it runs, and nothing is lost.

Another runner may have its run by then. Stopping comes first, because whether that is so can only be asked
once the server answers again.
"""

import signal
from typing import Final

from handfast.runner import proctable
from handfast.runner.processes import ProcessIdentity, members

_ROUNDS: Final = 20


def suspend(identity: ProcessIdentity) -> int:
    """Stop the agent and all it started; not its keeper. Gives how many processes were stopped. Idempotent."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        # A process that was not stopped yet may have started another one meanwhile.
        new = [row for row in members(identity) if row.pid not in stopped]
        if not new:
            break
        for row in new:
            stopped.add(row.pid)
            proctable.send(row, signal.SIGSTOP)
    return len(stopped)


def resume(identity: ProcessIdentity) -> None:
    """Let it go on. Idempotent."""
    for row in members(identity):
        proctable.send(row, signal.SIGCONT)
