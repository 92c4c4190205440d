"""Takes the pictures of the docs from a real server: `python -m scripts.pictures`.

Needs Chromium. Everything shown is what the product draws from a real repository and real calls.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import sync_playwright

from handfast.app import open_engine
from handfast.core.domain.brief import Brief
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.core.domain.package import ReviewedWork
from handfast.engine.actions import StepResult
from handfast.engine.clock import SystemClock
from handfast.engine.deferring import recent
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.packages import ReviewFacts
from handfast.engine.people import NewPerson
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause, Session
from handfast.engine.tasks import NewTask
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from handfast.server.serving import ServerThread
from handfast.testing.clock import FrozenClock

OUT = Path(__file__).parents[1] / "docs" / "pictures"
CALLS = (
    "python -m pytest -q",
    "git push --force origin main",
    "rm -r billing",
    "npm publish --access public",
    "alembic upgrade head",
)
BUDGET = "version: 1\ninterruptions: {cost: 20, planned: [release]}\n"
# seconds after the one before, and the call; a question ends in ?, '' is finished work
GATHERED = (
    (0, "Should the old rule names stay for one more release?"),
    (600, "rm billing/rule_7.py billing/rule_8.py"),
    (300, "mv billing/rule_9.py /srv/archive/"),
    (420, "rm -r billing/rule_11.py"),
    (600, "alembic upgrade head"),
    (540, ""),
    (300, "git push origin main"),
)
DIFF = """\
diff --git a/billing/rule_3.py b/billing/rule_3.py
--- a/billing/rule_3.py
+++ b/billing/rule_3.py
@@ -1 +1,2 @@
-RATE = 1
+RATE = Decimal("0.19")
+ROUND = "per line"
"""
PASSWORD = "pictures only"  # noqa: S105 - an account that lives as long as this script


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = open_engine(home=folder / "home", url=f"sqlite:///{folder / 'p.db'}")
        repository = _repository(folder / "shop")
        case = _prepare(engine, repository)
        with ServerThread(engine) as server:
            _take(server.url, {"inbox": "/", "case": f"/handoffs/{case}"})
        engine.close()
        clock = FrozenClock(SystemClock().now())
        engine = open_engine(f"sqlite:///{folder / 'c.db'}", folder / "other", clock)
        checkpoint = gather(engine, repository, clock)
        with ServerThread(engine) as server:
            _take(server.url, {"checkpoint": f"/checkpoints/{checkpoint}"})
        engine.close()


def _repository(path: Path) -> Path:
    """A small repository with a remote, as an agent would find it."""

    def git(*args: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=Ana", "-c", "user.email=ana@example.invalid", *args],
            cwd=path,
            check=True,
            capture_output=True,
        )

    (path / "billing").mkdir(parents=True)
    for number in range(14):
        (path / "billing" / f"rule_{number}.py").write_text("RATE = 1\n")
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "Billing rules")
    git("remote", "add", "origin", "ssh://git.example.invalid/shop.git")
    return path


def _prepare(engine: Engine, repository: Path) -> str:
    """A person, an agent's session and its calls; the id of the case for the picture."""
    new = NewPerson("Ana Lind", "ana", PASSWORD, "271828")
    engine.people.set_up(engine.people.invite(), new)
    operator, runner = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")
    agent = str(engine.agents.add(operator, "claude-code@laptop", "claude-code")["agent_id"])
    session = Session(
        agent, "claude-code", "picture", "/srv/shop", Mode.ENFORCE, repository="/srv/shop"
    )
    run = str(engine.runs.session(runner, session)["run_id"])
    scope = Scope(worktree=repository, cwd=repository, control_paths=(), protected_ports=())
    case = ""
    for number, command in enumerate(CALLS):
        call, facts = read_call("Bash", {"command": command}, scope)
        says = "I will publish the fix." if "push" in command else ""
        proposal = Proposal(run, f"call-{number}", call, facts, agent_says=says)
        result = engine.actions.propose(runner, proposal)
        if result["verdict"] == "allow":
            done = StepResult(run, f"call-{number}", 0, duration_ms=840, output="12 passed")
            engine.actions.record_result(runner, done)
        if command.startswith("git push"):
            case = str(result["handoff_id"])
    return case


def gather(engine: Engine, repository: Path, clock: FrozenClock) -> str:
    """Asks of one piece of work that were gathered for three quarters of an hour; the checkpoint's id."""
    new = NewPerson("Ana Lind", "ana", PASSWORD, "271828")
    person = engine.people.set_up(engine.people.invite(), new)
    ana = Actor("person", str(person["person_id"]), "browser")
    engine.policies.propose(ana, "organisation", BUDGET)
    operator, runner = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")
    agent = str(engine.agents.add(operator, "claude-code@laptop", "claude-code")["agent_id"])
    session = Session(
        agent, "claude-code", "picture", "/srv/shop", Mode.ENFORCE, repository="/srv/shop"
    )
    run = str(engine.runs.session(runner, session)["run_id"])
    scope = Scope(worktree=repository, cwd=repository, control_paths=(), protected_ports=())
    for number, (after_s, command) in enumerate(GATHERED):
        clock.move(after_s)
        if command.endswith("?"):
            engine.reviews.ask(runner, run, command, blocking=False)
        elif command:
            call, facts = read_call("Bash", {"command": command}, scope)
            engine.actions.propose(runner, Proposal(run, f"call-{number}", call, facts))
        else:
            _finished(engine, agent)
    engine.sweep()
    clock.move(90)
    return recent(engine.kernel)[0].checkpoint_id


def _finished(engine: Engine, agent: str) -> None:
    """A run of another agent hands in its work."""
    operator, runner = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")
    brief = Brief("Round VAT per line", ("Totals equal the sum of their lines",))
    task = engine.tasks.create(operator, NewTask(brief, "/srv/shop", "main", "0" * 40))
    new = NewRun(str(task["task_id"]), agent, "claude-code", ("claude",))
    engine.runs.create(operator, new)
    leased = engine.runs.lease(runner, "runner-1", "host")
    if leased is None:
        raise SystemExit("the run was not leased")
    work = ReviewedWork("4be1" * 10, "9d04" * 10, "main", files=("billing/rule_3.py",))
    facts = ReviewFacts(work, DIFF, 2, 1)
    engine.reviews.open(runner, FinishedWork(leased.run_id, leased.epoch, facts, Pause()))


def _take(url: str, pages: Mapping[str, str]) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{url}/login")
        page.fill("input[name=name]", "ana")
        page.fill("input[name=password]", PASSWORD)
        page.click("main button")
        page.wait_for_url(f"{url}/")
        for name, path in pages.items():
            page.goto(f"{url}{path}")
            page.screenshot(path=OUT / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
