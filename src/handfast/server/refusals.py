"""Where an error becomes an answer, a refusal becomes an entry of the audit trail: who, which route, and why."""

import logging
from typing import Final

from starlette.requests import Request

from handfast.core.domain.errors import HandfastError, NotPermitted, StorageError
from handfast.core.domain.events import Actor
from handfast.engine.facade import Engine

# What somebody typed may be in the message of these, so the entry has words of its own.
_WORDS: Final = {
    "unauthenticated": "no valid credential",
    "wrong_secret": "a wrong secret",
    "no_pin": "no PIN was ever set",
}
NOBODY: Final = Actor("anonymous")
log = logging.getLogger("handfast.server")


def known_as(request: Request, actor: Actor) -> None:
    """Who the request turned out to be of: the last word counts."""
    request.state.by = actor


def note_refusal(request: Request, error: HandfastError) -> None:
    """Put it into the audit trail, unless whoever raised it did."""
    by = getattr(request.state, "by", NOBODY)
    note(request.app.state.engine, by, operation_of(request), error)


def note(engine: Engine, actor: Actor, operation: str, error: HandfastError) -> None:
    """The same where no request is at hand. It is refused also where the store cannot take the entry."""
    if not isinstance(error, NotPermitted) or error.recorded:
        return
    error.recorded = True
    try:
        engine.access.refused(actor, operation, _WORDS.get(error.code, error.message))
    except StorageError:
        log.exception("a refusal of %s is not in the audit trail", operation)


def operation_of(request: Request) -> str:
    """The name of the route; of a page `page` and its name."""
    name = str(getattr(request.scope.get("endpoint"), "__name__", "unknown"))
    return name if request.url.path.startswith("/v1/") else f"page {name}"
