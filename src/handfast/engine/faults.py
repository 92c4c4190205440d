"""Arms fault points from the environment: `HANDFAST_FAULT=name:kill|raise|stop[:nth]`."""

import os
import signal
from collections.abc import Callable

from handfast.core.domain.errors import UsageError
from handfast.core.domain.faults import POINTS, arm


def arm_from_environment() -> None:
    """Called once when a process starts. Raises UsageError for a point or action not known."""
    text = os.environ.get("HANDFAST_FAULT", "")
    if not text:
        return
    name, _, rest = text.partition(":")
    action, _, nth = rest.partition(":")
    if name not in POINTS or action not in _ACTIONS:
        raise UsageError(f"HANDFAST_FAULT is `{text}`", hint="Use name:kill|raise|stop[:nth].")
    arm(name, _countdown(_ACTIONS[action], int(nth or "1")))


def _countdown(act: Callable[[], None], nth: int) -> Callable[[], None]:
    left = nth

    def hit() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            act()

    return hit


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise RuntimeError("a fault point was told to raise")


_ACTIONS: dict[str, Callable[[], None]] = {"kill": _kill, "stop": _stop, "raise": _raise}
