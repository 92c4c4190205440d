"""Several small approvals in the terminal, signed with one PIN: what one look is enough for."""

from typing import Any

from handfast.cli.output import cell, say, say_json
from handfast.cli.person import logged_in, sign
from handfast.cli.reads import RemoteReads
from handfast.client import bulk_calls
from handfast.core.domain.errors import UsageError

_NO_DIGEST = "sha256:" + "0" * 64
_MOST_LINES = 12


def approve_several(handoffs: tuple[str, ...], reason: str, *, as_json: bool) -> None:
    """Shows each, asks once, and prints what became of each. The server refuses what is not small."""
    if len(set(handoffs)) < len(handoffs):
        raise UsageError("a handoff is named twice", hint="Name each once.")
    attempt = bulk_calls.approve_together(dict.fromkeys(handoffs, _NO_DIGEST))
    with logged_in(f"approve {len(handoffs)} handoffs", attempt) as (control, terminal):
        shown: dict[str, str] = {}
        for handoff_id in handoffs:
            found = RemoteReads(control).handoff(handoff_id)
            for line in _lines(found):
                terminal.say(line)
            shown[handoff_id] = found["presented_digest"]
        named = "\n".join(f"  {h} for digest {digest}" for h, digest in shown.items())
        signed = sign(terminal, f"Approve {len(shown)} in one pass:\n{named}")
        done = control.send(
            bulk_calls.approve_together(shown, reason=reason, person=signed.login, pin=signed.pin)
        )
        signed.remember()
    if as_json:
        say_json(done)
        return
    for result in done["results"]:
        say(_said(result))


def _lines(found: dict[str, Any]) -> list[str]:
    """The ask, the risk, and the exact text that would run."""
    text = str(found["package"]["what_will_happen"]["text"]).split("\n")
    more = len(text) - _MOST_LINES
    head = f"{found['handoff_id']}  {found['risk']} risk  {cell(found['ask'])}"
    lines = [f"  {cell(line, 500)}" for line in text[:_MOST_LINES]]
    return [head, *lines, *([f"  and {more} lines more"] if more > 0 else []), ""]


def _said(result: dict[str, Any]) -> str:
    refused = result["refused"]
    if refused:
        return f"{result['handoff_id']}: refused: {cell(refused['message'], 500)}. {cell(refused['hint'])}"
    more = "" if result["decided"] else "; it takes more approvals"
    return f"{result['handoff_id']}: approve{more}"
