"""`handfast policy`: the rules themselves. Checked, compared, published; what they say of actions is `policy_try`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handfast.cli.control import running
from handfast.cli.local import existing_engine
from handfast.cli.output import Json, note, say, say_json, short_time, show_table
from handfast.cli.person import logged_in, sign
from handfast.client import policy_calls as calls
from handfast.core.domain.errors import NotFound, UsageError
from handfast.core.domain.publication import ORGANISATION

if TYPE_CHECKING:
    from handfast.core.policy.comparing import Comparison, GateChange

WRONG = 2
_MAX_BYTES = 1_000_000


def check(file: Path, /, *, as_json: Json = False) -> int:
    """Check a policy file: every problem with its line and column. Exit code 2 when there is one.

    Parameters
    ----------
    file
        A YAML file; `-` reads standard input.
    """
    from handfast.policyfile.load import check as examine
    from handfast.policyfile.load import load

    text = read_text(file)
    problems = examine(text)
    if as_json:
        found = [
            {
                "line": p.line,
                "column": p.column,
                "field": p.field,
                "message": p.message,
                "hint": p.hint,
            }
            for p in problems
        ]
        say_json({"ok": not found, "problems": found})
        return WRONG if found else 0
    for problem in problems:
        say(f"{file}:{problem}")
    if problems:
        return WRONG
    book = load(text)
    say(f"{file}: {len(book.policy.gates)} gates, no problem. Digest {book.digest[:23]}…")
    return 0


def show(*, scope: str = ORGANISATION, proposed: bool = False, as_json: Json = False) -> None:
    """Print the policy in force, or list every scope with `--json`.

    Parameters
    ----------
    scope
        `organisation`, or the path of a repository.
    proposed
        What is proposed instead.
    """
    states, text = _states(), _text(scope, proposed=proposed)
    state = next((s for s in states if s["scope"] == scope), None)
    if as_json:
        say_json({"scope": scope, "text": text, "state": state})
        return
    if text:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        say(f"Nothing is {'proposed' if proposed else 'published'} for `{scope}`.")
        note("The built-in policy holds: docs/policy.md lists it.")
    if state and state["proposed"] and not proposed:
        at = short_time(state["proposed"]["at"])
        note(f"A change is proposed since {at} UTC: handfast policy show --proposed")


def diff(
    file: Path | None = None,
    /,
    *,
    scope: str = ORGANISATION,
    against: Path | None = None,
    as_json: Json = False,
) -> None:
    """Compare a policy with the one in force: gates that are new, gone or changed, and which way it goes.

    Parameters
    ----------
    file
        The new policy; the proposed one when left out.
    scope
        `organisation`, or the path of a repository.
    against
        Another file instead of the policy in force.
    """
    from handfast.core.policy.comparing import compare
    from handfast.core.policy.document import Policy
    from handfast.policyfile.load import load

    old = read_text(against) if against else _text(scope)
    new = read_text(file) if file else _text(scope, proposed=True)
    if not new:
        raise NotFound(f"nothing is proposed for `{scope}`", hint="Name a file to compare.")
    found = compare(load(old).policy if old else Policy(), load(new).policy)
    if as_json:
        say_json(_comparison(found))
        return
    say(_WAY[found.direction.value])
    for change in found.gates:
        say(f"  {_sign(change)} {change.id}: {_words(change)}")
    for rule in found.switched_off:
        say(f"  - built-in rule `{rule}` is switched off")
    for rule in found.switched_on:
        say(f"  + built-in rule `{rule}` holds again")
    for name in found.sections:
        say(f"  ~ {name} changed")


_WAY = {
    "same": "It says the same.",
    "tightens": "It only tightens: nothing that was stopped is newly allowed.",
    "mixed": "It loosens, or may. `handfast policy simulate` shows what would change.",
}


def _sign(change: "GateChange") -> str:
    return "+" if change.was is None else "-" if change.now is None else "~"


def _words(change: "GateChange") -> str:
    now, was = change.now, change.was
    if was is None:
        return "denies" if now and now.deny else "new gate"
    if now is None:
        return "gone" + (
            "" if change.direction.value == "mixed" else ", but another gate covers it"
        )
    parts = [
        name
        for name in ("when", "tools", "deny", "require", "risk", "why", "remedy")
        if getattr(was, name) != getattr(now, name)
    ]
    return f"{', '.join(parts)} changed" + (
        " (tighter)" if change.direction.value == "tightens" else ""
    )


def _comparison(found: "Comparison") -> dict[str, Any]:
    return {
        "direction": found.direction.value,
        "gates": [
            {"id": c.id, "change": _sign(c), "direction": c.direction.value, "what": _words(c)}
            for c in found.gates
        ],
        "switched_off": list(found.switched_off),
        "switched_on": list(found.switched_on),
        "sections": list(found.sections),
    }


def publish(
    file: Path, /, *, scope: str = ORGANISATION, reason: str = "", as_json: Json = False
) -> None:
    """Propose a policy; asks for your PIN. In force at once where nobody but you could approve it.

    Parameters
    ----------
    file
        The whole policy, as YAML.
    scope
        `organisation`, or the path of a repository, whose policy can only tighten.
    reason
        Why; it stands in the audit trail.
    """
    from handfast.policyfile.load import load

    text = read_text(file)
    digest = load(text).digest
    with logged_in(f"publish a policy for {scope}", calls.propose_policy(scope, text)) as (
        control,
        terminal,
    ):
        signed = sign(terminal, f"Publish {file} for {scope}, digest {digest[:23]}…")
        proposal = calls.propose_policy(scope, text, reason, person=signed.login, pin=signed.pin)
        done = control.send(proposal)
        signed.remember()
    if as_json:
        say_json(done)
    elif done["status"] == "in_force":
        say(f"in force for {scope} from now on: {digest}")
    else:
        say(f"proposed for {scope}: {digest}")
        note(f"Another person puts it into force: handfast policy approve {digest} --scope {scope}")


def approve(digest: str, /, *, scope: str = ORGANISATION, as_json: Json = False) -> None:
    """Put a proposed policy into force; asks for your PIN. Not for its author.

    Parameters
    ----------
    digest
        Of the proposal, as `handfast policy publish` printed it.
    scope
        `organisation`, or the path of a repository.
    """
    _judge("approve", digest, scope, "", as_json=as_json)


def decline(
    digest: str, /, *, scope: str = ORGANISATION, reason: str = "", as_json: Json = False
) -> None:
    """Refuse a proposed policy, or take back your own; asks for your PIN.

    Parameters
    ----------
    digest
        Of the proposal.
    scope
        `organisation`, or the path of a repository.
    reason
        Why; it stands in the audit trail.
    """
    _judge("decline", digest, scope, reason, as_json=as_json)


def _judge(
    what: Literal["approve", "decline"], digest: str, scope: str, reason: str, *, as_json: bool
) -> None:
    attempt = calls.judge_proposed_policy(what, scope, digest, reason)
    with logged_in(f"{what} a policy for {scope}", attempt) as (control, terminal):
        signed = sign(terminal, f"{what.title()} policy {digest[:23]}… for {scope}")
        asked = calls.judge_proposed_policy(
            what, scope, digest, reason, person=signed.login, pin=signed.pin
        )
        done = control.send(asked)
        signed.remember()
    if as_json:
        say_json(done)
    else:
        say(f"policy {digest[:23]}… for {scope}: {done['status'].replace('_', ' ')}")


def list_policies(*, as_json: Json = False) -> None:
    """List every scope with what is in force and what is proposed."""
    states = _states()
    if as_json:
        say_json({"items": states})
        return
    rows = [
        (
            s["scope"],
            s["version"],
            s["in_force"]["digest"][:23] if s["in_force"] else "",
            short_time(s["published_at"]) if s["published_at"] else "",
            s["proposed"]["digest"][:23] if s["proposed"] else "",
        )
        for s in states
    ]
    heads = ["scope", "version", "in force", "since (UTC)", "proposed"]
    show_table(heads, rows, "Nothing is published: the built-in policy holds.")


def _states() -> list[dict[str, Any]]:
    control = running()
    if control is not None:
        return control.send(calls.policies())
    with existing_engine() as engine:
        return engine.policies.list()


def _text(scope: str, *, proposed: bool = False) -> str:
    control = running()
    if control is not None:
        return str(control.send(calls.policy_text(scope, proposed=proposed))["text"])
    with existing_engine() as engine:
        return engine.policies.text(scope, proposed=proposed)


def read_text(file: Path) -> str:
    """Raises UsageError for a file that cannot be read as text."""
    import sys

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        if len(data) > _MAX_BYTES:
            raise UsageError(f"`{file}` is larger than {_MAX_BYTES:,} bytes")
        return data.decode("utf-8")
    except OSError as e:
        raise UsageError(f"`{file}` cannot be read: {e.strerror}", hint="Check the path.") from None
    except UnicodeDecodeError as e:
        raise UsageError(f"`{file}` is not UTF-8 text: {e}", hint="Save it as UTF-8.") from None
