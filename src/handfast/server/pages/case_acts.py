"""What the buttons beside a case do: hold it, give it back, ask others, put it off, take something back, override."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias

from handfast.core.domain.errors import UsageError
from handfast.engine.overrides import Emergency
from handfast.server.pages.reader import Reader

Form: TypeAlias = Mapping[str, str]


def _acknowledge(reader: Reader, handoff_id: str, _: Form) -> None:
    reader.engine.handoffs.acknowledge(reader.actor, handoff_id)


def _release(reader: Reader, handoff_id: str, _: Form) -> None:
    reader.engine.handoffs.release(reader.actor, handoff_id)


def _unvote(reader: Reader, handoff_id: str, _: Form) -> None:
    reader.engine.handoffs.unvote(reader.actor, handoff_id)


def _route(reader: Reader, handoff_id: str, form: Form) -> None:
    to = tuple(form.get("to", "").replace(",", " ").split())
    reader.engine.handoffs.re_route(reader.actor, handoff_id, to, form.get("why", ""))


def _snooze(reader: Reader, handoff_id: str, form: Form) -> None:
    minutes = form.get("minutes", "").strip()
    if not (minutes.isascii() and minutes.isdigit() and int(minutes)):
        raise UsageError("`minutes` is not a whole number", hint="For instance 30.")
    until = reader.engine.kernel.clock.now() + timedelta(minutes=int(minutes))
    reader.engine.handoffs.snooze(reader.actor, handoff_id, until)


def _revoke(reader: Reader, handoff_id: str, form: Form) -> None:
    reader.engine.grants.revoke(reader.actor, handoff_id, form.get("why", ""))


def _undo(reader: Reader, handoff_id: str, _: Form) -> str:
    return str(reader.engine.undoing.undo(reader.actor, handoff_id)["handoff_id"])


def _override(reader: Reader, handoff_id: str, form: Form) -> None:
    seen = form.get("presented_digest", "")
    emergency = Emergency(handoff_id, seen, form.get("why", ""))
    reader.engine.overrides.override(reader.actor, emergency)


ACTS: Final[Mapping[str, Callable[[Reader, str, Form], str | None]]] = {
    "acknowledge": _acknowledge,
    "release": _release,
    "unvote": _unvote,
    "route": _route,
    "snooze": _snooze,
    "revoke": _revoke,
    "undo": _undo,
    "override": _override,
}


def act_on(reader: Reader, handoff_id: str, form: Form) -> str:
    """The id of the case that it leads to. Who may is the engine's to say, for each."""
    act = ACTS.get(form.get("act", ""))
    if act is None:
        raise UsageError("that is not offered here", hint="Choose one of the buttons.")
    return act(reader, handoff_id, form) or handoff_id
