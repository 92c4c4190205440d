"""The pages in a real browser: when something is first painted, how soon news shows, how heavy a page is.

Needs Chromium and playwright (`make .venv/.dev`), so it runs only when it is named: `make bench ARGS=pages`.
"""

import shutil
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.figures import Figure, Room, at_most
from handfast.app import open_engine
from handfast.server.serving import ServerThread

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

    from scripts.scene import Scene

FIRST_PAINT_MS, LIVE_MS, WEIGHT_KB, SERVER_MS = 500.0, 300.0, 200.0, 500.0
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
SHOWN = ("inbox", "case", "runs", "run", "agents", "audit")


def figures(room: Room) -> Iterator[Figure]:
    """One server on SQLite, one headless Chromium, on this machine."""
    from playwright.sync_api import sync_playwright

    from scripts.scene import build

    folder = room.new("pages")
    engine = open_engine(home=folder / "home", url=f"sqlite:///{folder / 'pages.db'}")
    scene = build(engine, folder)
    with ServerThread(engine) as server, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        url = server.pages_url
        _sign_in(page, url)
        rounds = 5 if room.quick else 20
        yield from _painted(page, url, scene, rounds)
        yield _live(page, url, scene, rounds)
        yield from _large(page, url, scene)
        browser.close()
    engine.close()


def _sign_in(page: "Page", url: str) -> None:
    from scripts.scene import PASSWORD

    page.goto(f"{url}/login")
    page.fill("input[name=name]", "ana")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"{url}/")


def _paths(scene: "Scene") -> dict[str, str]:
    case, run = scene.cases["critical"], scene.runs["earlier"]
    known = {"inbox": "/", "case": f"/handoffs/{case}", "run": f"/runs/{run}"}
    return {name: known.get(name, f"/{name}") for name in SHOWN}


def _painted(page: "Page", url: str, scene: "Scene", rounds: int) -> Iterator[Figure]:
    for name, path in _paths(scene).items():
        took = []
        for _ in range(rounds):
            page.goto(url + path)
            _until(page, f"{PAINTED} > 0")
            took.append(float(page.evaluate(PAINTED)))
        means = f"first contentful paint of the {name} page, median of {rounds} loads, nothing cached but what the server marks so"
        figure = Figure(f"first paint, {name}", statistics.median(took), "ms", means)
        yield at_most(figure, FIRST_PAINT_MS)
        weight = _weight(page, url + path) / 1024
        means = f"all bytes of the {name} page with style sheets and script, not compressed"
        yield at_most(Figure(f"weight, {name}", weight, "KB", means), WEIGHT_KB)


def _until(page: "Page", holds: str) -> None:
    """Asks again until it is true; the pages' content policy keeps the driver from waiting in the page."""
    while not page.evaluate(holds):
        time.sleep(0.002)


def _weight(page: "Page", address: str) -> int:
    """Bytes of the bodies that a browser without a cache is sent, apart from the stream of changes."""
    browser = page.context.browser
    assert browser is not None
    fresh = browser.new_context(storage_state=page.context.storage_state())
    opened = fresh.new_page()
    got: list[Response] = []
    opened.on("response", lambda each: got.append(each) if "/events" not in each.url else None)
    opened.goto(address, wait_until="load")
    total = sum(len(each.body()) for each in got)
    fresh.close()
    return total


def _live(page: "Page", url: str, scene: "Scene", rounds: int) -> Figure:
    """From before a call is proposed to the words on the page, by the clock of this process."""
    from scripts.scene import call, session

    page.goto(url)
    page.wait_for_selector("#live[data-state=on]")
    run_id = session(scene, "claude-platform", "live")
    took = []
    for number in range(rounds):
        start = time.perf_counter()
        call(scene, run_id, f"live{number}", f"git push origin live-{number}")
        _until(page, f"document.querySelector('#news').textContent.includes('{number + 1} new')")
        took.append((time.perf_counter() - start) * 1000)
    means = (
        f"from before a stopped call is proposed to its news on an open inbox, median of {rounds}"
    )
    return at_most(Figure("live delay", statistics.median(took), "ms", means), LIVE_MS)


def _large(page: "Page", url: str, scene: "Scene") -> Iterator[Figure]:
    """The server's part of a case with a change of 3,000 lines."""
    from tests.large_diff import reviewed

    case = reviewed(scene.engine, lines=3_000)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        answer = page.request.get(f"{url}/handoffs/{case}")
        took.append((time.perf_counter() - start) * 1000)
        assert answer.ok
    means = "a case with a change of 3,000 lines, request to last byte, without the browser's drawing; best of 5"
    yield at_most(Figure("change of 3,000 lines, server", min(took), "ms", means), SERVER_MS)
    page.goto(f"{url}/handoffs/{case}")
    _until(page, f"{PAINTED} > 0")
    means = "first contentful paint of that case"
    painted = float(page.evaluate(PAINTED))
    yield Figure("change of 3,000 lines, first paint", painted, "ms", means)
