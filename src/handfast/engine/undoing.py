"""After an effect: its undo as an action of its own, and a doubt that a declared probe settles.

Nothing here undoes anything. An undo is asked about like every other action, whatever policy says of it, and runs
through the mediated executor once a person approved it.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from handfast.core.domain import events_handoff as e
from handfast.core.domain.action import Verdict
from handfast.core.domain.errors import InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor, HandoffKind
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.ids import AgentId, PersonId
from handfast.core.domain.package import Package
from handfast.core.domain.person import MAY_DELEGATE, Person
from handfast.core.domain.run import Run
from handfast.engine.audiences import Audiences
from handfast.engine.edits import Edits
from handfast.engine.effects import open_package, settle_doubt
from handfast.engine.gating import owners_of
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.opening import Opening, at_most, open_handoff
from handfast.engine.packages import approval, shown_call
from handfast.engine.policies import Policies
from handfast.engine.projections import match_of_form
from handfast.engine.reading import ReadCall
from handfast.engine.waking import wake
from handfast.storage.api import Query

PROBE = PersonId("probe")
_RAN = (EffectOutcome.VERIFIED, EffectOutcome.REPORTED, EffectOutcome.UNKNOWN)
_NOT_DONE = (Status.DECIDED, Status.RESUMED)
_ANSWERS = {0: "it_ran", 1: "it_did_not_run"}


@dataclass(frozen=True, slots=True)
class Probed:
    """What a runner's probe of a doubt found. `refused`: why it did not run."""

    handoff_id: str
    command: tuple[str, ...]
    exit_code: int | None = None
    duration_ms: int = 0
    output: str = ""
    refused: str = ""


class Undoing:
    """All calls are atomic."""

    def __init__(
        self, audiences: Audiences, policies: Policies, edits: Edits, read_call: ReadCall
    ) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._policies = policies
        self._edits = edits
        self._read_call = read_call

    def undo(self, actor: Actor, handoff_id: str) -> Result:
        """Open a handoff for the undo of what this one permitted, or find the one that is open already.
        Result: handoff_id of that one, status.

        Raises NotPermitted for a person whose roles do not let them delegate work, InvalidTransition when nothing
        ran or no undo is declared, UsageError (`undo_denied`) when policy denies the undo itself.
        """
        return self._kernel.run(actor, lambda unit: self._undo(unit, actor, handoff_id))

    def _undo(self, unit: Unit, actor: Actor, handoff_id: str) -> Result:
        _check_may_ask(unit, actor)
        h = unit.get(Handoff, handoff_id)
        package = open_package(self._kernel, h)
        command = _declared_undo(h, package)
        if h.action is None:
            raise InvalidTransition(f"handoff `{handoff_id}` has no action that could be undone")
        run = unit.get(Run, h.run_id)
        original = self._edits.action_of(h)
        call, facts = self._read_call("Bash", {"command": command}, run, original.cwd)
        if asked_before := self._open(unit, h, call.digest):
            return {"handoff_id": asked_before.handoff_id, "status": asked_before.status.value}
        judged = self._policies.judge(unit, run, call, facts, executor=Executor.MEDIATED.value)
        if judged.verdict is Verdict.DENY:
            why = " ".join(r.why for r in judged.rules)
            raise UsageError(f"policy denies the undo: {why}", code="undo_denied")
        asked = approval(facts, judged, run, shown_call(call, None), "")
        about = f"It undoes handoff `{handoff_id}`: {package.ask}. "
        opened = open_handoff(
            self._audiences,
            unit,
            Opening(
                kind=HandoffKind.APPROVAL,
                risk=judged.risk.value,
                package=replace(
                    asked,
                    why_now=f"{about}Declared {package.what_will_happen.undo_about}.",
                    state="Nothing waits for it. On approval it is run with `handfast exec`, once.",
                ),
                action_digest=call.digest,
                agent_id=AgentId(""),  # a person runs it: no agent may redeem its grant
                within_s=self._kernel.settings.approval_within_s,
                run_id=h.run_id,
                task_id=h.task_id,
                action=unit.put_json(call.canonical()),
                executor=Executor.MEDIATED,
                rules=tuple(r.id for r in judged.rules),
                policy_digest=judged.policy_digest,
                about=h.handoff_id,
                requirement=at_most(judged, facts),
                tool=call.tool,
                owners=owners_of(facts),
            ),
        )
        return {"handoff_id": opened.handoff_id, "status": opened.status.value}

    def _open(self, unit: Unit, h: Handoff, action_digest: str) -> Handoff | None:
        """The undo of this handoff that waits or was not run yet: asking twice must not run it twice."""
        match = match_of_form(h.run_id, action_digest)
        rows = self._kernel.store.find(Query("handoff", match=match, newest_first=True, limit=20))
        found = (unit.get(Handoff, row.stream.partition("/")[2]) for row in rows)
        undos = (u for u in found if u.about == h.handoff_id and not u.agent_id)
        return next((u for u in undos if u.waiting or u.status in _NOT_DONE), None)

    def reconciled(self, actor: Actor, p: Probed) -> Result:
        """Settle a doubt by the probe its action declared: exit 0 it ran, 1 it did not, else it stays open.

        Recorded as the probe's answer, never as a person's. Raises InvalidTransition for a doubt that declares
        another probe, or none, or is settled.
        """
        return self._kernel.run(actor, lambda unit: self._reconciled(unit, p))

    def _reconciled(self, unit: Unit, p: Probed) -> Result:
        h = unit.get(Handoff, p.handoff_id)
        contract = open_package(self._kernel, h).contract
        declared: Sequence[str] = contract.reconcile if contract else ()
        if h.kind is not HandoffKind.DOUBT or not h.waiting or not declared:
            raise InvalidTransition(f"handoff `{p.handoff_id}` is no open doubt with a probe")
        if tuple(declared) != p.command:
            raise InvalidTransition(f"the probe of handoff `{p.handoff_id}` is another command")
        answer = "" if p.refused or p.exit_code is None else _ANSWERS.get(p.exit_code, "")
        end = p.refused or f"exit {p.exit_code}, {p.duration_ms} ms"
        words = unit.put(f"`{shlex.join(p.command)}`: {end}\n{p.output[:20_000]}")
        if not answer:
            unit.record(Handoff, h.handoff_id, [e.HandoffCommented(h.handoff_id, words)])
            return {"handoff_id": h.handoff_id, "answer": ""}
        decided = e.HandoffDecided(
            handoff_id=h.handoff_id,
            decision=DecisionKind.ANSWER,
            person_id=PROBE,
            presented_digest=h.presented_digest,
            auth="probe",
            reason=words,
            answer=answer,
        )
        closed = e.HandoffClosed(h.handoff_id, DecisionKind.ANSWER.value)
        after = unit.record(Handoff, h.handoff_id, [decided, closed])
        settle_doubt(unit, after)
        wake(unit, after)
        unit.post("handoff.decided", {"handoff_id": h.handoff_id})
        return {"handoff_id": h.handoff_id, "answer": answer}


def _check_may_ask(unit: Unit, actor: Actor) -> None:
    """A person's own token asks in their name, so this is by their roles and not by how they proved themselves."""
    if actor.person:
        unit.rely_on(Person, actor.person)
        if not MAY_DELEGATE & set(unit.get(Person, actor.person).roles):
            raise NotPermitted(
                "your roles do not include asking for an undo",
                hint=f"It takes one of: {', '.join(sorted(MAY_DELEGATE))}.",
            )


def _declared_undo(h: Handoff, package: Package) -> str:
    """The command that takes back what ran. Raises InvalidTransition when nothing ran or none is declared."""
    ran = [x for x in (*h.earlier_effects, h.effect) if x and x.outcome in _RAN]
    if not ran:
        raise InvalidTransition(
            f"nothing ran on handoff `{h.handoff_id}`: there is nothing to undo"
        )
    if h.decision is not None and h.decision.edited_action is not None:
        raise InvalidTransition(
            f"handoff `{h.handoff_id}` was approved with edits, and its undo was declared for the original",
            hint="Undo it by hand: only you know whether the same undo fits.",
        )
    words = package.contract.undo if package.contract else ()
    command = shlex.join(words) if words else package.what_will_happen.undo
    if not command:
        raise InvalidTransition(
            f"no undo is declared for handoff `{h.handoff_id}`",
            hint="A policy declares one under `actions:`; a tool with the call it proposes.",
        )
    return command
