"""States and bodies put together for people and programs: the JSON of the API and the pages."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import cast

from handfast.core.domain.codec import encode, format_time
from handfast.core.domain.events import Recorded, from_bytes
from handfast.core.domain.events_handoff import HandoffClosed, HandoffKind, HandoffSuperseded
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.handoff import WAITING, Handoff
from handfast.core.domain.need import need_of
from handfast.core.domain.package import Package
from handfast.core.domain.project import Sight
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.engine.bulk import need_why
from handfast.engine.checkpoint_notes import note_of
from handfast.engine.effects import changed_lines, open_package, open_packages
from handfast.engine.filled import full
from handfast.engine.grant_views import effect_view, grant_view, may_give
from handfast.engine.grants import grant_of
from handfast.engine.kernel import Kernel, Result
from handfast.engine.ledger import of_task
from handfast.engine.limits import RunLimits
from handfast.engine.paging import Page as Page
from handfast.engine.paging import cursor_of, next_of
from handfast.engine.people import People
from handfast.engine.progress import Progress
from handfast.engine.projections import BY_NAME, load
from handfast.engine.ratings import deciders
from handfast.engine.saying import said
from handfast.engine.step_views import steps_of
from handfast.engine.surroundings import Surroundings
from handfast.engine.takeover_views import TakeoverViews
from handfast.engine.tasks import Tasks
from handfast.storage.api import Query

STATUS_GROUPS: dict[str, tuple[str, ...]] = {
    "waiting": tuple(sorted(s.value for s in WAITING)),
    "decided": ("decided", "resumed"),
    "closed": ("closed", "superseded", "withdrawn", "expired", "incomplete"),
    "all": (),
}
MACHINE = "policy (a machine)"
MAX_ASKED = 300


class Views:
    """Read only. Lists carry what a row needs; `handoff` and `run` carry everything."""

    def __init__(
        self,
        kernel: Kernel,
        people: People,
        tasks: Tasks,
        limits: RunLimits,
        progress: Progress,
    ) -> None:
        self._limits, self._takeovers = limits, TakeoverViews(kernel, people)
        self._progress = progress
        self._kernel = kernel
        self._people = people
        self._tasks = tasks

    def handoffs(
        self,
        status: str = "waiting",
        *,
        run_id: str = "",
        task_id: str = "",
        after: str = "",
        limit: int = 50,
        newest_first: bool = False,
        within: Sight | None = None,
    ) -> Page:
        """Waiting ones by need, risk and age; others newest first. Raises KeyError for a bad status."""
        query = Query(
            "handoff",
            statuses=STATUS_GROUPS[status],
            run_id=run_id,
            task_id=task_id,
            newest_first=newest_first or status != "waiting",
            after=cursor_of(after),
            limit=limit,
            within=within,
        )
        rows = self._kernel.store.find(query)
        states = [cast("Handoff", load(BY_NAME["handoff"], r.doc)) for r in rows]
        around = self._around()
        around.open(ref for h in states for ref in _texts(h))
        items = [self._summary(h, around.text(h.ask), around) for h in states]
        return Page(items, next_of(rows, limit))

    def queued(self, shown: Sequence[Handoff]) -> list[Result]:
        """These handoffs as rows of a queue, each with what it needs and why, why it stopped, what could not be
        read and what backs it. Without the call's text; a question is said, of finished work what was wanted."""
        packages = open_packages(self._kernel, shown)
        around = self._around()
        return [self._queued(h, packages[h.package.body_id], around) for h in shown]

    def first_waiting(self, number: int, within: Sight | None = None) -> list[str]:
        """Ids of the first handoffs of the queue."""
        waiting = STATUS_GROUPS["waiting"]
        query = Query("handoff", statuses=waiting, limit=number, within=within)
        return [r.stream.partition("/")[2] for r in self._kernel.store.find(query)]

    def _around(self) -> Surroundings:
        return Surroundings(self._kernel, self._people)

    def _queued(self, h: Handoff, package: Package, around: Surroundings) -> Result:
        asked = package.what_will_happen.text[:MAX_ASKED] if h.kind is HandoffKind.QUESTION else ""
        what = full(package.what_will_happen) | {"text": asked}
        evidence = [full(claim) for claim in package.evidence]
        return self._summary(h, package.ask, around) | {
            "why_now": package.why_now,
            "package": {"what_will_happen": what, "evidence": evidence},
            "presented_digest": h.presented_digest,
            "changed_lines": changed_lines(package),
            "intent": package.review.intent if package.review else "",
            "need_why": need_why(h, package),
        }

    def _summary(self, h: Handoff, ask: str, around: Surroundings) -> Result:
        return {
            "handoff_id": h.handoff_id,
            "kind": h.kind.value,
            "status": h.status.value,
            "waiting": h.waiting,
            "risk": h.risk,
            "blocking": h.blocking,
            "task_id": h.task_id,
            "run_id": h.run_id,
            "agent_id": h.agent_id,
            "agent_name": around.agent_name(h.agent_id),
            "repository": around.root(h.run_id),
            "ask": ask,
            "offered": [k.value for k in h.offered],
            "rules": list(h.rules),
            "requested_at": format_time(h.requested_at),
            "due_at": _time(h.due_at),
            "holder": h.holder,
            "holder_name": around.person_name(h.holder),
            "snoozed_until": _time(h.snoozed_until),
            "frozen": h.frozen_at is not None,
            "need": need_of(h).value if h.waiting else "",
            "outcome": h.outcome,
            "decision": self._decision(h, around),
            "effect": effect_view(h.effect, around.text) if h.effect else None,
            "checkpoint": note_of(h),
        }

    def agent_name(self, agent_id: str) -> str:
        return self._around().agent_name(agent_id)

    def handoff(self, handoff_id: str) -> Result:
        """Everything a reviewer needs. Raises NotFound."""
        h = self._kernel.state(Handoff, handoff_id)
        package = open_package(self._kernel, h)
        out = self._summary(h, package.ask, self._around())
        out |= {
            "why_now": package.why_now,
            "action_digest": h.action_digest,
            "presented_digest": h.presented_digest,
            "executor": h.executor.value,
            "package": self._package(package),
            "grant": grant_view(h, self.text),
            "may_give": may_give(h),
            "about": h.about,
            "editor": h.editor,
            "edited_text": "" if h.files else self.text(h.edit.text if h.edit else h.edited_text),
            "edited_into": h.edited_into,
            "successor": "" if h.waiting else self._successor(f"handoff/{handoff_id}"),
            "target_commit": h.target_commit,
            "missing": list(h.missing),
            "policy_digest": h.policy_digest,
            "brief_digest": h.brief_digest,
            "timeline": self.timeline(f"handoff/{handoff_id}"),
            "action": self._json(h.action),
            "takes": self._progress.of(h),
            "edited_call": self._json(h.edit.action) if h.edit else None,
            "edited_by": self._people.name(h.edit.person_id) if h.edit else "",
        }
        out["ratings"] = [
            {**full(r), "by_name": self._people.name(r.person_id), "note": self.text(r.note)}
            for r in h.ratings
        ]
        out["raters"] = sorted(deciders(h))
        if h.kind is HandoffKind.DOUBT and h.about:
            out["approved"] = self._approved(self._kernel.state(Handoff, h.about))
        if h.task_id:
            out["brief"] = full(self._tasks.brief(self._kernel.state(Task, h.task_id)))
        if h.run_id:
            out["run"] = self.run_summary(self._kernel.state(Run, h.run_id))
        return out

    def _package(self, package: Package) -> Result:
        out = full(package)
        if package.changed is not None:
            by = package.changed.decided_by
            out["changed"] = full(package.changed) | {
                "decided_by_name": self._people.name(by) if by else ""
            }
        if package.since is not None:
            by_name = self._people.name(package.since.decided_by)
            out["since"] = full(package.since) | {"decided_by_name": by_name}
        return out

    def _decision(self, h: Handoff, around: Surroundings) -> Result | None:
        d = h.decision
        if d is None:
            return None
        return {
            "kind": d.kind.value,
            "by": d.person_id or "policy",
            "by_name": MACHINE if d.by_machine else around.person_name(d.person_id),
            "by_machine": d.by_machine,
            "overridden": d.overridden,
            "by_requester": d.person_id in h.requested_by,
            "at": format_time(d.at),
            "auth": d.auth,
            "reason": around.text(d.reason),
            "answer": d.answer,
            "presented_digest": d.presented_digest,
            "edited_digest": d.edited_digest,
            "edited_call": self._json(d.edited_action),
            "edited_text": "" if h.files else around.text(d.edited_text),
        }

    def _approved(self, about: Handoff) -> Result | None:
        """Who let the start happen that a doubt is about, the last one last, and when that was decided."""
        d = about.decision
        if d is None:
            return None
        people = dict.fromkeys(p for p in (*(v.person_id for v in about.votes), d.person_id) if p)
        names = [self._people.name(p) for p in people]
        return {
            "by_names": names or [MACHINE],
            "at": format_time(d.at),
            "overridden": d.overridden,
            "handoff_id": about.handoff_id,
        }

    def text(self, ref: BodyRef | None) -> str:
        return self._kernel.vault.text(ref)

    def _json(self, ref: BodyRef | None) -> object:
        return self._kernel.vault.json(ref)

    def _successor(self, stream: str) -> str:
        """The handoff that took its place, '' for none: among the last events, for nothing but ratings and comments
        follows an end."""
        row = self._kernel.store.load(stream)
        rows = self._kernel.store.events(
            stream=stream, after=max(0, row.version - 50) if row else 0
        )
        events = [from_bytes(r.data).event for r in rows]
        return next((e.by for e in events if isinstance(e, HandoffClosed | HandoffSuperseded)), "")

    def timeline(self, stream: str, after: int = 0, limit: int = 200) -> list[Result]:
        rows = self._kernel.store.events(stream=stream, after=after, limit=limit)
        return [self._line(from_bytes(r.data)) for r in rows]

    def _line(self, r: Recorded) -> Result:
        who = r.actor.id
        if r.actor.type == "person":
            who = self._people.name(r.actor.id)
        elif r.actor.type == "agent":
            who = self.agent_name(r.actor.id)
        return {
            "at": format_time(r.at),
            "type": r.type,
            "who": who,
            "who_id": r.actor.id,
            "who_type": r.actor.type,
            "text": said(r.event, self.text, self._people.name),
        }

    # -- runs and tasks
    def runs(
        self,
        *,
        task_id: str = "",
        after: str = "",
        limit: int = 50,
        within: Sight | None = None,
    ) -> Page:
        cursor = cursor_of(after)
        query = Query(
            "run", task_id=task_id, newest_first=True, after=cursor, limit=limit, within=within
        )
        rows = self._kernel.store.find(query)
        runs = [cast("Run", load(BY_NAME["run"], r.doc)) for r in rows]
        intents = {t: self._intent(t) for t in {r.task_id for r in runs if r.task_id}}
        items = [self.run_summary(r) | {"intent": intents.get(r.task_id, "")} for r in runs]
        return Page(items, next_of(rows, limit))

    def _intent(self, task_id: str) -> str:
        return self._tasks.brief(self._kernel.state(Task, task_id)).intent

    def run_summary(self, r: Run) -> Result:
        return {
            **self._takeovers.run_doc(r),
            "agent_name": self.agent_name(r.agent_id),
            "counts": full(r.counts),
            "status": r.status.value,
            "mode": r.mode.value,
        }

    def run(self, run_id: str) -> Result:
        """A run with its command, brief and output. Raises NotFound."""
        r = self._kernel.state(Run, run_id)
        out = self.run_summary(r)
        out["command"] = self._json(r.command)
        out["output"] = self.text(r.output)[-20_000:]
        out["limits"] = self._limits.standing(run_id)
        out["takeovers"] = self._takeovers.all(r)
        out["session_body_id"] = r.session.body_id if r.session else ""
        if r.task_id:
            task = self._kernel.state(Task, r.task_id)
            out |= of_task(self._kernel, self._tasks, task, but_run=run_id)
        return out

    def steps(self, run_id: str, after: int = 0, limit: int = 200) -> Result:
        """A page of a run's steps with their results, oldest first."""
        rows = self._kernel.store.events(stream=f"run/{run_id}", after=after, limit=limit)
        following = rows[-1].version if len(rows) == limit else 0
        return {"items": steps_of(rows, self.text, self._json), "next": following}

    def tasks(self, *, after: str = "", limit: int = 50, within: Sight | None = None) -> Page:
        query = Query("task", newest_first=True, after=cursor_of(after), limit=limit, within=within)
        rows = self._kernel.store.find(query)
        items = [self.task_summary(cast("Task", load(BY_NAME["task"], r.doc))) for r in rows]
        return Page(items, next_of(rows, limit))

    def task_summary(self, t: Task) -> Result:
        return {**encode(t), "brief": full(self._tasks.brief(t)), "held": t.hold is not None}

    def task(self, task_id: str) -> Result:
        task = self._kernel.state(Task, task_id)
        left = {"left": self._tasks.left(task)}
        return self.task_summary(task) | left | of_task(self._kernel, self._tasks, task)

    def agents(self) -> list[Result]:
        rows = self._kernel.store.find(Query("agent", newest_first=True, limit=1000))
        return [full(load(BY_NAME["agent"], r.doc)) for r in rows]

    def grant(self, handoff_id: str) -> Result:
        """What `handfast exec` needs: the grant and the exact call it permits."""
        h = self._kernel.state(Handoff, handoff_id)
        edited = h.decision.edited_action if h.decision else None
        return {
            "grant_id": grant_of(handoff_id),
            "handoff_id": handoff_id,
            "run_id": h.run_id,
            "agent_id": h.agent_id,
            "status": h.status.value,
            "grant": grant_view(h, self.text),
            "call": self._json(edited or h.action),
            "worktree": self._kernel.state(Run, h.run_id).worktree if h.run_id else "",
        }


def _texts(h: Handoff) -> Iterator[BodyRef | None]:
    """The bodies that a row of a list shows."""
    yield h.ask
    if h.decision:
        yield h.decision.reason
        if h.files is None:  # else it is whole files: see `review_files`
            yield h.decision.edited_text
    if h.effect:
        yield h.effect.output


def _time(at: datetime | None) -> str:
    return format_time(at) if at else ""
