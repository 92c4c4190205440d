"""What kind of content a body holds, told from where an event names it: what retention counts by.

    steps      calls, what was read of them, their outputs; what an agent printed
    packages   what people were shown: packages with diffs, actions, edits, effects
    sessions   session files kept at a pause
    words      briefs, command lines, reasons, answers, comments: erased on request only

Names of people and texts of policies are none of them: they are not of a task.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum


class BodyKind(StrEnum):
    STEPS = "steps"
    PACKAGES = "packages"
    SESSIONS = "sessions"
    WORDS = "words"


# Those that a number of days can be set for.
RETAINED = (BodyKind.STEPS, BodyKind.PACKAGES, BodyKind.SESSIONS)
# By kind of stream; what its events hold if no field says otherwise.
_TYPES: Mapping[str, BodyKind] = {
    "step.judged": BodyKind.STEPS,
    "step.finished": BodyKind.STEPS,
    "run.agent_exited": BodyKind.STEPS,
    "run.agent_never_started": BodyKind.STEPS,
    "run.paused": BodyKind.SESSIONS,
    "run.handed_over": BodyKind.SESSIONS,
    "run.persons_work_recorded": BodyKind.PACKAGES,
    "handoff.requested": BodyKind.PACKAGES,
    "handoff.edited": BodyKind.PACKAGES,
    "handoff.decided": BodyKind.PACKAGES,
    "effect.recorded": BodyKind.PACKAGES,
}
_WORDS = frozenset({"reason", "brief", "command", "text"})
# Events that may hold what retention erases.
RETAINED_TYPES = tuple(_TYPES)


def bodies_of(event_type: str, data: Mapping[str, object]) -> Iterator[tuple[BodyKind, str]]:
    """Kind and id of every body that an event of a task, run or handoff names."""
    kind = _TYPES.get(event_type, BodyKind.WORDS)
    for name, value in data.items():
        for body_id in body_ids(value):
            yield (BodyKind.WORDS if name in _WORDS else kind), body_id


def body_ids(value: object) -> Iterator[str]:
    """Ids of the bodies that decoded JSON refers to."""
    if isinstance(value, dict):
        if "body_id" in value and "digest" in value:
            yield value["body_id"]
        for item in value.values():
            yield from body_ids(item)
    elif isinstance(value, list):
        for item in value:
            yield from body_ids(item)
