"""Everything else, through Apprise: plain text to the service that the operator named.

An operator writes the whole URL but for `{address}`; a person gives only that, in letters, digits and
`. _ + -`, so nobody chooses a host or a plugin. Apprise is an extra: `handfast[apprise]`.
"""

import logging

from handfast.core.domain.errors import AdapterError, UsageError
from handfast.engine.channels.mail import plain
from handfast.engine.channels.message import Message

MAX_TEXT = 3_000


def send(template: str, address: str, message: Message) -> str:
    """Raises AdapterError with what the service said, UsageError where Apprise cannot be used."""
    try:
        import apprise  # noqa: PLC0415 - an extra, and half a second to load
    except ImportError:
        raise UsageError(
            "notifications through services need Apprise", hint="Install `handfast[apprise]`."
        ) from None
    notifier = apprise.Apprise()
    if not notifier.add(template.replace("{address}", address)):
        raise UsageError("Apprise does not know the URL of this service", hint="See notify.yaml.")
    with apprise.LogCapture(level=logging.WARNING) as said:  # type: ignore[no-untyped-call]
        done = notifier.notify(
            body=f"{plain(message)[:MAX_TEXT]}\n\n{numbered(message)}",
            title=message.subject,
            body_format=apprise.NotifyFormat.TEXT,
            interpret_escapes=False,
        )
        told = said.getvalue() if hasattr(said, "getvalue") else ""
    if not done:
        raise AdapterError(f"the service did not take it: {told.strip()[:300]}", retryable=True)
    return ""


def numbered(message: Message) -> str:
    """The same for every attempt: a reader can tell that a message came twice."""
    return f"Message {message.key.rpartition('_')[2]}: one with this number again is the same."
