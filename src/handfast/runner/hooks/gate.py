"""One call of an agent, from the question to the answer.

    read here and allowed by policy → allowed at once, recorded later
    everything else → proposed to the server → allow, deny, or wait for a person

Whatever goes wrong on the way of a call with an effect ends in a denial.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from handfast.client import Client, calls
from handfast.client.request import Json
from handfast.core.domain.action import Call, Effect, Facts, Judgement, Verdict
from handfast.core.domain.codec import encode, format_time
from handfast.core.domain.errors import (
    AdapterError,
    HandfastError,
    InvalidTransition,
    StorageError,
)
from handfast.core.domain.faults import fault_point
from handfast.core.policy.builtin import judge
from handfast.observe.claude_code import read_call
from handfast.observe.operand_texts import texts_of
from handfast.observe.scope import Scope
from handfast.runner.dry_run import dry_run
from handfast.runner.hooks import answers
from handfast.runner.hooks.answers import Decision
from handfast.runner.hooks.delivery import Delivery
from handfast.runner.hooks.payload import Event
from handfast.runner.hooks.registry import OnWait, Pending
from handfast.runner.hooks.rules import Rules
from handfast.runner.hooks.sessions import Session, Sessions
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.hooks.shown import shown_change

Now: TypeAlias = Callable[[], datetime]
T = TypeVar("T")
_AGAIN_S = 0.5
PREVIEW_S = 20.0  # of the time that the agent's hook has at all


@dataclass(frozen=True, slots=True)
class Reading:
    """A call with what was read from it. `judgement` is this runner's own; the server's word counts."""

    call: Call
    facts: Facts
    judgement: Judgement
    shown: dict[str, str] | None = None
    texts: Mapping[str, str] | None = None

    @property
    def is_read(self) -> bool:
        return self.facts.effect is Effect.READ and self.judgement.verdict is Verdict.ALLOW


def read_tool_call(
    event: Event, worktree: Path, settings: HookSettings, base_commit: str = ""
) -> Reading:
    """Reads the call, its operands and the worktree. May take a while: not for an event loop."""
    scope = _scope(event, worktree, settings, base_commit)
    call, facts = read_call(event.tool_name, event.tool_input, scope)
    judgement = judge(facts)
    shown = None
    if judgement.verdict is not Verdict.ALLOW:
        shown = shown_change(event.tool_name, event.tool_input, event.cwd)
    return Reading(call, facts, judgement, shown, texts_of(call, scope))


def _scope(event: Event, worktree: Path, settings: HookSettings, base_commit: str) -> Scope:
    return Scope(
        worktree=worktree,
        cwd=event.cwd,
        control_paths=(settings.home, *settings.control_paths),
        protected_ports=settings.ports,
        base=base_commit,
    )


class Gate:
    """Used from one event loop. Any number of calls may wait at the same time."""

    def __init__(
        self,
        client: Client,
        sessions: Sessions,
        delivery: Delivery,
        settings: HookSettings,
        now: Now,
    ) -> None:
        self._client = client
        self._sessions = sessions
        self._delivery = delivery
        self._settings = settings
        self._now = now
        self._rules = Rules(client, now)

    def protect(self, port: int) -> None:
        """A port of ours: a call that names it is tampering."""
        self._settings = replace(self._settings, ports=(*self._settings.ports, port))

    async def decide(self, session: Session, event: Event, gone: asyncio.Event) -> Decision:
        """The answer to one PreToolUse. `gone` is set when nobody listens for it any more."""
        deadline = time.monotonic() + self._settings.wait_s
        if session.registration:
            session.registration.calls += 1
        reading = await self._read(session, event)
        if reading.is_read and not await self._rules.concern(
            str(session.worktree), reading.call, reading.facts
        ):
            self._delivery.read(session, self._step(event, reading))
            return answers.allow()
        try:
            return await self._ask(session, event, reading, deadline, gone)
        except InvalidTransition as error:
            if session.registration is not None:
                return answers.control_lost(error.message)
            self._sessions.renew(session)  # the session's run has ended: it goes on as a new one
            return await self._ask(session, event, reading, deadline, gone)

    async def _read(self, session: Session, event: Event) -> Reading:
        return await asyncio.wait_for(
            asyncio.to_thread(
                read_tool_call, event, session.worktree, self._settings, session.base_commit
            ),
            self._settings.classify_s,
        )

    def _step(self, event: Event, reading: Reading) -> Json:
        return {
            "key": event.tool_use_id,
            "call": reading.call.canonical(),
            "facts": encode(reading.facts),
            "at": format_time(self._now()),
        }

    async def _ask(
        self, session: Session, event: Event, reading: Reading, deadline: float, gone: asyncio.Event
    ) -> Decision:
        earlier = session.deferred
        if earlier is not None and earlier.tool_use_id != event.tool_use_id:
            return answers.behind_another(
                earlier.handoff_id, self._settings.link(earlier.handoff_id)
            )
        fault_point("hook.before_propose")
        await self._sessions.confirm(session)
        if _useless_to_ask(session, event, reading):
            return answers.not_in_plan_mode(reading.facts.summary)
        while True:
            answer = await self._propose(session, event, reading)
            if answer["verdict"] == "preview":
                made = await self._preview(session, event, answer)
                reading = await self._read(session, event)  # a dry run may write, too
                answer = await self._propose(session, event, reading, made)
            fault_point("hook.after_propose")
            if answer["verdict"] != "wait":
                return await self._final(session, event, answer)
            handoff_id = str(answer["handoff_id"])
            fault_point("handoff.before_wait")
            until = self._until(session, deadline)
            settled = await self._settled(handoff_id, until, gone)
            if gone.is_set():
                # Proposing again could take the one start for a call that will not run.
                return answers.deny("The agent let go of this call before it was decided.")
            if not settled:
                later = await self._later(handoff_id, str(answer.get("later") or ""))
                return self._not_yet(session, event, handoff_id, later)
            fault_point("hook.after_decision")
            # What the call depends on may have changed meanwhile: then this is another action.
            reading = await self._read(session, event)

    async def _preview(self, session: Session, event: Event, answer: Json) -> Json:
        """The dry run that policy declares for this kind of call, made before anybody is asked."""
        scope = _scope(event, session.worktree, self._settings, session.base_commit)
        words = [str(word) for word in answer.get("preview") or ()]
        contained = session.registration is not None and session.registration.contained
        made = await asyncio.to_thread(dry_run, words, scope, PREVIEW_S, contained=contained)
        return made.fields()

    async def _propose(
        self, session: Session, event: Event, reading: Reading, previewed: Json | None = None
    ) -> Json:
        says = event.tool_input.get("description")
        proposed = calls.Proposed(
            reading.call,
            reading.facts,
            epoch=session.epoch,
            subagent=event.subagent,
            agent_says=says[:4_000] if isinstance(says, str) else "",
            shown=reading.shown,
            previews=True,
            previewed=previewed,
            operand_texts=reading.texts,
        )
        return await self._client.asend(calls.propose(session.run_id, event.tool_use_id, proposed))

    async def _final(self, session: Session, event: Event, answer: Json) -> Decision:
        if session.registration:
            session.registration.waiting.pop(str(answer.get("handoff_id", "")), None)
            if session.deferred and session.deferred.tool_use_id == event.tool_use_id:
                session.registration.deferred = None
        if answer["verdict"] == "allow":
            if session.registration:
                session.registration.running.add(event.tool_use_id)
            return answers.allow()
        if answer["verdict"] != "deny":
            raise AdapterError(f"the server answered `{answer['verdict']}`", code="not_handfast")
        handoff_id = str(answer.get("handoff_id") or "")
        if said := str(answer.get("words") or ""):
            return answers.words(said, handoff_id)
        what, content = await self._edited(handoff_id) if handoff_id else ("", "")
        if what and len(content) <= answers.MAX_REASON - 500:
            return answers.edited(handoff_id, event.tool_name, what, content)
        return answers.refused(str(answer.get("reason") or "policy does not allow it"), handoff_id)

    async def _edited(self, handoff_id: str) -> tuple[str, str]:
        """The command as a reviewer changed it, or the file and its new content; '' for neither."""
        try:
            handoff = await self._client.asend(calls.handoff(handoff_id))
        except HandfastError:
            return "", ""
        decision = handoff.get("decision") or {}
        handed_on = handoff.get("editor") and decision.get("kind") == "approve"
        call = handoff.get("action") if handed_on else decision.get("edited_call")
        content = handoff.get("edited_text") if handed_on else decision.get("edited_text")
        arguments = (call or {}).get("arguments") or {}
        what = arguments.get("command") or (arguments.get("file_path") if content else "")
        return (what if isinstance(what, str) else ""), str(content or "")

    # -- waiting

    def _until(self, session: Session, deadline: float) -> float:
        if session.on_wait is OnWait.DEFER:
            return min(deadline, time.monotonic() + self._settings.defer_after_s)
        return deadline

    async def _settled(self, handoff_id: str, until: float, gone: asyncio.Event) -> bool:
        """Whether the handoff was settled before `until`. A server that restarts meanwhile is waited for."""
        while not gone.is_set() and (left := until - time.monotonic()) > 0:
            asked_at = time.monotonic()
            request = calls.wait(handoff_id, min(self._settings.poll_s, left))
            try:
                answer = await _unless(gone, self._client.asend(request))
                if answer is not None and answer.get("decided") is True:
                    return True
            except StorageError:
                answer = None
            if time.monotonic() - asked_at < _AGAIN_S:
                await _unless(gone, asyncio.sleep(min(_AGAIN_S, left)))
        return False

    async def _later(self, handoff_id: str, told: str) -> str:
        """What the agent is told of a checkpoint that the call waits for now; `told` is what it was at first."""
        if not told:
            return ""
        try:
            handoff = await self._client.asend(calls.handoff(handoff_id))
        except HandfastError:
            return told
        return str((handoff.get("checkpoint") or {}).get("to_agent") or "")

    def _not_yet(self, session: Session, event: Event, handoff_id: str, later: str) -> Decision:
        link = self._settings.link(handoff_id)
        registration = session.registration
        if registration is None or registration.on_wait is not OnWait.DEFER:
            return answers.waiting(handoff_id, link, later)
        pending = Pending(handoff_id, event.tool_use_id)
        registration.waiting[handoff_id] = pending
        if event.subagent:
            # A pause inside a sub-agent ends it without a trace.
            return answers.waits_in_subagent(handoff_id, link, later)
        earlier = registration.deferred
        if earlier is not None and earlier.tool_use_id != event.tool_use_id:
            # Of two pauses in a turn the agent would forget the first.
            return answers.behind_another(
                earlier.handoff_id, self._settings.link(earlier.handoff_id)
            )
        registration.deferred = pending
        return answers.defer(f"waits for handoff `{handoff_id}`")


def _useless_to_ask(session: Session, event: Event, reading: Reading) -> bool:
    """In plan mode even an approved call does not run, so nobody is asked about one."""
    return (
        event.permission_mode == "plan"
        and session.mode != "observe"
        and reading.judgement.verdict is not Verdict.ALLOW
    )


async def _unless(gone: asyncio.Event, doing: Coroutine[Any, Any, T]) -> T | None:
    """What `doing` gives; None, with it cancelled, when `gone` is set first."""
    task = asyncio.create_task(doing)
    leaving = asyncio.create_task(gone.wait())
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        leaving.cancel()
        if not task.done():
            task.cancel()


def effect_fields(tool: str, fields: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What of an input decides its effect, for comparing what was allowed with what ran."""
    names = {
        "Bash": ("command",),
        "Monitor": ("command",),
        "PowerShell": ("command",),
        "Write": ("file_path", "content"),
        "Edit": ("file_path", "old_string", "new_string"),
    }.get(tool, ())
    return tuple((name, fields.get(name)) for name in names)
