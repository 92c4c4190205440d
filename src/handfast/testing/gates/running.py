"""Rules about what runs and what is recorded: R4, R6, R7, R9, R12."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from handfast.core.domain import events_handoff as e
from handfast.testing.gates.deciding import approved, asked, not_run
from handfast.testing.gates.executor import Action, Attempt, Crash, Executor, Outcome
from handfast.testing.gates.place import Place

RAN, WAITING, DENIED = Outcome.RAN, Outcome.WAITING, Outcome.DENIED
AT_ONCE = 4


class Running:
    """Inherited by `GateConformance`."""

    def test_r04_a_grant_starts_at_most_once(self, executor: Executor, place: Place) -> None:
        action = Action("r04")
        first = approved(executor, place, action)
        assert executor.resume(action, first).outcome is RAN
        not_run(place, action, executor.replay(action, first), times=1)
        not_run(place, action, executor.resume(action, first), times=1)
        again = executor.attempt(action)
        not_run(place, action, again, times=1)
        assert again.handoff_id != first.handoff_id, "a used approval answers again"

    def test_r04_replayed_at_once_it_starts_at_most_once(
        self, executor: Executor, place: Place
    ) -> None:
        action = Action("r04-at-once")
        first = approved(executor, place, action)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda _: executor.replay(action, first), range(AT_ONCE)))
        assert place.ran(action.marker) <= 1, found
        assert len([a for a in found if a.outcome is RAN]) == place.ran(action.marker), found

    @pytest.mark.parametrize("at", [Crash.STARTED, Crash.RAN])
    def test_r04_after_a_crash_nothing_is_repeated_and_the_doubt_is_shown(
        self, executor: Executor, place: Place, at: Crash
    ) -> None:
        action = Action(f"r04-{at}")
        first = approved(executor, place, action)
        executor.crash(action, first, at)
        before = place.ran(action.marker)
        assert before == (at is Crash.RAN), "the process was not killed where it says"
        not_run(place, action, executor.replay(action, first), times=before)
        not_run(place, action, executor.attempt(action), times=before)
        place.until_starts_are_doubted()
        doubts = [h for h in place.waiting() if h["kind"] == "doubt"]
        assert len(doubts) == 1, "nobody is told that it may have run"
        attached = executor.attempt(action)
        not_run(place, action, attached, times=before)
        _answer_and_go_on(executor, place, action, str(doubts[0]["handoff_id"]))
        assert place.ran(action.marker) == 1

    @pytest.mark.parametrize("at", list(Crash))
    def test_r06_a_crash_loses_no_handoff_and_doubles_none(
        self, executor: Executor, place: Place, at: Crash
    ) -> None:
        action = Action(f"r06-{at}")
        if at is Crash.ASKED:
            executor.crash(action, Attempt(WAITING), at)
            cases = place.waiting()
            assert len(cases) == 1, "the case was lost, or doubled"
            place.decide(str(cases[0]["handoff_id"]))
            attempt = executor.attempt(action)
            if attempt.outcome is WAITING:  # a case is its session's
                assert place.ran(action.marker) == 0
        else:
            executor.crash(action, approved(executor, place, action), at)
        place.until_everything_is_due()
        assert place.unfinished() == []
        assert place.ran(action.marker) <= 1

    def test_r06_what_ran_ends_in_a_final_state(self, executor: Executor, place: Place) -> None:
        action = Action("r06-closed")
        first = approved(executor, place, action)
        assert executor.resume(action, first).outcome is RAN
        assert place.handoff(first.handoff_id)["status"] == "closed"

    def test_r07_no_way_around(self, executor: Executor, place: Place) -> None:
        ways = executor.ways_around()
        assert ways, "name at least one way around, and show that it is judged like the first"
        for number, (name, way) in enumerate(sorted(ways.items())):
            action = Action(f"r07-{number}")
            attempt = way(action)
            assert place.ran(action.marker) == 0, f"{name}: it ran: {attempt}"
            assert attempt.outcome is not RAN, f"{name}: it claims that it ran: {attempt}"
        place.forbid()
        for name, way in ways.items():
            assert way(Action("r07-denied")).outcome is not RAN, name
        assert place.ran() == 0

    def test_r09_the_log_holds_the_evidence_of_what_ran(
        self, executor: Executor, place: Place
    ) -> None:
        action = Action("r09")
        first = approved(executor, place, action)
        assert executor.resume(action, first).outcome is RAN
        entries = place.log(first.handoff_id)
        found = {type(r.event): r for r in entries}
        order = [t for t in map(type, (r.event for r in entries)) if t in _EVIDENCE]
        assert order == list(_EVIDENCE), f"the log holds {[r.type for r in entries]}"
        requested, minted = found[e.HandoffRequested].event, found[e.GrantMinted].event
        decided, redeemed = found[e.HandoffDecided], found[e.GrantRedeemed].event
        effect = found[e.EffectRecorded].event
        assert isinstance(requested, e.HandoffRequested)
        assert isinstance(minted, e.GrantMinted)
        assert isinstance(redeemed, e.GrantRedeemed)
        assert isinstance(effect, e.EffectRecorded)
        assert requested.action_digest == minted.action_digest == redeemed.action_digest
        assert effect.executed_digest in ("", minted.action_digest)
        assert effect.outcome in (e.EffectOutcome.VERIFIED, e.EffectOutcome.REPORTED)
        assert decided.actor.type == "person"

    def test_r09_the_log_holds_the_evidence_of_what_was_refused(
        self, executor: Executor, place: Place
    ) -> None:
        action = Action("r09-refused")
        first = asked(executor, place, action)
        place.decide(first.handoff_id, "reject")
        executor.resume(action, first)
        executor.replay(action, first)
        types = [r.type for r in place.log(first.handoff_id)]
        assert "handoff.decided" in types
        assert not {"grant.minted", "grant.redeemed", "effect.recorded"} & set(types), types

    def test_r12_without_a_server_nothing_runs(self, executor: Executor, place: Place) -> None:
        action, later = Action("r12-asked"), Action("r12-approved")
        with place.unreachable():
            not_run(place, action, executor.attempt(action))
        first = approved(executor, place, later)
        with place.unreachable():
            not_run(place, later, executor.resume(later, first))
            not_run(place, later, executor.replay(later, first))
        assert executor.resume(later, first).outcome is RAN, "the approval was lost"
        assert place.ran() == 1

    def test_r12_without_a_store_nothing_runs(self, executor: Executor, place: Place) -> None:
        action, later = Action("r12-store"), Action("r12-store-approved")
        first = approved(executor, place, later)
        with place.store_failing():
            not_run(place, action, executor.attempt(action))
            not_run(place, later, executor.resume(later, first))
        assert place.ran() == 0

    def test_r12_what_policy_cannot_tell_does_not_run(
        self, executor: Executor, place: Place
    ) -> None:
        action = Action("r12-policy")
        place.confuse()
        asked(executor, place, action)


_EVIDENCE = (
    e.HandoffRequested,
    e.HandoffDecided,
    e.GrantMinted,
    e.GrantRedeemed,
    e.EffectRecorded,
    e.HandoffClosed,
)


def _answer_and_go_on(executor: Executor, place: Place, action: Action, handoff_id: str) -> None:
    """A person looks and says what they found; then what did not run is asked for anew and runs."""
    if place.ran(action.marker):
        place.decide(handoff_id, "answer", answer="it_ran")
        not_run(place, action, executor.attempt(action), times=1)
        return
    place.decide(handoff_id, "answer", answer="it_did_not_run")
    anew = asked(executor, place, action)
    place.decide(anew.handoff_id)
    assert executor.resume(action, anew).outcome is RAN
