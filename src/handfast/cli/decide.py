"""Decisions in the terminal: shown first, then signed with a PIN on the controlling terminal."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from cyclopts import Parameter

from handfast.cli.control import server
from handfast.cli.decide_several import approve_several
from handfast.cli.durations import seconds
from handfast.cli.edit_files import edit_lines, read_edits
from handfast.cli.output import Json, cell, say, say_json
from handfast.cli.person import Signature, logged_in, sign, signed
from handfast.cli.reads import RemoteReads
from handfast.cli.show import handoff_lines
from handfast.cli.terminal import Terminal
from handfast.client import calls, grant_calls, review_calls
from handfast.client.request import Request
from handfast.core.domain.errors import InvalidTransition, UsageError
from handfast.core.domain.handoff_votes import REASON_FOR_RISK

_NO_DIGEST = "sha256:" + "0" * 64
_VERB = {
    "approve": "Approve",
    "approve_with_edits": "Approve with edits",
    "reject": "Reject",
    "request_changes": "Request changes",
    "answer": "Answer",
}


@dataclass(frozen=True, slots=True)
class Words:
    """What a decision carries besides its kind."""

    reason: str = ""
    edited: str = ""
    answer: str = ""
    scope: dict[str, object] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    covers_unshown: bool = False


def approve(
    *handoff: str,
    reason: str = "",
    edit: str = "",
    edit_file: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    times: int = 0,
    for_: Annotated[str, Parameter(name="--for")] = "",
    until: str = "",
    covers_unshown: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> None:
    """Let exactly this action happen. Asks for your PIN on the terminal.

    Several are approved in one pass, each as a decision of its own: only what is of low risk, can be undone and
    was read in full. The server refuses the rest and says why.

    Parameters
    ----------
    handoff
        Its id, `ho_…`; several for one pass.
    reason
        Why. Asked for when the risk is critical and it was left out.
    edit
        The command as it should run instead, or the text that a Write or an Edit should put in: only that may run then.
    edit_file
        Of finished work: `PATH=FILE`. The file PATH of the change becomes what FILE here holds, byte for byte. It is
        committed in your name on top of the agent's commit, and both are merged. May be given several times.
    times
        Let it start so often, one after the other, where the rule allows it. Each time exactly this call.
    for_
        `run` or `task`: whose calls it covers.
    until
        For how long, like `2h`. Alone, it takes the most starts the rule allows.
    covers_unshown
        Approve what was too large to be shown as well. `handfast handoff changes` prints all of it.
    """
    if edit and edit_file:
        raise UsageError("`--edit` and `--edit-file` exclude each other")
    kind = "approve_with_edits" if edit or edit_file else "approve"
    scope = _scope(times, for_, until)
    if len(handoff) != 1:
        if not handoff or edit or edit_file or scope or covers_unshown:
            raise UsageError(
                "several are approved as they are, once each" if handoff else "no handoff is named",
                hint="`handfast inbox` lists ids; edit or widen one at a time.",
            )
        approve_several(handoff, reason, as_json=as_json)
        return
    words = Words(reason, edit, "", scope, read_edits(edit_file), covers_unshown)
    _decide(handoff[0], kind, words, as_json=as_json)


def _scope(times: int, span: str, until: str) -> dict[str, object]:
    if span not in ("", "run", "task"):
        raise UsageError(f"`--for` is `{span}`", hint="Write run or task.")
    found = {"times": times, "span": span, "within_s": seconds(until, "--until") if until else 0}
    return {name: value for name, value in found.items() if value}


def reject(handoff: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Refuse it. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    reason
        Why; the agent gets it. Asked for when left out.
    """
    _decide(handoff, "reject", Words(reason), as_json=as_json, ask_reason=True)


def request_changes(handoff: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Send it back with feedback. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    reason
        What should be different; the agent gets it. Asked for when left out.
    """
    _decide(handoff, "request_changes", Words(reason), as_json=as_json, ask_reason=True)


def answer(handoff: str, text: str = "", /, *, reason: str = "", as_json: Json = False) -> None:
    """Answer the open question. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    text
        The answer. Asked for when left out.
    reason
        Why.
    """
    _decide(handoff, "answer", Words(reason, answer=text), as_json=as_json)


def _decide(
    handoff_id: str, kind: str, words: Words, *, as_json: bool, ask_reason: bool = False
) -> None:
    attempt = calls.decide(handoff_id, kind, _NO_DIGEST)
    with logged_in(f"{kind} {handoff_id}", attempt) as (control, terminal):
        shown = RemoteReads(control).handoff(handoff_id)
        _check_offered(shown, kind)
        _check_covered(shown, kind, words)
        for line in handoff_lines(shown):
            terminal.say(line)
        terminal.say()
        words = _complete(terminal, shown, kind, words, ask_reason=ask_reason)
        if words.edited:
            terminal.say(f"Instead, only this will run:\n  {words.edited}")
        if words.files:
            terminal.say("With your edit on top, from what the agent made to what you approve:")
            files = control.send(review_calls.review_files(handoff_id))["files"]
            for line in edit_lines(files, words.files):
                terminal.say(f"  {line}")
        signed = sign(terminal, f"{_VERB[kind]}, for digest {shown['presented_digest']}")
        done = control.send(_call(shown, kind, words, signed))
        signed.remember()
    _print(done, handoff_id, kind, as_json=as_json)


def _check_offered(shown: dict[str, Any], kind: str) -> None:
    """A refusal before the PIN is asked. The server checks again."""
    if not shown.get("waiting", True):
        decided = shown.get("decision")
        who = f": {decided['kind']} by {decided['by_name']} at {decided['at']}" if decided else ""
        raise InvalidTransition(
            f"handoff `{shown['handoff_id']}` is {shown['status']}{who}",
            hint=f"See `handfast handoff show {shown['handoff_id']}`.",
        )
    if kind not in shown["offered"]:
        raise InvalidTransition(
            f"handoff `{shown['handoff_id']}` cannot be decided with `{kind}`",
            hint=f"It offers: {', '.join(shown['offered'])}.",
        )


def _check_covered(shown: dict[str, Any], kind: str, words: Words) -> None:
    """Before the PIN is asked, as well."""
    unshown = shown["package"].get("unshown") or []
    if unshown and kind.startswith("approve") and not words.covers_unshown:
        names = ", ".join(f"`{cell(each['path'])}`" for each in unshown[:5])
        more = f" and {len(unshown) - 5} more" if len(unshown) > 5 else ""
        raise UsageError(
            f"too large to be shown with handoff `{shown['handoff_id']}`: {names}{more}",
            code="not_shown",
            hint=f"Read `handfast handoff changes {shown['handoff_id']}`, then approve with `--covers-unshown`.",
        )


def _complete(
    terminal: Terminal, shown: dict[str, Any], kind: str, words: Words, *, ask_reason: bool
) -> Words:
    """Ask for what is still needed."""
    if kind == "answer" and not words.answer.strip():
        words = replace(words, answer=terminal.ask("Answer"))
    needs = ask_reason or (kind != "answer" and shown["risk"] in REASON_FOR_RISK)
    if needs and not words.reason.strip():
        words = replace(words, reason=terminal.ask("Reason"))
    return words


def _call(shown: dict[str, Any], kind: str, words: Words, signed: Signature) -> Request[Any]:
    decision = calls.decide(
        shown["handoff_id"],
        kind,
        shown["presented_digest"],
        reason=words.reason,
        edited_call=words.edited or None,
        answer=words.answer,
        person=signed.login,
        pin=signed.pin,
    )
    if words.files:
        decision = review_calls.with_files(decision, words.files)
    if words.covers_unshown:
        decision = review_calls.with_unshown(decision)
    return grant_calls.with_scope(decision, words.scope) if words.scope else decision


def _print(done: dict[str, Any], handoff_id: str, kind: str, *, as_json: bool) -> None:
    if as_json:
        say_json(done)
        return
    by = (done.get("decision") or {}).get("by_name", "")
    say(f"{handoff_id}: {kind}{f' by {cell(by)}' if by else ''}")
    takes = done.get("takes") or {}
    if done.get("waiting") and takes:
        missing = sum(clause["missing"] for clause in takes["clauses"])
        say(f"it takes {cell(takes['in_words'])}; {missing} missing")
    if grant := done.get("grant"):
        uses = (
            f", {grant['uses']} times for this {grant['span']}" if grant.get("uses", 1) > 1 else ""
        )
        say(f"grant {grant['grant_id']}{uses}")


def acknowledge(handoff: str, /, *, as_json: Json = False) -> None:
    """Say 'I have it', so that others look elsewhere. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    """
    done = signed(
        f"acknowledge {handoff}",
        f"Acknowledge {handoff}",
        lambda who: calls.about_handoff(handoff, "acknowledge", who),
    )
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: you have it")


def comment(handoff: str, text: str, /, *, as_json: Json = False) -> None:
    """Add a comment, in the operator's name. Decides nothing, and the agent does not get it.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    text
        What to say.
    """
    done = server().send(calls.about_handoff(handoff, "comments", {"text": text}))
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: comment added")
