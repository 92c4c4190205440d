"""The pages in a real browser: no accessibility violation, nothing wider than the screen, what must be
on the first screen is on it, and the content policy holds."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import pytest

from handfast.server.web import checkpoint_pages, pages
from handfast.server.web.frame import PLACES as PLACES_OF_THE_HEAD
from handfast.server.web.notifications_view import notifications_page
from handfast.server.web.render import CONTENT_SECURITY_POLICY, render
from tests import checkpoint_fixtures as cp
from tests import web_fixtures as fx
from tests import web_hostile, web_places
from tests.conftest import page_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser
SHELL = pages.Shell(
    person_name="Noor Haddad", csrf_token="t", waiting=1_234, checkpoints=True, has_js=True
)
SITE = "http://handfast.invalid"
CASES: dict[str, Callable[[], fx.Json]] = {
    "low": fx.approval_low, "high": fx.approval_high, "critical": fx.approval_critical, "review": fx.review,
    "doubt": fx.doubt, "question": fx.question, "escalation": fx.escalation, "hostile": fx.hostile,
    "script": fx.script_changed,
    "receipt": lambda: fx.decided()["approve_with_edits"], "expired": lambda: fx.decided()["expired"],
}  # fmt: skip
PLACES = {
    name.replace(", ", "-").replace(" ", "-"): name
    for name in web_places.PAGES
    if not name.startswith(("bare", "no ", "known", "policy unread", "audit, nothing"))
}
# The pages that no fixture of their own shows, with the text of the tests that write into every field.
FORMS = ("account", "changes", "login", "message", "task-form")
WIDER = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def shared(browser: "Browser") -> "Iterator[tuple[Page, list[str]]]":
    with page_of(browser) as made:
        made[0].route("**/*", _serve)
        yield made


@pytest.fixture
def page(shared: "tuple[Page, list[str]]") -> "Iterator[Page]":
    """One for the module: what is looked at here keeps nothing in the browser."""
    opened, wrong = shared
    wrong.clear()
    opened.emulate_media(color_scheme="light", reduced_motion="reduce")
    opened.set_viewport_size({"width": 1280, "height": 800})
    yield opened
    assert wrong == []


def _html(name: str) -> str:
    if name in PLACES:
        return web_places.PAGES[PLACES[name]]()
    if name in FORMS:
        return web_hostile.PAGES[name.replace("-", " ")].html(web_hostile.harmless)
    return _of_fixtures(name)


def _of_fixtures(name: str) -> str:
    now = fx.NOW
    if name in CASES:
        return render("case.html", pages.case_page(CASES[name](), shell=SHELL, now=now))
    match name:
        case "inbox":
            page = pages.inbox_page(
                fx.waiting(), shell=SHELL, now=now, decided=fx.decided().values()
            )
            return render("inbox.html", page)
        case "notifications":
            said = {"code": "x" * 43, "error": "`address` is not an e-mail address"}
            told = notifications_page(
                fx.notifications(), fx.notices(), shell=SHELL, now=now, said=said
            )
            return render("notifications.html", told)
        case "told":
            case = fx.approval_high() | {"notices": fx.notices()}
            return render("case.html", pages.case_page(case, shell=SHELL, now=now))
        case "run":
            return render("run.html", pages.run_page(fx.run(), fx.steps(), shell=SHELL, now=now))
        case "runs":
            return render("runs.html", pages.runs_page(fx.runs(), shell=SHELL, now=now))
        case "checkpoint":
            given = checkpoint_pages.checkpoint_page(cp.checkpoint(), shell=SHELL, now=now)
            return render("checkpoint.html", given)
        case "checkpoints":
            given = checkpoint_pages.checkpoints_page(
                cp.opened(), cp.deferred(), shell=SHELL, now=now, told_today=2
            )
            return render("checkpoints.html", given)
        case _:
            return render("setup.html", pages.setup_page(shell=SHELL, now=now, setup_token="t"))


def _serve(route: "Route") -> None:
    path = unquote(route.request.url.removeprefix(f"{SITE}/"))
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    if path.startswith("static/dist/"):  # what the script does is looked at elsewhere
        route.fulfill(body="", content_type="text/javascript")
    elif path.startswith("static/"):
        kind = "text/css" if path.endswith(".css") else "image/svg+xml"
        body = files("handfast.server.web").joinpath(path).read_text()
        route.fulfill(body=body, content_type=kind)
    else:
        route.fulfill(body=_html(path), content_type="text/html; charset=utf-8", headers=headers)


OTHERS = ["inbox", "run", "runs", "checkpoint", "checkpoints", "setup", "notifications", "told"]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Each page in both schemes and at both widths: every other one is dark where the one before it is light.
LOOKS = [
    (name, SCHEMES[:: (1, -1)[at % 2]])
    for at, name in enumerate([*CASES, *OTHERS, *FORMS, *PLACES])
]


@pytest.mark.parametrize(("name", "schemes"), LOOKS, ids=[name for name, _ in LOOKS])
def test_accessible_and_within_the_screen(
    page: "Page", name: str, schemes: tuple[Literal["light", "dark"], ...]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.goto(f"{SITE}/{name}")
    if name in PLACES:
        page.evaluate(
            "document.querySelectorAll('details').forEach((each) => { each.open = true })"
        )
    for scheme, width in zip(schemes, (1280, 360), strict=True):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(WIDER) <= 0
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_every_page_is_looked_at() -> None:
    """But the parts of pages, and what is the inbox or a run once more."""
    seen = {"case.html"} | {f"{name}.html" for name in (*OTHERS, *FORMS)}
    seen |= {page.template for name, page in web_hostile.PAGES.items() if name in PLACES.values()}
    templates = {page.template for page in web_hostile.PAGES.values()} - {"_state.html"}
    assert {t.replace("_", "-") for t in templates} <= {t.replace("_", "-") for t in seen}


@pytest.mark.parametrize(
    "name", ["low", "high", "critical", "review", "doubt", "question", "escalation"]
)
def test_the_first_screen_holds_what_a_decision_needs(page: "Page", name: str) -> None:
    page.goto(f"{SITE}/{name}")
    for part in (".first", "#decision"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800


REACHED = """[...document.querySelectorAll('header.top a')].map((a) => {
  const at = a.getBoundingClientRect()
  const seen = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2)
  return [a.textContent.trim(), at.x >= 0 && at.right <= innerWidth && a.contains(seen)]
}).filter(([, whole]) => !whole)"""


def test_every_place_is_one_tap_away_at_every_width(page: "Page") -> None:
    page.goto(f"{SITE}/inbox")
    assert page.locator("nav[aria-label=Main] a").count() == len(PLACES_OF_THE_HEAD)
    for width in (320, 360, 390, 641, 800, 961, 1101, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(REACHED) == [], width


def test_a_decision_needs_neither_script_nor_pointer(page: "Page") -> None:
    page.goto(f"{SITE}/critical")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.name || document.activeElement.id"))
    assert [name for name in seen if name in ("reason", "typed_target", "kind")][:3] == [
        "reason", "typed_target", "kind",
    ]  # fmt: skip
