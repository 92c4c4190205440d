"""`handfast checkpoint`: what waits to be asked together, what was, and approving it in one pass."""

from typing import Any

from handfast.cli.control import server
from handfast.cli.output import Json, cell, say, say_json, short_time, show_table
from handfast.cli.person import logged_in, sign
from handfast.cli.terminal import Terminal
from handfast.client import checkpoint_calls as calls
from handfast.core.domain.errors import InvalidTransition

_HEADS = ("id", "opened (UTC)", "waiting", "of", "why")
_DEFERRED = ("id", "risk", "ask", "opens (UTC)", "at the latest", "why it waits")
_NO_ITEM = {"handoff_id": "ho_none", "kind": "approve", "presented_digest": "sha256:" + "0" * 64}


def list_checkpoints(*, as_json: Json = False) -> None:
    """List what waits for a checkpoint, and the latest checkpoints."""
    found = server().send(calls.checkpoints())
    if as_json:
        say_json(found)
        return
    show_table(_DEFERRED, [_deferred(d) for d in found["deferred"]], "Nothing waits for one.")
    rows = [
        (
            c["checkpoint_id"],
            short_time(c["opened_at"]),
            c["waiting"],
            len(c["handoffs"]),
            c["why_words"],
        )
        for c in found["items"]
    ]
    show_table(_HEADS, rows, "No checkpoint has opened yet.")


def _deferred(d: dict[str, Any]) -> tuple[object, ...]:
    opens = short_time(d["opens_at"]) if d["opens_at"] else "not today"
    return (d["handoff_id"], d["risk"], d["ask"], opens, short_time(d["at_latest"]), d["why"])


def show(checkpoint: str, /, *, as_json: Json = False) -> None:
    """Show a checkpoint with what was asked in it.

    Parameters
    ----------
    checkpoint
        Its id, `cp_…`.
    """
    found = server().send(calls.checkpoint(checkpoint))
    if as_json:
        say_json(found)
        return
    say(f"{found['checkpoint_id']}  opened {short_time(found['opened_at'])} UTC")
    say(f"Why      {cell(found['why_words'])}")
    say(f"Told     {cell(', '.join(found['people']) or 'nobody')}")
    say(f"Waited   {found['waited']} reviewer-minutes")
    say()
    for line in (_line(item) for item in found["items"]):
        say(line)


def _line(item: dict[str, Any]) -> str:
    decided = item.get("decision")
    state = f"{decided['kind']} by {cell(decided['by_name'])}" if decided else item["status"]
    alone = f"; needs a reason of its own: {item['looked_at_alone']}"
    words = alone if item["waiting"] and item["looked_at_alone"] else ""
    return f"{item['handoff_id']}  {item['risk']} risk  {cell(item['ask'])}  [{state}{words}]"


def open_now(*handoff: str, as_json: Json = False) -> None:
    """Ask now what waits for a checkpoint. Decides nothing. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Ids, `ho_…`. Without one: all that waits for you.
    """
    what = ", ".join(handoff) or "all that waits for you"
    with logged_in("open a checkpoint", calls.open_now(handoff)) as (control, terminal):
        signed = sign(terminal, f"Open a checkpoint now, for {what}")
        done = control.send(calls.open_now(handoff, person=signed.login, pin=signed.pin))
        signed.remember()
    if as_json:
        say_json(done)
    else:
        say(f"{done['checkpoint_id']}: {len(done['handoffs'])} asked")


def approve(
    checkpoint: str, /, *, leave: tuple[str, ...] = (), reason: str = "", as_json: Json = False
) -> None:
    """Approve what a checkpoint offers for approval, in one pass. Asks for your PIN on the terminal.

    Every approval is bound to the digest of what is shown here, and takes what it takes alone. What may have
    no undo, could not be read or is critical is asked for a reason of its own.

    Parameters
    ----------
    checkpoint
        Its id, `cp_…`.
    leave
        An id, `ho_…`, that stays open. May be given several times.
    reason
        Goes to each item that needs none of its own.
    """
    attempt = calls.decide(checkpoint, [_NO_ITEM])
    with logged_in(f"approve {checkpoint}", attempt) as (control, terminal):
        found = control.send(calls.checkpoint(checkpoint))
        items = _chosen(terminal, found, leave)
        if not items:
            raise InvalidTransition(
                f"nothing of checkpoint `{checkpoint}` is left to approve",
                hint=f"See `handfast checkpoint show {checkpoint}`.",
            )
        named = "\n".join(f"  {i['handoff_id']} for digest {i['presented_digest']}" for i in items)
        signed = sign(terminal, f"Approve {len(items)} in one pass:\n{named}")
        done = control.send(
            calls.decide(checkpoint, items, reason=reason, person=signed.login, pin=signed.pin)
        )
        signed.remember()
    if as_json:
        say_json(done)
    else:
        for result in done["results"]:
            say(_said(result))


def _chosen(
    terminal: Terminal, found: dict[str, Any], leave: tuple[str, ...]
) -> list[dict[str, str]]:
    """What is to be approved, each shown; an empty reason leaves open what needs one of its own."""
    items = []
    for item in found["items"]:
        if not item["waiting"] or item["handoff_id"] in leave or "approve" not in item["offered"]:
            continue
        terminal.say(_line(item))
        own = ""
        if item["looked_at_alone"] and not (own := _own_reason(terminal, item)):
            continue
        items.append(
            {
                "handoff_id": item["handoff_id"],
                "kind": "approve",
                "presented_digest": item["presented_digest"],
                "reason": own,
            }
        )
    return items


def _own_reason(terminal: Terminal, item: dict[str, Any]) -> str:
    what = item["package"]["what_will_happen"]
    terminal.say(cell(what["text"], 2_000))
    return terminal.ask(f"Reason for {item['handoff_id']} (empty leaves it open)").strip()


def _said(result: dict[str, Any]) -> str:
    refused = result["refused"]
    if refused:
        return f"{result['handoff_id']}: refused: {cell(refused['message'], 500)}. {cell(refused['hint'])}"
    more = "" if result["decided"] else "; it takes more approvals"
    return f"{result['handoff_id']}: {result['decision']}{more}"
