"""Handfast: a handoff control plane for software-engineering agents.

The way in, from the inside out:

- `core` decides: pure values and functions, no I/O.
- `observe` turns a real call into facts; `storage` keeps events and bodies.
- `engine` runs commands against the store; `app` wires one process together.
- `client` is the one way to the control plane for everything outside it.
- `server`, `runner`, `adapters` and `cli` are the surfaces; `testing` is the shipped test kit.

Importing this module loads nothing else: the public names are fetched when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handfast.adapters.python import Waiting, gate
    from handfast.core.domain.errors import (
        AdapterError,
        HandfastError,
        IntegrityError,
        RejectedError,
        StorageError,
        UsageError,
    )

__version__ = "0.3.0"

__all__ = [
    "AdapterError",
    "HandfastError",
    "IntegrityError",
    "RejectedError",
    "StorageError",
    "UsageError",
    "Waiting",
    "__version__",
    "gate",
]

_ERRORS = "handfast.core.domain.errors"
_PYTHON = "handfast.adapters.python"
_HOME_OF = {
    "AdapterError": _ERRORS,
    "HandfastError": _ERRORS,
    "IntegrityError": _ERRORS,
    "RejectedError": _ERRORS,
    "StorageError": _ERRORS,
    "UsageError": _ERRORS,
    "Waiting": _PYTHON,
    "gate": _PYTHON,
}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)
