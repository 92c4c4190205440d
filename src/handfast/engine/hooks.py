"""The state of the agents' hooks: installed, mode, paused by a person for a while."""

from datetime import timedelta

from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import HookInstalled, HookModeSet, HookPaused, HookResumed
from handfast.core.domain.events_work import Mode
from handfast.core.domain.ids import AgentId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.killing import KillSwitch

MAX_PAUSE_MINUTES = 8 * 60


class Hooks:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def status(self) -> Result:
        """mode, paused_until ('' when not paused), killed (what the kill switch stops, in words)."""
        state = self._kernel.state(Installation, INSTALLATION_ID)
        now = self._kernel.clock.now()
        until = format_time(state.paused_until) if state.paused(now) and state.paused_until else ""
        stopped = [stop["says"] for stop in KillSwitch(self._kernel).status()]
        return {"mode": state.hook_mode.value, "paused_until": until, "killed": stopped}

    def installed(
        self, actor: Actor, harness: str, scope: str, agent_id: str, mode: Mode
    ) -> Result:
        return self._record(actor, HookInstalled(harness, scope, AgentId(agent_id), mode.value))

    def set_mode(self, actor: Actor, mode: Mode) -> Result:
        """Whether sessions that start from now on are only recorded, or stopped.

        Loosening (to observe) is a person's; tightening may be done by the operator's token.
        """
        if mode is Mode.OBSERVE:
            _person_only(actor)
        return self._record(actor, HookModeSet(mode.value))

    def pause(self, actor: Actor, minutes: int, reason: str) -> Result:
        """Enforcing hooks only record until then. Ends by itself. Only a person may do it."""
        _person_only(actor)
        if not 1 <= minutes <= MAX_PAUSE_MINUTES:
            raise UsageError(f"`minutes` must be 1 to {MAX_PAUSE_MINUTES}")

        def work(unit: Unit) -> Result:
            until = unit.now + timedelta(minutes=minutes)
            body = unit.put(reason[:2000]) if reason.strip() else None
            unit.record(Installation, INSTALLATION_ID, [HookPaused(until, body)])
            return {"paused_until": format_time(until)}

        return self._kernel.run(actor, work)

    def resume(self, actor: Actor) -> Result:
        """End a pause early. Anybody who may call may tighten."""
        return self._record(actor, HookResumed("asked"))

    def _record(self, actor: Actor, event: HookInstalled | HookModeSet | HookResumed) -> Result:
        def work(unit: Unit) -> Result:
            unit.record(Installation, INSTALLATION_ID, [event])
            return {}

        self._kernel.run(actor, work)
        return self.status()


def _person_only(actor: Actor) -> None:
    if actor.type != "person" or actor.auth not in ("browser", "pin"):
        raise NotPermitted(
            "only a person may loosen the hook; a token cannot",
            hint="Run it in a terminal of your own: it asks for your PIN.",
        )
