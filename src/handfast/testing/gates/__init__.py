"""The conformance suite for whatever runs gated actions: the twelve rules, against a real server.

    from handfast.testing.gates import GateConformance

    class TestMine(GateConformance):
        @pytest.fixture
        def made(self) -> MyExecutor:
            return MyExecutor()

- `executor` is the protocol an adopter implements, `place` what the suite gives it: a server behind a line
  that can be cut, an agent's token, a file that counts effects.
- `conformance` puts the rules together: `deciding` (R1-R3, R5, R8, R10, R11) and `running` (R4, R6, R7, R9, R12).

Needs pytest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handfast.testing.gates.conformance import GateConformance
    from handfast.testing.gates.executor import (
        Action,
        Attempt,
        Capabilities,
        Crash,
        Executor,
        Outcome,
        Way,
    )
    from handfast.testing.gates.place import Place

__all__ = [
    "Action",
    "Attempt",
    "Capabilities",
    "Crash",
    "Executor",
    "GateConformance",
    "Outcome",
    "Place",
    "Way",
]

_MODULES = {"GateConformance": "conformance", "Place": "place"}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Fetched when used: a process that is to be killed needs no server."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "GateConformance":
            import pytest

            pytest.register_assert_rewrite(f"{__name__}.deciding", f"{__name__}.running")
        found: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'executor')}"), name)
        globals()[name] = found
        return found
