"""Starts the full-screen inbox for a person at a terminal."""

import sys
from typing import Final

from handfast.cli.person import Signature, last_login, logged_in
from handfast.client import calls
from handfast.core.domain.errors import UsageError

_NO_DIGEST: Final = "sha256:" + "0" * 64


def run() -> None:
    """Raises NotPermitted as every decision does, UsageError without textual or a screen, Unavailable."""
    try:
        from handfast.cli.screen.app import Inbox
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise UsageError(
            "the full-screen inbox is not installed",
            code="no_tui",
            hint="Install it with: pip install 'handfast[tui]'",
        ) from None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("`--tui` needs a terminal", hint="Leave it out to print a list.")
    attempt = calls.decide("tui", "approve", _NO_DIGEST)
    with (
        logged_in("open the full-screen inbox", attempt) as (control, _),
        control.client() as client,
    ):
        Inbox(client, last_login(), lambda login: Signature(login, "").remember()).run()
