"""Asks of one piece of work, gathered into a checkpoint, for its picture: real calls on a real repository."""

from pathlib import Path

from handfast.core.domain.brief import Brief
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.core.domain.package import ReviewedWork
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
from handfast.testing.clock import FrozenClock
from scripts.scene import PASSWORD, git

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


def repository(path: Path) -> Path:
    """Fourteen rules, committed, with a remote."""
    (path / "billing").mkdir(parents=True)
    for number in range(14):
        (path / "billing" / f"rule_{number}.py").write_text("RATE = 1\n")
    git(path, "init", "-q", "-b", "main")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "Billing rules")
    git(path, "remote", "add", "origin", "ssh://git.example.invalid/shop.git")
    return path


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
