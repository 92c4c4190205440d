"""`handfast policy simulate`: what a changed policy would have said of what was recorded, or of actions in a file."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from handfast.cli.local import existing_engine
from handfast.cli.output import Json, note, say, say_json
from handfast.cli.policy import read_text
from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.publication import ORGANISATION

if TYPE_CHECKING:
    from handfast.core.policy.judging import Rulebook
    from handfast.engine.facade import Engine
    from handfast.engine.simulation import Books

_EVERY = 500


def simulate(
    file: Path,
    /,
    *,
    scope: str = ORGANISATION,
    against: Path | None = None,
    actions: Annotated[Path | None, Parameter(name="--from")] = None,
    after: int = 0,
    most: int = 100,
    as_json: Json = False,
) -> None:
    """Judge every recorded action by a changed policy, and list what would change. Writes nothing.

    Reads the database of this machine's installation, so no server is needed.

    Parameters
    ----------
    file
        The changed policy.
    scope
        Whose policy it replaces: `organisation`, or the path of a repository.
    against
        Compare with this file instead of the policy in force.
    actions
        Judge the actions of this file instead (one JSON a line, as `policy decide` reads them).
    after
        Only what was recorded after this position of the log.
    most
        How many changed actions to list.
    """
    from handfast.policyfile.load import load

    changed = load(read_text(file))
    with _shown_progress() as progress:
        if actions is not None:
            found = _imported(
                actions, [load(read_text(against))] if against else [], changed, progress, most
            )
        else:
            with existing_engine() as engine:
                found = _recorded(engine, changed, scope, against, progress, after=after, most=most)
    if as_json:
        say_json(found)
    else:
        _print(found)


def _recorded(
    engine: "Engine",
    changed: "Rulebook",
    scope: str,
    against: Path | None,
    progress: Callable[[int, int], None],
    *,
    after: int,
    most: int,
) -> dict[str, Any]:
    from handfast.engine.simulation import simulate as run
    from handfast.policyfile.load import load

    before = load(read_text(against)) if against else None
    now = _books(engine, scope, before)
    done = run(engine.kernel, now, _books(engine, scope, changed), progress, after=after, most=most)
    return done.to_json()


def _books(engine: "Engine", scope: str, instead: "Rulebook | None") -> "Books":
    """The policies of a repository, with the one of `scope` replaced; each repository asked once."""
    from handfast.policyfile.load import load

    known: dict[str, Sequence[Rulebook]] = {}

    def of(repository: str) -> "Sequence[Rulebook]":
        if repository not in known:
            published: Any = engine.policies.texts_in_force(repository)["books"]
            kept = [b for b in published if instead is None or b["scope"] != scope]
            books: list[Rulebook] = [load(str(b["text"])) for b in kept]
            applies = instead is not None and scope in (ORGANISATION, repository)
            known[repository] = [*books, instead] if applies and instead else books
        return known[repository]

    return of


def _imported(
    path: Path,
    now: "Sequence[Rulebook]",
    changed: "Rulebook",
    progress: Callable[[int, int], None],
    most: int,
) -> dict[str, Any]:
    """The same comparison on actions that were never recorded here. A line that is none is an error."""
    from handfast.cli.policy_actions import action_from
    from handfast.core.policy.judging import judge
    from handfast.engine.clock import SystemClock
    from handfast.engine.simulation import Simulation

    at, done = SystemClock().now(), Simulation()
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            action = action_from(json.loads(line), at)
        except (ValueError, HandfastError) as e:
            raise UsageError(f"{path}:{number}: {e}", hint="One action a line, as JSON.") from None
        was, new = (judge(action.facts, action.subject, books) for books in (now, [changed]))
        shown = {"line": number, "tool": action.call.tool, "summary": action.facts.summary}
        listed = partial(dict[str, Any], shown) if len(done.listed) < most else None
        done.note(was, new, (str(path), str(number)), str(number), listed)
        if number % _EVERY == 0:
            progress(number, len(lines))
    return done.to_json()


def _print(found: dict[str, Any]) -> None:
    say(f"{found['judged']:,} actions judged")
    if found["unreadable"]:
        say(f"{found['unreadable']:,} not judged: their content was erased")
    if not found["changes"]:
        say("Nothing would change.")
        return
    for transition, count in sorted(found["changes"].items()):
        say(f"  {transition}: {count:,}")
    decided = found.get("handoffs_saved_decided") or {}
    how = f" ({', '.join(f'{n} {kind}' for kind, n in sorted(decided.items()))})" if decided else ""
    say(f"Handoffs saved: {found['handoffs_saved']:,}{how}")
    say(f"Handoffs added: {found['handoffs_added']:,}")
    for action in found["actions"]:
        where = action.get("step_id") or f"line {action['line']}"
        say(
            f"  {action['was']:>5} → {action['now']:<5} {where}  {action['summary']}  [{', '.join(action['rules'])}]"
        )
    left = sum(found["changes"].values()) - len(found["actions"])
    if left > 0:
        note(f"and {left:,} more; --most lists them")


@contextmanager
def _shown_progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield step
