"""Takes the pictures of the docs from a real server: `python -m scripts.pictures`.

Needs Chromium. Everything shown is what the product draws from a real repository and real calls.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from handfast.app import open_engine
from handfast.engine.clock import SystemClock
from handfast.server.serving import ServerThread
from handfast.testing.clock import FrozenClock
from scripts.gathered import gather, repository
from scripts.scene import PASSWORD, Scene, build

OUT = Path(__file__).parents[1] / "docs" / "pictures"


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = open_engine(home=folder / "home", url=f"sqlite:///{folder / 'p.db'}")
        scene = build(engine, folder)
        with ServerThread(engine) as server:
            _take(server.pages_url, scene)
        engine.close()
        clock = FrozenClock(SystemClock().now())
        engine = open_engine(f"sqlite:///{folder / 'c.db'}", folder / "other", clock)
        checkpoint = gather(engine, repository(folder / "gathered"), clock)
        with ServerThread(engine) as server, sync_playwright() as playwright:
            page = _browser(playwright).new_page(viewport={"width": 1280, "height": 800})
            _sign_in(page, server.pages_url)
            page.goto(f"{server.pages_url}/checkpoints/{checkpoint}")
            page.screenshot(path=OUT / "checkpoint.png")
        engine.close()


def _shown(scene: Scene) -> dict[str, str]:
    """File name → address. `case.png` is the one of the README."""
    cases = {
        f"case-{name}": f"/handoffs/{scene.cases[name]}"
        for name in ("low", "high", "critical", "review")
    }
    return {
        "inbox": "/",
        "case": cases["case-critical"],
        **cases,
        "receipt": f"/handoffs/{scene.cases['receipt']}",
        "runs": "/runs",
        "run": f"/runs/{scene.runs['earlier']}?at=8",
        "agents": "/agents",
        "agent": f"/agents/{scene.agents['claude-platform']}",
        "policy": f"/policy/explain?handoff={scene.cases['critical']}",
        "audit": "/audit",
    }


def _take(url: str, scene: Scene) -> None:
    with sync_playwright() as playwright:
        browser = _browser(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        _sign_in(page, url)
        for name, path in _shown(scene).items():
            page.goto(url + path)
            page.screenshot(path=OUT / f"{name}.png")
        dark = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        _sign_in(dark, url)
        for name, path in (("phone-inbox", "/"), ("phone-case", _shown(scene)["case"])):
            dark.goto(url + path)
            dark.screenshot(path=OUT / f"{name}.png")
        browser.close()


def _browser(playwright: Playwright) -> Browser:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    return playwright.chromium.launch(executable_path=chromium, args=flags)


def _sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/login")
    page.fill("input[name=name]", "ana")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"{url}/")


if __name__ == "__main__":
    main()
