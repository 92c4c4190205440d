"""A server with one agent's credentials in the environment, and a person who decides, for gated functions."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_handoff import DecisionKind
from handfast.engine.handoffs import Decision
from tests.served import LOGIN, OPERATOR, PIN, Served

Json = dict[str, Any]
PATIENCE_S = 120.0


@dataclass
class GateBench:
    """`decide` is the person's; `served` runs in this process."""

    served: Served

    @cached_property
    def person(self) -> Actor:
        return self.served.engine.people.with_pin(LOGIN, PIN)

    def waiting(self, count: int = 1) -> list[Json]:
        deadline = time.monotonic() + PATIENCE_S
        while len(found := self.served.engine.views.handoffs("waiting").items) < count:
            assert time.monotonic() < deadline, f"{len(found)} handoffs wait"
            time.sleep(0.01)
        return found

    def handoff(self, handoff_id: object) -> Json:
        return self.served.engine.views.handoff(str(handoff_id))

    def decide(self, handoff_id: object, kind: str = "approve", **more: str) -> None:
        shown = str(self.handoff(handoff_id)["presented_digest"])
        given = {"reason": "looked at it", **more}
        decision = Decision(str(handoff_id), DecisionKind(kind), shown, **given)  # type: ignore[arg-type]
        self.served.engine.handoffs.decide(self.person, decision)

    def decide_next(self, kind: str = "approve", **more: str) -> Json:
        """Decide the one that waits. Gives it as it was shown."""
        shown = self.handoff(self.waiting()[0]["handoff_id"])
        self.decide(shown["handoff_id"], kind, **more)
        return shown

    def all(self) -> list[Json]:
        return self.served.engine.views.handoffs("all").items

    def steps(self, run_id: str) -> list[Json]:
        found: Any = self.served.engine.views.steps(run_id)["items"]
        return list(found)

    def types(self, handoff_id: str) -> list[str]:
        store = self.served.engine.kernel.store
        return [from_bytes(e.data).type for e in store.events(stream=f"handoff/{handoff_id}")]

    def settle(self, run_id: str) -> None:
        """As a runner does that saw the process end."""
        self.served.engine.runs.settle(OPERATOR, run_id, None)

    def runner_token(self) -> str:
        return self.served.tokens["runner"]

    def own_agent(self) -> str:
        """The token of an agent registered for Python programs."""
        agents = self.served.engine.agents
        return agents.issue(
            OPERATOR, str(agents.add(OPERATOR, "python", "python")["agent_id"])
        ).token
