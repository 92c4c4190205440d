"""A person takes a run over and hands it back: what is refused meanwhile, and what is recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from handfast.core.domain import events_takeover as e
from handfast.core.domain import grant_commands, takeover
from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.errors import InvalidTransition, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.events_takeover import Following
from handfast.core.domain.handoff import USABLE, WAITING, GrantStatus, Handoff, Status
from handfast.core.domain.ids import HandoffId, PersonId
from handfast.core.domain.run import Run, check_epoch, check_not_over
from handfast.engine.grants import deciding_person
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.paging import every
from handfast.engine.people import People
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query

MAX_WORDS: Final = 20_000
WHY: Final = "a person took the run over"
_OPEN: Final = (*sorted(s.value for s in WAITING), Status.DECIDED.value, Status.RESUMED.value)


@dataclass(frozen=True, slots=True)
class Found:
    """How the runner leaves the worktree to the person. `seen` is kept as JSON: `processes`, `uncommitted`."""

    host: str
    worktree: str
    branch: str
    head_commit: str
    snapshot_ref: str
    snapshot_commit: str
    session: bytes | None = None
    seen: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changed:
    """What git says of the time in between. `work` is kept as JSON: `commits`, `files`, `diff`."""

    from_commit: str
    head_commit: str
    snapshot_ref: str
    snapshot_commit: str
    changed: int
    work: Mapping[str, object]


class Takeovers:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel, people: People) -> None:
        self._kernel = kernel
        self._people = people

    # -- by a person

    def take(self, actor: Actor, run_id: str, reason: str = "") -> Result:
        """From now on the agent may do nothing: its calls are denied, what waits is withdrawn, what was
        approved and has not run is void. Its runner ends it and hands the worktree over.

        Result: run_id, held_by, ready (whether the worktree is there). Idempotent for whoever holds it.
        Raises NotPermitted, NotFound, UsageError for a session that no runner started, and InvalidTransition
        with the codes `taken_over` (somebody else has it), `merge_running`, `hand_back_pending`.
        """
        _check_words("reason", reason)

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            run = self.take_in(unit, unit.get(Run, run_id), person.person_id, reason)
            now = run.held
            return {
                "run_id": run_id,
                "held_by": person.person_id,
                "ready": now is not None and now.point is not None,
            }

        return self._kernel.run(actor, work)

    def take_in(
        self, unit: Unit, run: Run, person_id: PersonId, reason: str, handoff_id: str = ""
    ) -> Run:
        """The same within a unit of work, for a decision that says so."""
        check_not_over(run)
        if run.command is None:
            raise UsageError(
                f"run `{run.run_id}` is a person's own session: no runner can stop it",
                code="own_session",
                hint="Stop the agent where it runs, or use `handfast kill`.",
            )
        now = run.held
        body = unit.put(reason.strip()) if reason.strip() else None
        event = e.RunTakenOver(run.run_id, person_id, body, HandoffId(handoff_id))
        holder = self._people.name(now.by) if now else ""
        events = takeover.take(run.run_id, run.takeovers, event, holder)
        if not events:
            return run
        for each in self._open(run.run_id):
            self._void(unit, unit.get(Handoff, each), person_id)
        unit.post("run.taken_over", {"run_id": run.run_id})
        return unit.record(Run, run.run_id, events)

    def _void(self, unit: Unit, h: Handoff, person_id: PersonId) -> None:
        """Nothing is asked for the agent any more, and nothing that was approved may still run. Doubts stay:
        they are about what has happened."""
        grant = h.grant
        if h.kind is HandoffKind.DOUBT:
            return
        if h.waiting:
            unit.record(Handoff, h.handoff_id, commands.withdraw(h, WHY))
            return
        running = grant is not None and grant.status is GrantStatus.REDEEMED
        if running and h.kind is HandoffKind.REVIEW:
            raise InvalidTransition(
                f"the work of run `{h.run_id}` was approved and is being merged right now",
                code="merge_running",
                hint="Look again in a moment: the run will have ended.",
            )
        if grant is not None and (grant.status in USABLE or (running and grant.used < grant.uses)):
            why = unit.put(WHY)
            unit.record(Handoff, h.handoff_id, grant_commands.revoke(h, person_id, why))

    def _open(self, run_id: str) -> Iterator[str]:
        for row in every(self._kernel.store, Query("handoff", run_id=run_id, statuses=_OPEN)):
            yield cast("Handoff", load(BY_NAME["handoff"], row.doc)).handoff_id

    def hand_back(
        self, actor: Actor, run_id: str, note: str = "", following: str = Following.RESUME.value
    ) -> Result:
        """The run is its agent's again: a runner records what changed, and goes on as `following` says.

        Raises NotPermitted for anybody but the holder and an admin, InvalidTransition, UsageError.
        """
        _check_words("note", note)
        if following not in {f.value for f in Following}:
            raise UsageError(f"`then` is `{following[:40]}`", hint="One of: resume, review, end.")

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            run = unit.get(Run, run_id)
            check_not_over(run)
            event = e.RunHandedBack(
                run.run_id,
                person.person_id,
                Following(following),
                unit.put(note.strip()) if note.strip() else None,
            )
            admin = "admin" in person.roles
            back = takeover.hand_back(run.run_id, run.takeovers, event, admin=admin)
            unit.record(Run, run_id, back)
            unit.post("run.queued", {"run_id": run_id})
            return {"run_id": run_id, "then": following}

        return self._kernel.run(actor, work)

    # -- by its runner

    def handed_over(self, actor: Actor, run_id: str, epoch: int, found: Found) -> Result:
        """The agent is gone, and the worktree is the person's. Idempotent. Raises StaleEpoch."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_epoch(run, epoch)
            check_not_over(run)
            now = run.held
            if now is None:
                raise InvalidTransition(f"nobody has taken run `{run_id}` over")
            if now.point is None:
                session = unit.put(found.session, "application/jsonl") if found.session else None
                event = e.RunHandedOver(
                    run_id=run.run_id,
                    epoch=epoch,
                    host=found.host,
                    worktree=found.worktree,
                    branch=found.branch,
                    head_commit=found.head_commit,
                    snapshot_ref=found.snapshot_ref,
                    snapshot_commit=found.snapshot_commit,
                    found=unit.put_json(dict(found.seen)),
                    session=session,
                    seat=run.runner_id,
                )
                unit.record(Run, run_id, [event])
                unit.post("run.handed_over", {"run_id": run_id})
            return {"run_id": run_id, "status": unit.get(Run, run_id).status.value}

        return self._kernel.run(actor, work)

    def recorded(self, actor: Actor, run_id: str, epoch: int, changed: Changed) -> Result:
        """What the person changed, before anything goes on from it. Idempotent. Raises StaleEpoch."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_epoch(run, epoch)
            check_not_over(run)
            takeover.check_free(run.run_id, run.takeovers)
            if takeover.unrecorded(run.takeovers) is not None:
                event = e.PersonsWorkRecorded(
                    run_id=run.run_id,
                    epoch=epoch,
                    from_commit=changed.from_commit,
                    head_commit=changed.head_commit,
                    snapshot_ref=changed.snapshot_ref,
                    snapshot_commit=changed.snapshot_commit,
                    changed=changed.changed,
                    work=unit.put_json(dict(changed.work)),
                    seat=run.runner_id,
                )
                unit.record(Run, run_id, [event])
            return {"run_id": run_id, "status": unit.get(Run, run_id).status.value}

        return self._kernel.run(actor, work)


def _check_words(field_name: str, words: str) -> None:
    if len(words) > MAX_WORDS:
        raise UsageError(f"`{field_name}` is longer than {MAX_WORDS} characters")
