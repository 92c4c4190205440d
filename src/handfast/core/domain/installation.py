"""The installation as a whole: its key, the hook's mode and pauses, what is stopped, who covers a rotation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import control
from handfast.core.domain import events_control as c
from handfast.core.domain import events_org as e
from handfast.core.domain.control import Stop
from handfast.core.domain.events import InstallationEvent
from handfast.core.domain.events_work import Mode
from handfast.core.domain.ids import PersonId

INSTALLATION_ID = "1"  # the only one


@dataclass(frozen=True, slots=True)
class Cover:
    """Somebody stands in for whoever's turn it is."""

    rotation: str
    person_id: PersonId
    starts: datetime
    ends: datetime


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
    stops: Mapping[str, Stop] = field(default_factory=dict)
    covers: tuple[Cover, ...] = ()

    def paused(self, now: datetime) -> bool:
        """A pause ends by itself."""
        return self.paused_until is not None and now < self.paused_until


def evolve(state: Installation | None, event: InstallationEvent, at: datetime) -> Installation:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.InstallationCreated):
        return Installation(event.origin, event.verifier, at)
    if state is None:
        raise ValueError("an installation's first event must be installation.created")
    if isinstance(event, c.ControlKilled | c.ControlReleased | c.RotationCovered):
        return _controlled(state, event, at)
    match event:
        case e.HookModeSet():
            return replace(state, hook_mode=Mode(event.mode))
        case e.HookPaused():
            return replace(state, paused_until=event.until)
        case e.HookResumed():
            return replace(state, paused_until=None)
        case e.AccessRefused():
            return replace(state, refusals=state.refusals + event.times)
        case (
            e.ServerStarted()
            | e.HookInstalled()
            | e.BodyErased()
            | e.BodiesErased()
            | e.TreeHeadPublished()
            | e.BundleExported()
            | e.PersonInvited()
        ):
            return state
        case _:
            assert_never(event)


def _controlled(
    state: Installation,
    event: c.ControlKilled | c.ControlReleased | c.RotationCovered,
    at: datetime,
) -> Installation:
    match event:
        case c.ControlKilled():
            return replace(state, stops=control.killed(state.stops, event, at))
        case c.ControlReleased():
            return replace(state, stops=control.released(state.stops, event, at))
        case c.RotationCovered():
            return replace(state, covers=_covered(state.covers, event, at))
        case _:
            assert_never(event)


def _covered(
    covers: tuple[Cover, ...], event: c.RotationCovered, at: datetime
) -> tuple[Cover, ...]:
    """The newest one counts where two overlap, and gives way to nobody where it takes a cover back."""
    kept = tuple(x for x in covers if x.ends > at)
    return (*kept, Cover(event.rotation, event.person_id, event.starts, event.ends))
