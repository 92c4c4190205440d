"""The installation as a whole: its key, the hook's mode and pauses, refusals worth a record."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import events_org as e
from handfast.core.domain.events import InstallationEvent
from handfast.core.domain.events_work import Mode

INSTALLATION_ID = "1"
"""There is one, so its stream has this id."""


@dataclass(frozen=True, slots=True)
class Installation:
    origin: str
    verifier: str
    created_at: datetime
    hook_mode: Mode = Mode.OBSERVE
    paused_until: datetime | None = None
    refusals: int = 0

    def paused(self, now: datetime) -> bool:
        """A pause ends by itself."""
        return self.paused_until is not None and now < self.paused_until


def evolve(state: Installation | None, event: InstallationEvent, at: datetime) -> Installation:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.InstallationCreated):
        return Installation(event.origin, event.verifier, at)
    if state is None:
        raise ValueError("an installation's first event must be installation.created")
    match event:
        case e.HookModeSet():
            return replace(state, hook_mode=Mode(event.mode))
        case e.HookPaused():
            return replace(state, paused_until=event.until)
        case e.HookResumed():
            return replace(state, paused_until=None)
        case e.AccessRefused():
            return replace(state, refusals=state.refusals + 1)
        case (
            e.ServerStarted()
            | e.HookInstalled()
            | e.BodyErased()
            | e.TreeHeadPublished()
            | e.BundleExported()
            | e.PersonInvited()
        ):
            return state
        case _:
            assert_never(event)
