"""`handfast exec GRANT` as an executor: the agent asks over the API, the approved command runs through exec."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from handfast.client import Client
from handfast.core.domain.errors import HandfastError, RejectedError
from handfast.testing.gates.executor import Action, Attempt, Crash, Outcome
from tests.conformance.crashing import FAULTS, ROOT, killed
from tests.conformance.raw_api import RawApi, Refused, play

if TYPE_CHECKING:
    from handfast.testing.gates import Place

Json = dict[str, Any]


class ExecGrant(RawApi):
    """Runs nothing itself: what is approved runs in `handfast exec`."""

    def begin(self, place: "Place") -> None:
        super().begin(place)
        self.client = Client(place.url, place.token, timeout_s=5)

    def end(self) -> None:
        super().end()
        self.client.close()

    def canonical(self, action: Action) -> Json:
        operands = [self.operand(action.operand)] if action.operand else []
        first = f"bash {action.operand}; " if action.operand else ""
        command = f"{first}echo {action.marker} >> {self.effects}"
        return {
            "tool": "Bash",
            "arguments": {"command": command},
            "cwd": ".",
            "operands": operands,
        }

    def attempt(self, action: Action) -> Attempt:
        """Where an equal call was approved, `handfast exec` is what runs it."""
        try:
            path = f"/v1/handoffs?status=decided&run_id={self.run_id}"
            for item in self.call("GET", path)["items"]:
                case = self.call("GET", f"/v1/handoffs/{item['handoff_id']}")
                same = case["action"]["arguments"] == self.canonical(action)["arguments"]
                if same and case["grant"] and case["grant"]["status"] == "minted":
                    return self.redeems(action, item["handoff_id"])
        except Refused as error:
            return self.refused(error)
        return self.asks(action)

    def redeems(self, action: Action, handoff_id: str) -> Attempt:
        from handfast.runner.execute import execute_grant

        grant_id = handoff_id.replace("ho_", "gr_")
        try:
            call = self.call("GET", f"/v1/grants/{grant_id}")["call"]
            if call["arguments"] != self.canonical(action)["arguments"]:
                return Attempt(Outcome.DENIED, handoff_id, "the grant is for another command")
            execute_grant(self.client, grant_id, stream=lambda *_: None)
        except RejectedError as error:
            return Attempt(Outcome.DENIED, handoff_id, str(error))
        except HandfastError as error:
            return Attempt(Outcome.FAILED, handoff_id, str(error))
        return Attempt(Outcome.RAN, handoff_id)

    def does(self, action: Action, handoff_id: str, grant_id: str, start_id: str) -> Attempt:
        raise AssertionError("an agent that uses `handfast exec` takes no start itself")

    def crash(self, action: Action, asked: Attempt, at: Crash) -> None:
        if at is Crash.ASKED:
            told = {
                "url": self.url,
                "token": self.token,
                "effects": self.effects,
                "run_id": self.run_id,
                "marker": action.marker,
            }
            killed("tests.conformance.exec_grant", told, at)
            return
        ran = subprocess.run(
            [sys.executable, "-m", "handfast", "exec", asked.handoff_id.replace("ho_", "gr_")],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "src"),
                "HANDFAST_URL": self.url,
                "HANDFAST_TOKEN": self.token,
                "HANDFAST_HOME": "/nonexistent",
                "HANDFAST_FAULT": FAULTS[at],
            },
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == -9, ran


if __name__ == "__main__":
    play(ExecGrant())
