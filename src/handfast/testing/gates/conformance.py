"""`GateConformance`: the twelve rules as a pytest class, with its fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.testing.gates.deciding import Deciding
from handfast.testing.gates.executor import Executor
from handfast.testing.gates.place import Installation, Place, installation
from handfast.testing.gates.running import Running


class GateConformance(Deciding, Running):
    """Inherit it and give pytest a fixture `made`: an `Executor` that has not begun.

    One server is shared by the tests of the class.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
        with installation(tmp_path_factory.mktemp("gates")) as made:
            yield made

    @pytest.fixture
    def place(self, server: Installation, tmp_path: Path) -> Iterator[Place]:
        place = server.place(tmp_path / "place")
        yield place
        place.publish()

    @pytest.fixture
    def made(self) -> Executor:
        raise NotImplementedError("give a fixture `made` that returns your executor")

    @pytest.fixture
    def executor(self, made: Executor, place: Place) -> Iterator[Executor]:
        made.begin(place)
        yield made
        made.end()
