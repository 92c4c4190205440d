"""What the hook hears that needs no decision: results, ends, messages."""

import asyncio
from collections import OrderedDict
from typing import Any, Final

from handfast.core.domain.inert import inert
from handfast.runner.hooks.delivery import Delivery
from handfast.runner.hooks.gate import effect_fields
from handfast.runner.hooks.payload import Event, Json
from handfast.runner.hooks.results import outcome_of
from handfast.runner.hooks.sessions import Session
from handfast.runner.hooks.transcript import Transcripts

_KEPT: Final = 5_000
_MAX_MESSAGE: Final = 20_000


class Happenings:
    """Used from one event loop. Remembers what was allowed, to see whether that is what ran."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._transcripts = Transcripts()
        self._allowed: OrderedDict[tuple[str, str], tuple[Any, ...]] = OrderedDict()

    def allowed(self, event: Event) -> None:
        """A call was let through as it stands."""
        key = (event.session_id, event.tool_use_id)
        self._allowed[key] = effect_fields(event.tool_name, event.tool_input)
        while len(self._allowed) > _KEPT:
            self._allowed.popitem(last=False)

    async def hear(self, session: Session, event: Event) -> None:
        """Record one event. What the server cannot take now is kept for later."""
        match event.name:
            case "PostToolUse" | "PostToolUseFailure":
                await self._result(session, event)
            case "Stop":
                self._message(session, event)
                await self._usage(session, event, turn_over=True)
            case "PreCompact":
                await self._usage(session, event, compacting=True)
            case "SessionEnd":
                await self._usage(session, event, turn_over=True)
                await self._session_over(session)
            case _:
                return

    async def _result(self, session: Session, event: Event) -> None:
        allowed = self._allowed.pop((session.session_id, event.tool_use_id), None)
        ran = effect_fields(event.tool_name, event.tool_input)
        if allowed is not None and allowed != ran:
            detail = (
                f"{event.tool_name} call {event.tool_use_id} ran with another input than the one that was "
                "checked: another hook rewrote it"
            )
            await self._delivery.say(session, "gap", {"kind": "call-changed", "detail": detail})
        outcome = outcome_of(event)
        if not outcome.known:
            detail = f"{event.tool_name} call {event.tool_use_id} runs in the background: its end is not seen"
            await self._delivery.say(session, "gap", {"kind": "background", "detail": detail})
            return
        used = await self._used(event)
        fields = outcome.fields() | ({"usage": used} if used else {})
        await self._delivery.say(session, "result", fields)
        if session.registration is not None:
            session.registration.running.discard(event.tool_use_id)

    async def _used(self, event: Event, *, compacting: bool = False) -> Json:
        """What the transcript tells that was not told before."""
        return await asyncio.to_thread(
            self._transcripts.news, event.session_id, event.transcript_path, compacting=compacting
        )

    async def _usage(
        self, session: Session, event: Event, *, turn_over: bool = False, compacting: bool = False
    ) -> None:
        used = await self._used(event, compacting=compacting)
        if turn_over and not event.subagent:
            used["turn_over"] = True
        if used and session.run_id:
            await self._delivery.say(session, "usage", used)

    def _message(self, session: Session, event: Event) -> None:
        said = event.fields.get("last_assistant_message")
        if session.registration is not None and isinstance(said, str):
            session.registration.last_message = inert(said, _MAX_MESSAGE)

    async def _session_over(self, session: Session) -> None:
        """A person's session has ended. The runner settles the runs it started itself, once they are gone."""
        if session.registration is None and (session.run_id or session.agent_id):
            await self._delivery.say(session, "settle", {})
