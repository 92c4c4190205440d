"""A scratch repository, an own HOME, a stub hook and the real binary, for each test."""

from pathlib import Path

import pytest

from handfast.testing.claude_binary import find_claude
from tests import needs
from tests.agents.bench import Bench


@pytest.fixture(scope="session")
def claude() -> Path:
    """The real binary."""
    found = find_claude()
    if found is None:
        needs.missing("agents", "no claude binary: make test-agents installs it")
    return found


@pytest.fixture
def bench(claude: Path, tmp_path: Path) -> Bench:
    """Everything one run needs, with nothing configured yet."""
    return Bench.prepare(claude, tmp_path)
