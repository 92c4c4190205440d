"""A part of the conformance suite with the real Claude Code as the harness: the rules a session can play."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast.runner.hook_settings import with_hook
from handfast.testing.fake_anthropic import FakeAnthropic, bash, script
from handfast.testing.gates import GateConformance, Outcome, Place
from handfast.testing.gates.place import Installation, installation
from tests.agents.bench import Bench
from tests.conformance.claude_hook import ClaudeHook, Harness

pytestmark = [pytest.mark.agents, pytest.mark.slow]

RULES = [
    "r01_nothing_runs_without_an_approval",
    "r02_a_rejected_action_stays_denied_when_policy_turns",
    "r04_a_grant_starts_at_most_once",
    "r10_an_outer_yes_is_not_an_approval",
    "r12_without_a_server_nothing_runs",
]


class RealHarness(Harness):
    """Claude Code in one session, resumed for each call; its model says what to run."""

    def install(self, binary: Path, root: Path) -> None:
        self.claude = Bench(binary, root)
        self.claude.home.mkdir()
        self.claude.place("local", with_hook({}, self.hook_url, self.token, 60))
        self.session_id = str(uuid.uuid4())
        self.known = False

    def bash(self, command: str, call_id: str, **fields: Any) -> tuple[Outcome, str]:
        session = ["--resume" if self.known else "--session-id", self.session_id]
        mode = str(fields.get("permission_mode", "bypassPermissions"))
        with FakeAnthropic(script([[bash(command)], "finished"])) as model:
            self.claude.run(model, *session, mode=mode)
            self.known = True
            said = model.tool_results()[-1].content
        return (Outcome.DENIED if "was not run" in said else Outcome.RAN), said


class RealClaude(ClaudeHook):
    def __init__(self, binary: Path) -> None:
        self.binary = binary

    def begin(self, place: Place) -> None:
        super().begin(place)
        h = self.harness
        real = RealHarness(h.hook_url, h.token, h.repo, h.effects)
        real.install(self.binary, place.root)
        self.harness = real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("gates")) as made:
        yield made


@pytest.fixture
def place(server: Installation, tmp_path: Path) -> Iterator[Place]:
    place = server.place(tmp_path / "place")
    yield place
    place.publish()


@pytest.mark.parametrize("rule", RULES)
def test_the_real_program_keeps_the_rule(claude: Path, place: Place, rule: str) -> None:
    executor = RealClaude(claude)
    executor.begin(place)
    try:
        getattr(GateConformance(), f"test_{rule}")(executor, place)
    finally:
        executor.end()
