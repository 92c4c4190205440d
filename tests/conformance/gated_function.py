"""`@gate` as an executor. Run as a program it calls the function in a process of its own."""

import json
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handfast import Waiting, gate
from handfast.client import Client, calls
from handfast.core.domain.errors import HandfastError, RejectedError
from handfast.engine.faults import arm_from_environment
from handfast.testing.gates.executor import Action, Attempt, Capabilities, Crash, Outcome, Way
from tests.conformance.crashing import killed

if TYPE_CHECKING:
    from handfast.testing.gates import Place


def marking(effects: Path, **options: Any) -> Any:
    """A gated function that appends its marker to `effects`."""

    @gate(tool="mark", operands=lambda _, operand: [operand] if operand else [], **options)
    def mark(marker: str, operand: str) -> str:
        with effects.open("a") as file:
            file.write(f"{marker}\n")
        return f"marked {marker}"

    return mark


class GatedFunction:
    """`on_wait="raise"`: asks, raises Waiting, runs when it is called again after the approval."""

    capabilities = Capabilities()
    options: Mapping[str, Any] = {"approval_mode": "always_require"}

    def begin(self, place: "Place") -> None:
        self.place = place
        self.token = place.token
        self.client = Client(place.url, self.token, timeout_s=5)
        self.run_id = self.session("s1")
        self.mark = self.declared(self.run_id)

    def declared(self, run_id: str) -> Any:
        """The function as a program declares it."""
        given = {"client": self.client, "run_id": run_id, "on_wait": "raise", **self.options}
        return marking(self.place.effects, **given)

    def session(self, name: str) -> str:
        asked = calls.session_run(name, "/srv", harness="conformance")
        return str(self.client.send(asked)["run_id"])

    def end(self) -> None:
        self.client.close()

    def attempt(self, action: Action) -> Attempt:
        return self.called(self.mark.gated, action)

    def called(self, function: Callable[..., Any], action: Action) -> Attempt:
        try:
            receipt = function(action.marker, str(action.operand or ""))
        except Waiting as waits:
            return Attempt(Outcome.WAITING, waits.handoff_id)
        except RejectedError as error:
            return Attempt(Outcome.DENIED, str(error.details.get("handoff_id", "")), str(error))
        except HandfastError as error:
            return Attempt(Outcome.FAILED, detail=str(error))
        return Attempt(Outcome.RAN, getattr(receipt, "handoff_id", ""))

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        return self.attempt(action)

    def replay(self, action: Action, asked: Attempt) -> Attempt:
        """Another copy of the program: the same function, declared again."""
        return self.called(self.declared(self.run_id).gated, action)

    def crash(self, action: Action, asked: Attempt, at: Crash) -> None:
        told = {
            "url": self.place.url,
            "token": self.token,
            "run_id": self.run_id,
            "effects": str(self.place.effects),
            "marker": action.marker,
            "options": {**self.options, "on_wait": "raise" if asked.handoff_id else "block"},
        }
        killed("tests.conformance.gated_function", told, at)

    def answered_outside(self, action: Action) -> Attempt:
        """A harness that swallows what it does not know, and calls again as if somebody had said yes."""
        found = [self.attempt(action) for _ in range(3)]
        return found[-1]

    def ways_around(self) -> Mapping[str, Way]:
        def in_threads(action: Action) -> Attempt:
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda _: self.attempt(action), range(4)))
            return max(found, key=lambda a: a.outcome is Outcome.RAN)

        def unwrapped(action: Action) -> Attempt:
            import inspect

            return self.called(inspect.unwrap(self.mark), action)

        def in_a_new_session(action: Action) -> Attempt:
            return self.called(self.declared(self.session("other")).gated, action)

        return {
            "a retry": lambda action: self.called(self.mark, action),
            "in threads at once": in_threads,
            "unwrapped": unwrapped,
            "in a new session": in_a_new_session,
        }


class RunnersFunction(GatedFunction):
    """With a runner's credential, whose facts are believed: policy decides by what is declared."""

    options: Mapping[str, Any] = {"hazards": ("deploy",)}

    def begin(self, place: "Place") -> None:
        self.place = place
        self.token = place.runner_token
        self.client = Client(place.url, self.token, timeout_s=5)
        self.run_id = self.session("s1")
        self.mark = self.declared(self.run_id)

    def session(self, name: str) -> str:
        asked = calls.session_run(
            name, "/srv", harness="conformance", agent_id=self.place.agent_id, mode="enforce"
        )
        return str(self.client.send(asked)["run_id"])


def main() -> None:
    arm_from_environment()
    told = json.loads(sys.argv[1])
    with Client(told["url"], told["token"]) as client:
        given = {"client": client, "run_id": told["run_id"], **told["options"]}
        marking(Path(told["effects"]), **given)(told["marker"], "")


if __name__ == "__main__":
    main()
