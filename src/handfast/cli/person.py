"""A person at a terminal: who they say they are, and the PIN that proves it.

Refused without a controlling terminal, and with an agent's token in the environment. Both refusals
are put into the audit trail.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from handfast.cli.control import AGENT_PREFIX, Control, running, server
from handfast.cli.local import existing_engine
from handfast.cli.terminal import Terminal
from handfast.client import discovery
from handfast.client.request import Request
from handfast.core.domain.errors import HandfastError, NotPermitted

_LAST_LOGIN = "last-login"


@dataclass(frozen=True, slots=True)
class Signature:
    """A login and its PIN, as typed. Nothing is proven before the server says so."""

    login: str
    pin: str = field(repr=False)

    @property
    def fields(self) -> dict[str, object]:
        return {"person": self.login, "pin": self.pin}

    def remember(self) -> None:
        """Offer this login next time. Call it when the server has accepted the PIN."""
        with suppress(OSError):
            path = discovery.data_folder() / _LAST_LOGIN
            path.write_text(self.login + "\n", encoding="utf-8")
            path.chmod(0o600)


@contextmanager
def logged_in(what: str, attempt: Request[Any]) -> Iterator[tuple[Control, Terminal]]:
    """The server and the terminal for something only a person may do.

    `attempt` is the same thing asked without a PIN: a refusal here is sent on so that the server
    refuses it too and puts it into the audit trail. Raises NotPermitted, Unavailable.
    """
    if os.environ.get(discovery.TOKEN_VARIABLE, "").startswith(AGENT_PREFIX):
        _record(what, "an agent's token is in the environment", attempt)
        raise NotPermitted(
            "HANDFAST_TOKEN is an agent's token: agents cannot decide",
            code="agent_token",
            hint="A person decides in a terminal without that variable, or in the browser.",
        )
    try:
        terminal = Terminal.open()
    except NotPermitted:
        _record(what, "no controlling terminal", attempt)
        raise
    try:
        yield server(), terminal
    finally:
        terminal.close()


def sign(terminal: Terminal, what: str) -> Signature:
    """Ask for login and PIN. Raises NotPermitted when one is left empty."""
    terminal.say(what)
    login = terminal.ask("Login", last_login())
    pin = terminal.ask_secret("PIN") if login else ""
    if not login or not pin:
        raise NotPermitted("nothing was decided: login or PIN is empty", code="no_pin")
    return Signature(login, pin)


def last_login() -> str:
    """Whoever decided here last; '' for nobody."""
    try:
        path = discovery.data_folder() / _LAST_LOGIN
        return path.read_text(encoding="utf-8")[:64].strip()
    except (OSError, ValueError):
        return ""


def _record(what: str, why: str, attempt: Request[Any]) -> None:
    """Put a refusal into the audit trail: by a try that the server refuses, else on the store.

    The refusal stands even where it cannot be recorded, so errors are ignored here.
    """
    with suppress(HandfastError):
        control = running()
        if control is None:
            with existing_engine() as engine:
                from handfast.core.domain.events import Actor

                engine.access.refused(Actor("anonymous"), f"{what} in a terminal", why)
            return
        try:
            control.send(attempt)
        except NotPermitted as refused:
            if refused.code == "unauthenticated":  # nobody the server could name
                home = discovery.data_folder()
                token = discovery.file_token(home, discovery.OPERATOR_TOKEN)
                Control(control.url, token).send(attempt)


def signed(
    what: str, shown: str, call: Callable[[Mapping[str, object]], Request[dict[str, Any]]]
) -> dict[str, Any]:
    """Send a call that takes a person, with the PIN from the terminal.

    `call` makes the request of the fields that name the person. Raises what `logged_in` does.
    """
    with logged_in(what, call({})) as (control, terminal):
        signature = sign(terminal, shown)
        done = control.send(call(signature.fields))
        signature.remember()
    return done
