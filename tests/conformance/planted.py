"""Executors with one bug each, of kinds seen in other systems: the suite must fail them, at the rule named."""

from pathlib import Path
from typing import Any

from handfast.testing.gates.executor import Action, Attempt, Capabilities, Crash, Outcome
from tests.conformance.raw_api import RawApi, Refused

Json = dict[str, Any]
RAN, WAITING, DENIED = Outcome.RAN, Outcome.WAITING, Outcome.DENIED


class Unasked(RawApi):
    """Does it, and tells the server afterwards."""

    def attempt(self, action: Action) -> Attempt:
        self.mark(action)
        return super().attempt(action)

    def mark(self, action: Action) -> None:
        with Path(self.effects).open("a") as file:
            file.write(f"{action.marker}\n")


class NeverRedeems(RawApi):
    """Runs what is approved, and takes no start for it."""

    def redeems(self, action: Action, handoff_id: str) -> Attempt:
        case = self.call("GET", f"/v1/handoffs/{handoff_id}")
        if not case["grant"]:
            return Attempt(DENIED, handoff_id)
        return self.does(action, handoff_id, "", "")


class OpenOnFailure(RawApi):
    """No answer is taken for a yes."""

    def refused(self, error: Refused, handoff_id: str = "") -> Attempt:
        if error.status == 0 or error.status >= 500:
            return self.does(self.now, handoff_id, "", "")
        return super().refused(error, handoff_id)

    def attempt(self, action: Action) -> Attempt:
        self.now = action
        return super().attempt(action)

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        self.now = action
        return super().resume(action, asked)


class ByPosition(RawApi):
    """Answers are given to the asks in the order in which they arrive."""

    def begin(self, place: Any) -> None:
        super().begin(place)
        self.asked: list[Action] = []

    def attempt(self, action: Action) -> Attempt:
        found = super().attempt(action)
        if found.outcome is WAITING and action not in self.asked:
            self.asked.append(action)
        return found

    def does(self, action: Action, handoff_id: str, grant_id: str, start_id: str) -> Attempt:
        """The first ask gets the first approval."""
        answered = sorted(
            self.call("GET", f"/v1/handoffs?run_id={self.run_id}&status=all")["items"],
            key=lambda case: (case["decision"] or {"at": "~"})["at"],
        )
        place = [case["handoff_id"] for case in answered].index(handoff_id) if handoff_id else 0
        mixed = self.asked[place] if place < len(self.asked) else action
        super().does(mixed, handoff_id, grant_id, start_id)
        return Attempt(RAN, handoff_id)


class RunsAgainAfterACrash(RawApi):
    """A step without a result is done again: at least once, as queues do it."""

    def begin(self, place: Any) -> None:
        super().begin(place)
        self.pending: dict[str, Action] = {}

    def crash(self, action: Action, asked: Attempt, at: Crash) -> None:
        super().crash(action, asked, at)
        self.pending[action.marker] = action

    def replay(self, action: Action, asked: Attempt) -> Attempt:
        if self.pending.pop(action.marker, None):
            return self.does(action, asked.handoff_id, "", "")
        return super().replay(action, asked)


class SwappedArguments(RawApi):
    """Redeems the digest that was approved, whatever is about to run."""

    def redeems(self, action: Action, handoff_id: str) -> Attempt:
        grant_id = handoff_id.replace("ho_", "gr_")
        approved = self.call("GET", f"/v1/grants/{grant_id}")["grant"]
        body = {
            "action_digest": (approved or {}).get("action_digest", ""),
            "executor": "mediated",
        }
        start = self.call("POST", f"/v1/grants/{grant_id}/redeem", body)
        return self.does(action, handoff_id, grant_id, start["start_id"])


class LooseOperands(RawApi):
    """Says that it binds operands, and names them only."""

    def operand(self, path: Path) -> Json:
        return {"path": str(path), "digest": "sha256:" + "0" * 64}


class UnboundOperands(RawApi):
    """Says that it cannot bind operands, and asks for such an action all the same."""

    capabilities = Capabilities(operands=False)

    def canonical(self, action: Action) -> Json:
        return super().canonical(Action(action.marker))


class OuterYes(RawApi):
    """The yes of the harness around it counts."""

    def answered_outside(self, action: Action) -> Attempt:
        first = super().answered_outside(action)
        return self.does(action, first.handoff_id, "", "")


class TriesAnother(RawApi):
    """After a no it asks in a new session, until policy lets it."""

    def attempt(self, action: Action) -> Attempt:
        found = super().attempt(action)
        if found.outcome is DENIED:
            self.keys += 1
            return self.asks(action, self.new_session(f"again-{self.keys}"))
        return found


class OutlivesItsApproval(RawApi):
    """Remembers what was approved, and asks nobody whether that still holds."""

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        case = self.call("GET", f"/v1/handoffs/{asked.handoff_id}")
        if case["decision"] and case["decision"]["kind"] == "approve":
            return self.does(action, asked.handoff_id, "", "")
        return super().resume(action, asked)


class SilenceIsConsent(RawApi):
    """Nobody objected in time."""

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        found = super().resume(action, asked)
        if found.detail == "expired":
            return self.does(action, asked.handoff_id, "", "")
        return found


class NeverRecords(RawApi):
    """Says nothing about what came of it."""

    def does(self, action: Action, handoff_id: str, grant_id: str, start_id: str) -> Attempt:
        return super().does(action, handoff_id, "", "")


class TrustsItsHelpers(RawApi):
    """A sub-agent's call is not asked about."""

    def asks(self, action: Action, run_id: str = "", **more: object) -> Attempt:
        if more.get("subagent"):
            return self.does(action, "", "", "")
        return super().asks(action, run_id, **more)


class AnyAnswerWillDo(RawApi):
    """Goes on as soon as somebody has answered."""

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        return self.does(action, asked.handoff_id, "", "")


# The rule that must fail, the executor, and what the suite says.
PLANTED: dict[str, tuple[type[RawApi], str]] = {
    "r01_nothing_runs_without_an_approval": (Unasked, "it ran before anybody decided"),
    "r02_a_rejected_action_stays_denied_when_policy_turns": (TriesAnother, "it ran: "),
    "r02_a_rejected_action_never_runs": (AnyAnswerWillDo, "Outcome.RAN"),
    "r03_changed_arguments_need_a_new_approval": (SwappedArguments, "it ran: "),
    "r03_a_changed_operand_needs_a_new_approval": (LooseOperands, "it ran: "),
    "r04_a_grant_starts_at_most_once": (NeverRedeems, "it ran: "),
    "r04_replayed_at_once_it_starts_at_most_once": (NeverRedeems, "Outcome.RAN"),
    "r05_an_expired_handoff_never_runs": (SilenceIsConsent, "it ran: "),
    "r05_an_expired_grant_never_runs": (OutlivesItsApproval, "it ran: "),
    "r06_what_ran_ends_in_a_final_state": (NeverRecords, "'resumed' == 'closed'"),
    "r07_no_way_around": (TrustsItsHelpers, "as a sub-agent: it ran"),
    "r08_parallel_asks_keep_their_own_answers": (ByPosition, r"\(0, 1\) == \(1, 0\)"),
    "r09_the_log_holds_the_evidence_of_what_ran": (NeverRecords, "the log holds"),
    "r10_an_outer_yes_is_not_an_approval": (OuterYes, "it ran: "),
    "r12_without_a_server_nothing_runs": (OpenOnFailure, "it ran: "),
    "r12_without_a_store_nothing_runs": (OpenOnFailure, "it ran: "),
}
