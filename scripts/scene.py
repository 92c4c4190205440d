"""A small installation with people, agents, runs and cases, for pictures, browser tests and measurements.

Everything in it is made through the engine, from a real repository and calls that were really read, so what
the pages draw of it is what they draw in use.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handfast.core.domain.brief import parse_brief
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import AgentStarted, Mode
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import RunId
from handfast.core.domain.package import Attempt, CommandRun, Commit, ReviewedWork
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.actions import StepResult
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.handoffs import Decision
from handfast.engine.packages import ReviewFacts
from handfast.engine.people import NewPerson
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause, Session
from handfast.engine.tasks import NewTask
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope

PASSWORD = "pictures only"  # noqa: S105 - an account that lives as long as the script
OPERATOR, RUNNER = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")
POLICY = """\
version: 1
builtin:
  off: [push]
gates:
  - id: feature-push
    when: |
      "git.push" in call.hazards && !call.branches.exists(b, b in ["main", "*"])
    risk: low
    require: {approvals: 1, within: 8h}
    why: A pushed branch starts the pipeline.
  - id: main-push
    when: |
      "git.push" in call.hazards && call.branches.exists(b, b in ["main", "*"])
    risk: medium
    require: {approvals: 1, within: 2h}
    why: main is what everybody builds on.
  - id: expensive
    tools: [Bash]
    when: run.cost_usd > 5.0
    require: {approvals: 1}
    why: This run has used more than five dollars.
actions:
  - id: feature-push
    when: |
      "git.push" in call.hazards && !call.branches.exists(b, b in ["main", "*"])
    reversible: true
"""
BRIEF = {
    "intent": "Round invoice lines before summing, so that totals match the ledger.",
    "acceptance": [
        "The tests pass",
        "Half cents round to the even cent",
        "The nightly export writes the same totals",
    ],
    "non_goals": ["Changing the currency table"],
    "scope": {"paths": ["billing/", "tests/"]},
    "budget": {"cost_usd": "2.00", "tool_calls": 200},
    "risk": "medium",
    "contacts": ["team:billing"],
}


@dataclass
class Scene:
    """What was made, by the name a picture asks for."""

    engine: Engine
    repository: Path
    people: dict[str, Actor] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)
    task_id: str = ""

    def paths(self) -> dict[str, str]:
        """Name → address of the page."""
        pages = {f"case-{name}": f"/handoffs/{case}" for name, case in self.cases.items()}
        pages |= {f"run-{name}": f"/runs/{run}" for name, run in self.runs.items()}
        pages |= {f"agent-{name}": f"/agents/{agent}" for name, agent in self.agents.items()}
        return pages | {"task": f"/tasks/{self.task_id}"}


def build(engine: Engine, folder: Path) -> Scene:
    """Everything the pictures show. Takes about a second."""
    scene = furnished(engine, folder, POLICY)
    _earlier(scene)
    _task(scene)
    _waiting(scene)
    return scene


def furnished(engine: Engine, folder: Path, policy: str) -> Scene:
    """People, agents, a repository and a policy in force; no runs yet."""
    scene = Scene(engine, repository(folder / "shop"))
    _people(scene)
    for name, harness, team in (
        ("claude-billing", "claude-code", "billing"),
        ("claude-platform", "claude-code", "platform"),
        ("codex-web", "codex", "web"),
    ):
        scene.agents[name] = str(engine.agents.add(OPERATOR, name, harness, team)["agent_id"])
    engine.policies.propose(scene.people["ana"], ORGANISATION, policy, "Feature branches are cheap")
    proposed = engine.policies.list()[0]["proposed"]
    if isinstance(proposed, dict):
        engine.policies.approve(scene.people["mia"], ORGANISATION, str(proposed["digest"]))
    return scene


def _people(scene: Scene) -> None:
    people = scene.engine.people
    first = people.set_up(people.invite(), NewPerson("Ana Lind", "ana", PASSWORD, "271828"))
    scene.people["ana"] = Actor("person", str(first["person_id"]), "browser")
    for name, login, roles in (
        ("Mia Berg", "mia", ("reviewer", "admin")),
        ("Noor Haddad", "noor", ("reviewer",)),
        ("Jon Vik", "jon", ("auditor",)),
    ):
        secret = people.invite_another(scene.people["ana"], roles)
        made = people.set_up(secret, NewPerson(name, login, PASSWORD, "314159"))
        scene.people[login] = Actor("person", str(made["person_id"]), "browser")


def session(scene: Scene, agent: str, name: str) -> str:
    """A run of an agent's own session in the repository."""
    started = Session(
        scene.agents[agent],
        "claude-code",
        f"session-{name}",
        "/srv/shop",
        Mode.ENFORCE,
        repository="/srv/shop",
    )
    scene.runs[name] = str(scene.engine.runs.session(RUNNER, started)["run_id"])
    return scene.runs[name]


def call(scene: Scene, run_id: str, key: str, command: str, says: str = "") -> str:
    """Propose a shell command as its hook would; the id of the case, '' where it was let through."""
    scope = Scope(
        worktree=scene.repository, cwd=scene.repository, control_paths=(), protected_ports=()
    )
    read, facts = read_call("Bash", {"command": command}, scope)
    proposal = Proposal(run_id, key, read, facts, agent_says=says)
    result = scene.engine.actions.propose(RUNNER, proposal)
    if result["verdict"] == "allow":
        done = StepResult(run_id, key, 0, duration_ms=840, output="12 passed")
        scene.engine.actions.record_result(RUNNER, done)
    return str(result["handoff_id"])


def decide(scene: Scene, case: str, who: str, kind: DecisionKind, reason: str) -> None:
    seen = scene.engine.kernel.state(Handoff, case).presented_digest
    scene.engine.handoffs.decide(scene.people[who], Decision(case, kind, seen, reason=reason))


def _earlier(scene: Scene) -> None:
    """Calls of an earlier session, decided and run."""
    run_id = session(scene, "claude-platform", "earlier")
    for number, command in enumerate(
        ("python -m pytest -q", "git status", "ruff check .", "python -m pytest -q tests/api")
    ):
        call(scene, run_id, f"e{number}", command)
    pushed = call(scene, run_id, "push", "git push origin retry-budget")
    decide(scene, pushed, "mia", DecisionKind.APPROVE, "")
    call(scene, run_id, "push", "git push origin retry-budget")
    scene.engine.actions.record_result(RUNNER, StepResult(run_id, "push", 0, duration_ms=1900))
    published = call(scene, run_id, "publish", "npm publish --access public")
    decide(scene, published, "noor", DecisionKind.REJECT, "The release goes out on Thursday.")
    scene.cases["receipt"], scene.cases["refused"] = pushed, published


def _task(scene: Scene) -> None:
    """A task whose work is finished and waits for review."""
    engine = scene.engine
    task = NewTask(parse_brief(BRIEF), "/srv/shop", "main", "4c1e0b2" + "0" * 33)
    scene.task_id = str(engine.tasks.create(OPERATOR, task)["task_id"])
    new = NewRun(scene.task_id, scene.agents["claude-billing"], "claude-code", ("claude", "-p"))
    run_id = scene.runs["task"] = str(engine.runs.create(OPERATOR, new)["run_id"])
    leased = engine.runs.lease(RUNNER, "runner-1", "build-7")
    epoch = leased.epoch if leased else 1
    started = AgentStarted(
        RunId(run_id), epoch, 4711, 1, "boot", "/srv/wt/rounding", "handfast/rounding", "4c1e0b2"
    )
    engine.runs.started(RUNNER, started)
    for number, command in enumerate(
        ("grep -rn round billing", "python -m pytest -q tests/billing", "git diff --stat")
    ):
        call(scene, run_id, f"t{number}", command)
    files = ("billing/invoice.py", "tests/test_invoice.py")
    changed = git(scene.repository, "diff", "main", "rounding")
    scene.cases["review"] = review(scene, run_id, epoch, diff=changed, files=files)


def review(scene: Scene, run_id: str, epoch: int, diff: str, files: Sequence[str]) -> str:
    """Finished work of a task's run, handed to a person."""
    added = sum(line.startswith("+") and not line.startswith("+++") for line in diff.split("\n"))
    removed = sum(line.startswith("-") and not line.startswith("---") for line in diff.split("\n"))
    work = ReviewedWork(
        base_commit="4c1e0b2" + "0" * 33,
        head_commit="e94d210c55" + "7" * 30,
        target_branch="main",
        commits=(
            Commit("7c1e0b2", "Round invoice lines before summing"),
            Commit("e94d210", "Test half-cent rounding"),
        ),
        commands=(
            CommandRun("python -m pytest -q tests/billing", 0, 8_400, "st_1"),
            CommandRun("ruff check billing", 0, 310, "st_2"),
        ),
        files=tuple(files),
    )
    facts = ReviewFacts(
        work,
        diff,
        added,
        removed,
        agent_says="Totals now match the ledger. All tests are green.",
        attempts=(Attempt("Rounding in the template", "2 failed", "totals were rounded twice"),),
        changes=tuple(ChangedFile(path, status="M") for path in files),
    )
    opened = scene.engine.reviews.open(RUNNER, FinishedWork(run_id, epoch, facts, Pause()))
    return str(opened["handoff_id"])


def _waiting(scene: Scene) -> None:
    """What the inbox shows: one of each risk, one held, two that a look is enough for."""
    run_id = session(scene, "claude-billing", "billing")
    for number, command in enumerate(("python -m pytest -q", "git log --oneline -5")):
        call(scene, run_id, f"b{number}", command)
    cases = scene.cases
    cases["low"] = call(
        scene, run_id, "low", "git push origin invoice-rounding", "Pushing so that CI can run."
    )
    cases["critical"] = call(
        scene,
        run_id,
        "force",
        "git push --force origin main",
        "History has a wrong commit; I will rewrite it.",
    )
    other = session(scene, "codex-web", "web")
    cases["medium"] = call(scene, other, "rm", "rm -r billing", "The folder is not used any more.")
    cases["stamp"] = call(scene, other, "push2", "git push origin checkout-copy")
    cases["high"] = call(
        scene, other, "alembic", "alembic upgrade head", "The new column is needed first."
    )
    scene.engine.handoffs.acknowledge(scene.people["noor"], cases["high"])


def git(path: Path, *args: str) -> str:
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.invalid"]
    done = subprocess.run(["git", *who, *args], cwd=path, check=True, capture_output=True)
    return done.stdout.decode()


def repository(path: Path) -> Path:
    """A small repository with a remote and a finished change, as an agent would find it."""
    for folder in ("billing", "tests"):
        (path / folder).mkdir(parents=True)
    for number in range(14):
        (path / "billing" / f"rule_{number}.py").write_text("RATE = 1\n")
    (path / "billing/invoice.py").write_text(INVOICE)
    (path / "tests/test_invoice.py").write_text(TESTS)
    git(path, "init", "-q", "-b", "main")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "Billing rules")
    for branch in ("invoice-rounding", "checkout-copy", "retry-budget", "rounding"):
        git(path, "branch", branch)
    git(path, "remote", "add", "origin", "ssh://git.example.invalid/shop.git")
    git(path, "switch", "-q", "rounding")
    (path / "billing/invoice.py").write_text(
        INVOICE.replace("import Decimal", "import ROUND_HALF_EVEN, Decimal")
        .replace("\n\nclass", '\nCENT = Decimal("0.01")\n\n\nclass', 1)
        .replace(*ROUNDED)
    )
    (path / "tests/test_invoice.py").write_text(TESTS + MORE_TESTS)
    git(path, "commit", "-q", "-a", "-m", "Round invoice lines before summing")
    git(path, "switch", "-q", "main")
    return path


INVOICE = """\
from decimal import Decimal


class Invoice:
    '''What a customer owes.'''

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def total(self) -> Decimal:
        '''The sum of all lines.'''
        return sum((line.amount for line in self.lines), Decimal(0))

    def lines_of(self, product: str) -> list[Line]:
        return [line for line in self.lines if line.product == product]
""".replace("'''", '"' * 3)
ROUNDED = (
    "        return sum((line.amount for line in self.lines), Decimal(0))\n",
    "        cents = (line.amount.quantize(CENT, ROUND_HALF_EVEN) for line in self.lines)\n"  # noqa: ISC004
    "        return sum(cents, Decimal(0))\n",
)
TESTS = """\
def test_lines_are_summed() -> None:
    assert invoice("1.10", "2.20").total() == Decimal("3.30")
"""
MORE_TESTS = """

def test_half_cents_round_to_even() -> None:
    assert invoice("0.005", "0.005").total() == Decimal("0.00")
    assert invoice("0.015").total() == Decimal("0.02")
"""
