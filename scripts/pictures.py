"""Takes the pictures of the docs from a real server: `python -m scripts.pictures`.

Needs Chromium. Everything shown is what the product draws from a real repository and real calls.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from handfast.app import open_engine
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.engine.actions import StepResult
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.people import NewPerson
from handfast.engine.runs import Session
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from handfast.server.serving import ServerThread

OUT = Path(__file__).parents[1] / "docs" / "pictures"
CALLS = (
    "python -m pytest -q",
    "git push --force origin main",
    "rm -r billing",
    "npm publish --access public",
    "alembic upgrade head",
)
PASSWORD = "pictures only"  # noqa: S105 - an account that lives as long as this script


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = open_engine(home=folder / "home", url=f"sqlite:///{folder / 'p.db'}")
        case = _prepare(engine, _repository(folder / "shop"))
        with ServerThread(engine) as server:
            _take(server.url, case)
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


def _take(url: str, case: str) -> None:
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
        page.screenshot(path=OUT / "inbox.png")
        page.goto(f"{url}/handoffs/{case}")
        page.screenshot(path=OUT / "case.png")
        browser.close()


if __name__ == "__main__":
    main()
