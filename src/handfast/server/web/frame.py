"""What surrounds every page: who is signed in, where one can go, what is paused or stopped."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handfast.server.web.reading import Record, moment, text

Context = dict[str, Any]  # what Jinja takes; typed up to here


@dataclass(frozen=True, slots=True)
class Place:
    """A page that is always one step away. `name` marks it as the current one."""

    name: str
    words: str
    path: str


# In the order of the head of every page. A new area of the product is a line here.
PLACES = (
    Place("inbox", "Inbox", "/"),
    Place("runs", "Runs", "/runs"),
    Place("tasks", "Tasks", "/tasks"),
    Place("agents", "Agents", "/agents"),
    Place("policy", "Policy", "/policy"),
    Place("audit", "Audit", "/audit"),
    Place("settings", "Settings", "/settings"),
)

# The pages under Settings, in their order.
SETTINGS = (
    Place("you", "You", "/settings"),
    Place("account", "Signing in", "/account"),
    Place("notifications", "Notifications", "/settings/notifications"),
    Place("people", "People", "/settings/people"),
    Place("installation", "This installation", "/settings/installation"),
)


@dataclass(frozen=True, slots=True)
class Shell:
    """What surrounds every page. `hooks_pause` is `{until, by_name, reason}` while hooks are paused;
    `stopped` says what the kill switch stops, `also_open` names who else has this page open now."""

    person_name: str = ""
    person_id: str = ""
    csrf_token: str = ""
    has_js: bool = False
    waiting: int = 0
    hooks_pause: Record | None = None
    stopped: tuple[str, ...] = ()
    notice: str = ""
    also_open: tuple[str, ...] = ()


def context(shell: Shell, now: datetime, **names: object) -> Context:
    """The names that every template may use, and those of one page. `nav` is the name of a place,
    `live_case` the case that a page is about while it waits."""
    names.setdefault("nav", "")
    names.setdefault("live_case", "")
    pause = shell.hooks_pause or {}
    return {
        "shell": shell,
        "now": now,
        "places": PLACES,
        "sections": SETTINGS,
        "pause_until": moment(pause, "until"),
        "pause_by": text(pause, "by_name", "someone"),
        "pause_reason": text(pause, "reason"),
        **names,
    }
