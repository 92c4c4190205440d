"""The API against its own document: whatever a request of the described kind holds, and whatever one of
another kind does, no answer is a fault of the server."""

import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from handfast.engine.access import PrincipalKind
from handfast.server.permits import PERMITS
from handfast.server.sessions import COOKIE
from tests.served import LOGIN, PASSWORD, Served

Case: TypeAlias = "schemathesis.Case[Any]"
Operation: TypeAlias = "schemathesis.APIOperation[Any, Any, Any, Any]"
BUDGET_S = 25.0  # after this each operation gets one request of each kind
EXAMPLES = 3
# What would wait, or fill the disk: the rest of these requests is made up all the same.
FIXED: Mapping[str, dict[str, Any]] = {"wait_handoff": {"query": {"timeout_s": 0}}}
# The one that may do most comes first.
CALLERS = (PrincipalKind.PERSON, PrincipalKind.RUNNER, PrincipalKind.OPERATOR, PrincipalKind.AGENT)


class Fuzzed:
    """Sends what was made up, as somebody who may call the operation at all."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.session = requests.Session()
        self.session.trust_env = False
        secret = served.engine.people.sign_in(LOGIN, PASSWORD).secret
        self.as_person = {"Cookie": f"{COOKIE}={secret}", "Origin": served.url}
        handoff = served.stop()
        made = served.client("operator").post("/v1/tasks", json=TASK).json()
        self.ids = {
            "handoff_id": handoff["handoff_id"],
            "grant_id": handoff["handoff_id"].replace("ho_", "gr_"),
            "run_id": handoff["run_id"],
            "task_id": made["task_id"],
            "agent_id": served.agent_id,
        }
        self.sent: dict[int, int] = {}

    def headers(self, operation_id: str) -> dict[str, str]:
        kinds = PERMITS[operation_id].kinds
        kind = next(kind for kind in CALLERS if kind in kinds)
        if kind is PrincipalKind.PERSON:
            return self.as_person
        return {"Authorization": f"Bearer {self.served.tokens[kind.value]}"}

    def send(self, case: Case, operation_id: str) -> None:
        answer = case.call(
            base_url=self.served.url,
            session=self.session,
            headers=self.headers(operation_id),
            timeout=20,
        )
        self.sent[answer.status_code] = self.sent.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (operation_id, answer.status_code, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"], operation_id


TASK = {
    "brief": {"intent": "Fix the build"},
    "repository": "/srv/checkout",
    "target_branch": "main",
    "base_commit": "0" * 40,
}


def test_no_request_makes_the_server_fail(served: Served) -> None:
    schema = schemathesis.openapi.from_dict(served.client().get("/openapi.json").json())
    fuzzed, began, seen = Fuzzed(served), time.monotonic(), set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        operation_id = operation.definition.raw["operationId"]
        if operation_id not in PERMITS:
            continue
        seen.add(operation_id)
        many = EXAMPLES if time.monotonic() - began < BUDGET_S else 1
        named = {p.name for p in operation.path_parameters}
        ids = {name: value for name, value in fuzzed.ids.items() if name in named}
        fixed: dict[str, Any] = {**FIXED.get(operation_id, {})}
        if ids and len(ids) == len(named):
            fixed["path_parameters"] = ids
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _run(fuzzed, operation, operation_id, mode, many, fixed)
    assert seen == set(PERMITS)
    assert sum(n for status, n in fuzzed.sent.items() if status < 300) > len(seen) / 4
    assert fuzzed.sent.get(422, 0) > 0


def _run(
    fuzzed: Fuzzed,
    operation: Operation,
    operation_id: str,
    mode: GenerationMode,
    many: int,
    fixed: dict[str, Any],
) -> None:
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
        return

    @settings(
        max_examples=many,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, **fixed))
    def send(case: Case) -> None:
        fuzzed.send(case, operation_id)

    send()
