"""Bodies that a request refers to by id, in place of text that is too large for it."""

from handfast.core.domain.errors import NotFound, NotPermitted, UsageError
from handfast.engine.vault import is_upload
from handfast.server.identity import Caller


def content(caller: Caller, body_id: str) -> bytes | None:
    """The bytes of a body, or None without an id.

    Agents send text. Others name what they uploaded: the id of any other body would have the server hand out what
    its caller may not read. Raises NotPermitted, NotFound, UsageError for a body that was erased.
    """
    if not body_id:
        return None
    if caller.is_agent:
        raise NotPermitted("an agent cannot refer to a body", hint="Send the text itself.")
    if not is_upload(body_id):
        raise NotFound(f"there is no upload `{body_id}`", hint="POST /v1/bodies gives one.")
    found = caller.engine.kernel.vault.open(body_id)
    if found.erased:
        raise UsageError(f"body `{body_id}` was erased")
    return found.data


def text(caller: Caller, body_id: str, inline: str) -> str:
    """The text of a body where one is named, else what was sent with the request."""
    data = content(caller, body_id)
    return inline if data is None else data.decode("utf-8", "replace")
