"""Arms fault points from the environment: `HANDFAST_FAULT=name:kill|raise|stop|full[:nth]`."""

import os
import resource
import signal
import threading
from collections.abc import Callable

from handfast.core.domain.errors import UsageError
from handfast.core.domain.faults import POINTS, arm

STRUCK = "fault point struck: "


def arm_from_environment() -> None:
    """Called once when a process starts. Raises UsageError for a point or action not known."""
    text = os.environ.get("HANDFAST_FAULT", "")
    if not text:
        return
    name, _, rest = text.partition(":")
    action, _, nth = rest.partition(":")
    if name not in POINTS or action not in _ACTIONS:
        raise UsageError(f"HANDFAST_FAULT is `{text}`", hint="Use name:kill|raise|stop|full[:nth].")
    arm(name, _countdown(text, _ACTIONS[action], int(nth or "1")))


def _countdown(text: str, act: Callable[[], None], nth: int) -> Callable[[], None]:
    """Acts at the nth time, after it has said so: a test that waits for it reads standard error."""
    left = nth

    def hit() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(2, f"{STRUCK}{text}\n".encode())
            act()

    return hit


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    """Sent to this thread. One sent to the process may reach another thread first, and this one would
    go on past the point."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _raise() -> None:
    raise RuntimeError("a fault point was told to raise")


def _full() -> None:
    """What a full disk is to a process: none of its files takes another byte. Lifted from outside."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))


_ACTIONS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "raise": _raise,
    "stop": _stop,
    "full": _full,
}
