"""The twelve rules against everything of ours that runs gated actions."""

import pytest

from handfast.testing.gates import Executor, GateConformance
from tests.conformance.claude_hook import ClaudeHook
from tests.conformance.exec_grant import ExecGrant
from tests.conformance.gated_function import GatedFunction, RunnersFunction
from tests.conformance.raw_api import RawApi

pytestmark = pytest.mark.slow


class TestHttpApi(GateConformance):
    @pytest.fixture
    def made(self) -> Executor:
        return RawApi()


class TestGatedFunction(GateConformance):
    @pytest.fixture
    def made(self) -> Executor:
        return GatedFunction()


class TestGatedFunctionOfARunner(GateConformance):
    @pytest.fixture
    def made(self) -> Executor:
        return RunnersFunction()


class TestExecGrant(GateConformance):
    @pytest.fixture
    def made(self) -> Executor:
        return ExecGrant()


class TestClaudeCodeHook(GateConformance):
    @pytest.fixture
    def made(self) -> Executor:
        return ClaudeHook()
