"""`handfast policy explain | decide | test`: what the policy says of actions, for people, scripts and examples."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from handfast.cli.output import Json, note, say, say_json
from handfast.cli.policy import read_text
from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.grant_scope import lasting
from handfast.core.domain.requirement import in_words

if TYPE_CHECKING:
    from handfast.cli.policy_actions import Action
    from handfast.core.domain.action import Judgement
    from handfast.core.policy.judging import Rulebook

Files = Annotated[tuple[Path, ...], Parameter(name="--policy", negative=())]
WRONG = 1


def explain(
    action: str,
    /,
    *,
    policy: Files = (),
    repository: str = "",
    worktree: Path | None = None,
    as_json: Json = False,
) -> None:
    """Say what the policy makes of an action, which rules matched and why.

    Parameters
    ----------
    action
        A shell command, or the JSON of an action.
    policy
        Judge by these files instead of the policy in force; may be given several times.
    repository
        Whose published policy holds besides the organisation's.
    worktree
        Read the command in this worktree; by its text alone when left out.
    """
    found = _action(_decoded(action), worktree)
    judged = _judge(found, books(policy, repository))
    if as_json:
        say_json({**answer(judged), "facts": _facts(found)})
        return
    say(f"{_SAYS[judged.verdict.value]} · risk {judged.risk.value}")
    say(f"What it does: {found.facts.summary or found.call.tool}")
    for rule in judged.rules:
        say(f"  {rule.verdict.value:<5} {rule.id}: {rule.why} {rule.remedy}".rstrip())
    if judged.verdict.value == "gate":
        say(f"It takes: {_takes(judged)}")
    for name, values in (("Hazards", found.facts.hazards), ("Not readable", found.facts.opaque)):
        if values:
            say(f"{name}: {', '.join(values)}")
    for detail in found.facts.details[:10]:
        say(f"  - {detail}")
    note(f"Policy {judged.policy_digest[:23]}…")


_SAYS = {"allow": "ALLOWED", "gate": "A PERSON DECIDES", "deny": "DENIED"}


def _takes(judged: "Judgement") -> str:
    takes = judged.requirement
    within = f", within {lasting(takes.within_s)}" if takes.within_s else ""
    return f"{in_words(takes)}{within}; silence: {takes.silence.value}"


def decide(
    *,
    policy: Files = (),
    repository: str = "",
    worktree: Path | None = None,
    as_json: Json = False,  # noqa: ARG001 - the answers are JSON anyway
) -> int:
    """Read the JSON of an action a line, print the verdict with the matched rules a line, for scripts.

    A line that is no action is gated and says why; there are always as many answers as lines.

    Parameters
    ----------
    policy
        Judge by these files instead of the policy in force; may be given several times.
    repository
        Whose published policy holds besides the organisation's.
    worktree
        Read commands in this worktree; by their text alone when left out.
    """
    rulebooks = books(policy, repository)
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(_line(line, rulebooks, worktree)) + "\n")
        sys.stdout.flush()
    return 0


def _line(line: bytes, rulebooks: "Sequence[Rulebook]", worktree: Path | None) -> dict[str, Any]:
    try:
        return answer(_judge(_action(json.loads(line), worktree), rulebooks))
    except (ValueError, RecursionError) as e:
        error = f"the line is no JSON: {e}"
    except HandfastError as e:
        error = f"{e.message}. {e.hint}".strip()
    except Exception as e:  # noqa: BLE001 - what cannot be judged is gated, and the next line is still answered
        error = f"it could not be judged: {type(e).__name__}: {e}"
    return {"verdict": "gate", "risk": "high", "rules": [], "error": error[:500]}


def answer(judged: "Judgement") -> dict[str, Any]:
    """The verdict as JSON. `requirement` only where something is asked for."""
    from handfast.core.domain.codec import encode

    found: dict[str, Any] = {
        "verdict": judged.verdict.value,
        "risk": judged.risk.value,
        "rules": [
            {"id": r.id, "verdict": r.verdict.value, "why": r.why, "remedy": r.remedy}
            for r in judged.rules
        ],
        "policy_digest": judged.policy_digest,
    }
    if judged.verdict.value == "gate":
        requirement = judged.requirement
        found["requirement"] = {
            "clauses": [
                {"approvals": c.approvals, "audience": list(c.audience)}
                for c in requirement.clauses
            ],
            "within_s": requirement.within_s,
            "silence": requirement.silence.value,
            "levels": [encode(level) for level in requirement.levels],
        }
    return found


def examples_hold(
    file: Path,
    /,
    *,
    examples: Path | None = None,
    as_json: Json = False,
) -> int:
    """Run the examples kept beside a policy. Exit code 1 when one has another outcome than it says.

    Parameters
    ----------
    file
        The policy.
    examples
        The examples; `policy.examples.yaml` beside `policy.yaml` when left out.
    """
    from handfast.policyfile.load import load
    from handfast.policyfile.positions import parse

    beside = examples or file.with_name(f"{file.stem}.examples{file.suffix}")
    parsed = parse(read_text(beside))
    if parsed.problem is not None:
        line, column = parsed.place(parsed.problem)
        raise UsageError(f"{beside}:{line}:{column}: {parsed.problem.message}")
    listed = parsed.data.get("examples") if isinstance(parsed.data, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise UsageError(f"`{beside}` has no list `examples:`", hint="See docs/policy.md.")
    book = load(read_text(file))
    results = [_example(i, each, book) for i, each in enumerate(listed)]
    failed = [r for r in results if r["problems"]]
    if as_json:
        say_json({"passed": len(results) - len(failed), "failed": len(failed), "results": results})
        return WRONG if failed else 0
    for result in failed:
        line = parsed.spots[("examples", result["index"])].line
        say(f"{beside}:{line}: {result['name']}: {'; '.join(result['problems'])}")
    say(f"{len(results) - len(failed)} of {len(results)} examples hold")
    return WRONG if failed else 0


def _example(index: int, item: object, book: "Rulebook") -> dict[str, Any]:
    """One example, judged. Raises UsageError for one that is not written as an example."""
    where = f"examples[{index}]"
    if not isinstance(item, Mapping) or not {"action", "expect"} <= set(item) <= {
        "name",
        "action",
        "expect",
    }:
        raise UsageError(f"`{where}` needs `action` and `expect`, and may have `name`")
    expect = item["expect"]
    if not isinstance(expect, Mapping) or not set(expect) <= {
        "verdict",
        "rules",
        "risk",
        "approvals",
    }:
        raise UsageError(
            f"`{where}.expect` is not understood", hint="Known: verdict, rules, risk, approvals."
        )
    judged = _judge(_action(item["action"], None), [book])
    found: dict[str, object] = {
        "verdict": judged.verdict.value,
        "risk": judged.risk.value,
        "approvals": sum(c.approvals for c in judged.requirement.clauses),
    }
    matched = sorted(r.id for r in judged.rules)
    problems = [
        f"{name} is {found[name]}, not {wanted}"
        for name, wanted in expect.items()
        if name != "rules" and found[name] != wanted
    ]
    absent = [str(rule) for rule in expect.get("rules", []) if rule not in matched]
    if absent:
        problems.append(f"{', '.join(absent)} did not match; matched: {', '.join(matched)}")
    name = str(item.get("name", where))
    return {"index": index, "name": name, "problems": problems, "rules": matched, **found}


def books(files: Sequence[Path], repository: str = "") -> "list[Rulebook]":
    """The files, or else what is published here; nothing where there is no installation."""
    from handfast.policyfile.load import load

    if files:
        return [load(read_text(file)) for file in files]
    return [load(text) for text in _published(repository)]


def _published(repository: str) -> list[str]:
    from handfast.cli.control import running
    from handfast.cli.local import existing_engine
    from handfast.client import policy_calls

    control = running()
    if control is not None:
        found = control.send(policy_calls.policies_in_force(repository))
        return [str(book["text"]) for book in found["books"]]
    try:
        with existing_engine() as engine:
            listed: Any = engine.policies.texts_in_force(repository)["books"]
            return [str(book["text"]) for book in listed]
    except UsageError:
        return []  # no installation on this machine: the built-in policy is what there is


def _action(data: object, worktree: Path | None) -> "Action":
    from handfast.cli.policy_actions import action_from

    return action_from(data, _now(), worktree)


def _now() -> datetime:
    from handfast.engine.clock import SystemClock

    return SystemClock().now()


def _judge(action: "Action", rulebooks: "Sequence[Rulebook]") -> "Judgement":
    from handfast.core.policy.judging import judge

    return judge(action.facts, action.subject, rulebooks)


def _decoded(text: str) -> object:
    """JSON where it looks like it, else a shell command."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError as e:
            raise UsageError(
                f"the action is no JSON: {e}", hint="Or give a shell command."
            ) from None
    return text


def _facts(action: "Action") -> dict[str, Any]:
    facts = action.facts
    return {
        "effect": facts.effect.value,
        "summary": facts.summary,
        "hazards": list(facts.hazards),
        "opaque": list(facts.opaque),
        "details": list(facts.details),
        "paths": list(facts.paths),
    }
