"""Twelve cases to review, two of each kind, with what a reviewer must know of each.

Made through the engine from a real repository, as `scene` is. `docs/reviewing.md` says of each where on its
one page every fact stands; the names here are those of that table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.brief import parse_brief
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import AgentStarted
from handfast.core.domain.ids import RunId
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.package import CommandRun, Commit, ReviewedWork, WrittenPart
from handfast.engine.actions import StepResult
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause
from handfast.engine.takeovers import Changed, Found
from handfast.engine.tasks import NewTask
from handfast.observe.claude_code import read_call
from handfast.observe.review import review_facts
from handfast.observe.scope import Scope
from handfast.runner.git import Git
from handfast.runner.supervisor.handing import parts, parts_in_words
from scripts.scene import (
    BRIEF,
    MORE_TESTS,
    OPERATOR,
    POLICY,
    ROUNDED,
    RUNNER,
    TESTS,
    Scene,
    call,
    decide,
    furnished,
    git,
    session,
)

RULES: Final = f"""\
{POLICY}  - id: migration
    when: call.command.startsWith("alembic upgrade")
    reconcile: [alembic, current, --check-heads]
limits:
  cost_usd: {{warn: 2, hand_over: 5}}
  failing_call_repeats: {{hand_over: 2}}
"""


@dataclass
class Desk:
    """Where the cases are made. `pages` is case → address of its one page."""

    scene: Scene
    pages: dict[str, str]
    worked: int = 0


def prepare(engine: Engine, folder: Path) -> dict[str, str]:
    """Make all twelve. Gives the address of each one's page, by the case's name in the table."""
    desk = Desk(furnished(engine, folder, RULES), {})
    for name, make in CASES.items():
        desk.pages[name] = make(desk)
    return desk.pages


# -- approvals


def _delete(desk: Desk) -> str:
    run_id = session(desk.scene, "codex-web", "delete")
    says = "The folder is not used any more."
    return _case(call(desk.scene, run_id, "rm", "rm -r billing", says))


def _stale(desk: Desk) -> str:
    """Approved; then the same call came with another argument."""
    scene = desk.scene
    run_id = session(scene, "claude-platform", "stale")
    first = call(scene, run_id, "scale", f"{SCALE}=2", "Two are enough at night.")
    decide(scene, first, "mia", DecisionKind.APPROVE, "Two are enough.")
    return _case(call(scene, run_id, "scale", f"{SCALE}=0", "Scaling down, as approved."))


# -- reviews


def _wrong(desk: Desk) -> str:
    """It rounds, the tests pass, and half cents go the wrong way: the tests were changed along with it."""
    scene = desk.scene
    code = (scene.repository / "billing/invoice.py").read_text().replace(*ROUNDED)
    files = {
        "billing/invoice.py": code.replace("ROUND_HALF_EVEN", "ROUND_HALF_UP"),
        "tests/test_invoice.py": TESTS + WRONG_TESTS,
    }
    head = _committed(scene.repository, "wrong", files, "Round invoice lines before summing")
    run_id, epoch = _working(desk)
    _ran(scene, run_id, "grep", "grep -rn round billing", 0)
    _edited(scene, run_id, "edit", "billing/invoice.py")
    _edited(scene, run_id, "edit2", "tests/test_invoice.py")
    _ran(scene, run_id, "tests", "python -m pytest -q tests", 0)
    says = "Half cents are rounded correctly now and the tests pass."
    return _case(_review(scene, run_id, epoch, head, says, "python -m pytest -q tests"))


def _overreach(desk: Desk) -> str:
    """The asked change, and two that nobody asked for."""
    scene = desk.scene
    code = (scene.repository / "billing/invoice.py").read_text().replace(*ROUNDED)
    files = {
        "billing/invoice.py": code,
        "shipping/rates.py": "RATE = 2\n",
        ".github/workflows/ci.yml": "on: push\njobs: {}\n",
    }
    head = _committed(scene.repository, "overreach", files, "Round lines, tidy up the pipeline")
    run_id, epoch = _working(desk)
    says = "Totals are right. I also tidied up the pipeline."
    return _case(_review(scene, run_id, epoch, head, says))


# -- questions


def _blocking_question(desk: Desk) -> str:
    run_id = session(desk.scene, "claude-billing", "question")
    asked = "Invoices before 2019 have no currency. Assume EUR, or leave them out?"
    return _case(str(desk.scene.engine.reviews.ask(RUNNER, run_id, asked)["handoff_id"]))


def _question_meanwhile(desk: Desk) -> str:
    run_id = session(desk.scene, "claude-platform", "aside")
    _ran(desk.scene, run_id, "tests", "python -m pytest -q tests/api", 1)
    asked = "May the old endpoint go in this release? I go on with the new one."
    done = desk.scene.engine.reviews.ask(RUNNER, run_id, asked, blocking=False)
    return _case(str(done["handoff_id"]))


# -- escalations


def _cost(desk: Desk) -> str:
    run_id = session(desk.scene, "claude-platform", "cost")
    desk.scene.engine.limits.report(RUNNER, run_id, Reported(cost_usd="5.40"))
    return _case(call(desk.scene, run_id, "next", "make docs", "One more page to build."))


def _again(desk: Desk) -> str:
    run_id = session(desk.scene, "codex-web", "again")
    for number in range(2):
        _ran(desk.scene, run_id, f"build{number}", "make bundle", 2, "no rule to make bundle.js")
    return _case(call(desk.scene, run_id, "build2", "make bundle", "It should work this time."))


# -- doubts


def _lost_migration(desk: Desk) -> str:
    return _lost(desk, "migration", "alembic upgrade head")


def _lost_push(desk: Desk) -> str:
    return _lost(desk, "push", "git push origin main")


def _lost(desk: Desk, name: str, command: str) -> str:
    """Approved and started; its process ended before a result was recorded."""
    scene = desk.scene
    run_id = session(scene, "claude-platform", f"lost-{name}")
    asked = call(scene, run_id, "c", command)
    decide(scene, asked, "mia", DecisionKind.APPROVE, "It is the evening window.")
    _proposed(scene, run_id, "c", command)
    (doubt,) = _texts(scene.engine.runs.settle(RUNNER, run_id, None)["doubts"])
    return _case(doubt)


# -- take-overs


def _in_hands(desk: Desk) -> str:
    """Its worktree is the person's until they hand it back."""
    run_id, epoch = _working(desk)
    engine = desk.scene.engine
    engine.takeovers.take(desk.scene.people["ana"], run_id, "Quicker by hand.")
    seen: dict[str, object] = {
        "processes": [{"pid": 7, "parent": 1, "command": "npm run watch"}],
        "uncommitted": ["M billing/invoice.py"],
    }
    head = git(desk.scene.repository, "rev-parse", "main").strip()
    found = Found("build-7", TREE, "handfast/hands", head, "refs/x", "b" * 40, None, seen)
    engine.takeovers.handed_over(RUNNER, run_id, epoch, found)
    return f"/runs/{run_id}"


def _part_by_hand(desk: Desk) -> str:
    """Handed back, gone on by the agent, and finished: a person wrote a part of what is to be merged."""
    scene, takeovers = desk.scene, desk.scene.engine.takeovers
    repository, mia = scene.repository, scene.people["mia"]
    base = git(repository, "rev-parse", "main").strip()
    code = (repository / "billing/invoice.py").read_text().replace(*ROUNDED)
    by_hand = _committed(repository, "hands", {"billing/invoice.py": code}, "Round by hand")
    head = _committed(
        repository, "hands-2", {"tests/test_invoice.py": TESTS + MORE_TESTS}, "Test it", "hands"
    )
    run_id, epoch = _working(desk)
    takeovers.take(mia, run_id, "I know this code.")
    found = Found("build-7", TREE, "hands", base, "refs/x", base)
    takeovers.handed_over(RUNNER, run_id, epoch, found)
    takeovers.hand_back(mia, run_id, "Rounding is done; write its test.")
    again = _leased(desk, run_id)
    work: dict[str, object] = {
        "files": [{"path": "billing/invoice.py", "status": "M", "added": 2, "deleted": 1}],
        "commits": [{"commit": by_hand, "subject": "Round by hand"}],
    }
    changed = Changed(base, by_hand, "refs/y", by_hand, 1, work)
    takeovers.recorded(RUNNER, run_id, again, changed)
    said = "The test for the rounding is written."
    return _case(_review(scene, run_id, again, head, said))


CASES: Final[dict[str, Callable[[Desk], str]]] = {
    "a delete of tracked files": _delete,
    "a stale approval": _stale,
    "a wrong but plausible change": _wrong,
    "an overreach": _overreach,
    "a question that stops the agent": _blocking_question,
    "a question on the way": _question_meanwhile,
    "a run at its cost limit": _cost,
    "the same failure again": _again,
    "a migration without an end": _lost_migration,
    "a push without an end": _lost_push,
    "a run in a person's hands": _in_hands,
    "work a person had a part in": _part_by_hand,
}
SCOPE: Final = ("billing/", "tests/")  # as the brief has it
SCALE: Final = "kubectl --context prod-eu scale deploy/shop --replicas"
TREE: Final = "/srv/wt/rounding"
WRONG_TESTS: Final = """

def test_half_cents_round_up() -> None:
    assert invoice("0.005").total() == Decimal("0.01")
"""


# -- what an agent, its hook and its runner do


def _case(handoff_id: str) -> str:
    if not handoff_id:
        raise ValueError("it was let through: no case")
    return f"/handoffs/{handoff_id}"


def _texts(found: object) -> list[str]:
    return [str(each) for each in found] if isinstance(found, list) else []


def _read(scene: Scene, run_id: str, key: str, tool: str, given: dict[str, object]) -> Proposal:
    at = scene.repository
    scope = Scope(worktree=at, cwd=at, control_paths=(), protected_ports=())
    read, facts = read_call(tool, given, scope)
    return Proposal(run_id, key, read, facts)


def _proposed(scene: Scene, run_id: str, key: str, command: str) -> None:
    """Let through, with no result yet."""
    given = _read(scene, run_id, key, "Bash", {"command": command})
    done = scene.engine.actions.propose(RUNNER, given)
    if done["verdict"] != "allow":
        raise ValueError(f"`{command}` was to be let through: {done}")


def _ran(scene: Scene, run_id: str, key: str, command: str, code: int, said: str = "") -> None:
    _proposed(scene, run_id, key, command)
    said = said or ("2 failed, 10 passed" if code else "12 passed")
    result = StepResult(run_id, key, code, failed=bool(code), duration_ms=840, output=said)
    scene.engine.actions.record_result(RUNNER, result)


def _edited(scene: Scene, run_id: str, key: str, path: str) -> None:
    where = str(scene.repository / path)
    given: dict[str, object] = {"file_path": where, "old_string": "Decimal(0)", "new_string": "0"}
    scene.engine.actions.propose(RUNNER, _read(scene, run_id, key, "Edit", given))
    scene.engine.actions.record_result(RUNNER, StepResult(run_id, key))


def _working(desk: Desk) -> tuple[str, int]:
    """A run of a task of its own whose agent has begun, and its epoch."""
    engine, scene = desk.scene.engine, desk.scene
    base = git(scene.repository, "rev-parse", "main").strip()
    task = NewTask(parse_brief(BRIEF), str(scene.repository), "main", base)
    task_id = str(engine.tasks.create(OPERATOR, task)["task_id"])
    new = NewRun(task_id, scene.agents["claude-billing"], "claude-code", ("claude", "-p"))
    run_id = str(engine.runs.create(OPERATOR, new)["run_id"])
    return run_id, _leased(desk, run_id)


def _leased(desk: Desk, run_id: str) -> int:
    engine = desk.scene.engine
    run = engine.runs.lease(RUNNER, "runner-1", "build-7")
    if run is None or run.run_id != run_id:
        raise ValueError(f"run `{run_id}` was to be leased")
    desk.worked += 1
    begun = AgentStarted(RunId(run_id), run.epoch, 4711, desk.worked, "boot", TREE, "handfast/work")
    engine.runs.started(RUNNER, begun)
    return run.epoch


def _committed(
    repository: Path, branch: str, files: dict[str, str], subject: str, base: str = "main"
) -> str:
    """One commit on a new branch; its id. The repository stays on `main`."""
    git(repository, "switch", "-q", "-c", branch, base)
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    git(repository, "add", *files)
    git(repository, "commit", "-q", "-m", subject)
    git(repository, "switch", "-q", "main")
    return git(repository, "rev-parse", branch).strip()


def _review(
    scene: Scene, run_id: str, epoch: int, head: str, says: str, ran: str = "", code: int = 0
) -> str:
    """Finished work, handed to a person with what git says of it, as the runner does."""
    repository, run = scene.repository, scene.engine.views.run(run_id)
    base = git(repository, "rev-parse", "main").strip()
    seen = review_facts(repository, base, head, SCOPE)
    held = run["takeovers"] if isinstance(run["takeovers"], list) else []
    written = parts(Git(repository), held, head)
    work = ReviewedWork(
        base_commit=base,
        head_commit=head,
        target_branch="main",
        commits=tuple(Commit(each.id, each.subject) for each in seen.commits),
        commands=(CommandRun(ran, code, 840, ""),) if ran else (),
        files=tuple(change.path for change in seen.files),
        outside_scope=seen.outside_scope,
        powerful=seen.powerful,
        parts=tuple(
            WrittenPart(
                str(part["person_id"]),
                tuple(part["commits"]),
                tuple(part["files"]),
                tuple(part["changed_since"]),
            )
            for part in written
        ),
    )
    facts = ReviewFacts(
        work,
        git(repository, "diff", base, head),
        seen.insertions,
        seen.deletions,
        agent_says=says,
        details=tuple(parts_in_words(written)),
        changes=seen.files,
    )
    opened = scene.engine.reviews.open(RUNNER, FinishedWork(run_id, epoch, facts, Pause()))
    return str(opened["handoff_id"])
