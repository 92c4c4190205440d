"""Every page renders from bare records, says what it must, and keeps hostile text inert."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import UndefinedError

from handfast.core.policy import builtin
from handfast.server.web import checkpoint_pages, pages, wording
from handfast.server.web.inbox_page import Around
from handfast.server.web.inbox_view import grouped
from handfast.server.web.pages import Shell
from handfast.server.web.render import environment, render
from tests import checkpoint_fixtures as cp
from tests import web_fixtures as fx
from tests import web_places

SHELL = Shell(person_name="Noor Haddad", csrf_token="csrf-1", has_js=True, waiting=3)
GUEST = Shell(csrf_token="csrf-1")


def case_html(handoff: Mapping[str, Any], **more: Any) -> str:
    return render("case.html", pages.case_page(handoff, shell=SHELL, now=fx.NOW, **more))


def inbox_html(*handoffs: Mapping[str, Any], **more: Any) -> str:
    return render("inbox.html", pages.inbox_page(handoffs, shell=SHELL, now=fx.NOW, **more))


def run_html(**more: Any) -> str:
    page = pages.run_page(fx.run(), fx.steps(), shell=SHELL, now=fx.NOW, **more)
    return render("run.html", page)


def checkpoint_html(found: Mapping[str, Any]) -> str:
    page = checkpoint_pages.checkpoint_page(found, shell=SHELL, now=fx.NOW)
    return render("checkpoint.html", page)


def checkpoints_html(opened: list[fx.Json], deferred: list[fx.Json]) -> str:
    page = checkpoint_pages.checkpoints_page(
        opened, deferred, shell=SHELL, now=fx.NOW, told_today=1
    )
    return render("checkpoints.html", page)


# Forms that only ask: whatever they send, nothing is changed by it.
ASKING = ("/", "/agents", "/audit", "/policy/explain")
PAGES: dict[str, Callable[[], str]] = {
    "inbox": lambda: inbox_html(*fx.waiting(), decided=fx.decided().values()),
    "inbox, empty": lambda: inbox_html(unattended={"calls": 212, "stopped": 3, "since": fx.at(-90)}),
    "inbox, first day": inbox_html,
    "low": lambda: case_html(fx.approval_low(), next_id="ho_2"),
    "high": lambda: case_html(fx.approval_high(), error="Write the reason.", typed={"reason": "r"}),
    "critical": lambda: case_html(fx.approval_critical(), run=fx.run()),
    "review": lambda: case_html(fx.review()),
    "doubt": lambda: case_html(fx.doubt()),
    "question": lambda: case_html(fx.question()),
    "escalation": lambda: case_html(fx.escalation()),
    "hostile": lambda: case_html(fx.hostile()),
    "hostile inbox": lambda: inbox_html(fx.hostile(), decided=[fx.hostile()]),
    "bare": lambda: case_html({}),
    "bare inbox": lambda: inbox_html({}, decided=[{}]),
    "bare run": lambda: render("run.html", pages.run_page({}, [{}], shell=SHELL, now=fx.NOW)),
    "run": lambda: run_html(
        handoffs=[fx.approval_low(), fx.decided()["refused"]],
        coverage={"gaps": [{"kind": "hook-paused"}, {"kind": "later-kind", "detail": "d"}]},
        after="1", next_after="2",
    ),
    "checkpoint": lambda: checkpoint_html(cp.checkpoint()),
    "bare checkpoint": lambda: checkpoint_html({"items": [{}]}),
    "checkpoints": lambda: checkpoints_html(cp.opened(), cp.deferred()),
    "bare checkpoints": lambda: checkpoints_html([{}], [{}]),
    "no checkpoints": lambda: checkpoints_html([], []),
    "runs": lambda: render("runs.html", pages.runs_page(fx.runs(), shell=SHELL, now=fx.NOW, next_after="2")),
    "no runs": lambda: render("runs.html", pages.runs_page([], shell=SHELL, now=fx.NOW)),
    **web_places.PAGES,
    "login": lambda: render("login.html", pages.login_page(shell=GUEST, now=fx.NOW, error="Wrong.")),
    "setup": lambda: render("setup.html", pages.setup_page(shell=GUEST, now=fx.NOW, setup_token="t")),
    "message": lambda: render(
        "message.html",
        pages.message_page("Gone", "No handoff `ho_1`.", shell=GUEST, now=fx.NOW, hint="h", code="c"),
    ),
    "state": lambda: render(
        "_state.html", pages.state_fragment(fx.decided()["approve"], shell=SHELL, now=fx.NOW)
    ),
    **{
        f"ended: {name}": partial(case_html, handoff)
        for name, handoff in fx.decided().items()
    },
}  # fmt: skip


class _Reader(HTMLParser):
    """Collects tags with their attributes, ids, and checks that tags close in order."""

    VOID = frozenset({"meta", "link", "input", "br", "rect", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


def words(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(read(html).text))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_sound_and_keeps_the_content_policy(name: str) -> None:
    reader = read(PAGES[name]())
    assert reader.open == []
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in reader.tags:
        assert "style" not in attrs
        assert not [key for key in attrs if key.startswith(("on", "hx-on"))]
        assert tag not in ("style", "base", "iframe", "object")
        if tag == "script":
            assert attrs == {"src": "/static/dist/app.js", "type": "module"}
        for key in ("href", "src", "action"):
            assert (attrs.get(key) or "/").startswith(("/", "#")), attrs
        if tag in ("textarea", "input") and attrs.get("type") != "hidden":
            labels = [a.get("for") for t, a in reader.tags if t == "label"]
            assert attrs["id"] in labels
        if tag == "form":
            assert attrs["method"] == "post" or attrs["action"] in ASKING


@pytest.mark.parametrize("name", PAGES)
def test_every_form_carries_the_token_against_forged_requests(name: str) -> None:
    html = PAGES[name]()
    changing = html.count("<form") - html.count('method="get"')
    assert changing == html.count('name="csrf_token" value="csrf-1"')


def test_without_the_script_nothing_loads_and_no_key_is_promised() -> None:
    page = pages.case_page(fx.approval_low(), shell=Shell(person_name="N"), now=fx.NOW)
    html = render("case.html", page)
    assert "<script" not in html
    assert "hx-" not in html
    assert "<kbd" not in html


def test_a_missing_name_is_an_error_and_not_an_empty_place() -> None:
    with pytest.raises(UndefinedError):
        render("message.html", {"shell": GUEST, "now": fx.NOW})


def test_no_template_marks_text_as_safe() -> None:
    env = environment()
    assert env.loader is not None
    for name in env.list_templates(extensions=["html"]):
        source = env.loader.get_source(env, name)[0]
        assert "|safe" not in source.replace(" ", "")
        assert "autoescape" not in source


# What an agent writes


@pytest.mark.parametrize("name", ["hostile", "hostile inbox"])
def test_hostile_text_is_shown_and_stays_text(name: str) -> None:
    html = PAGES[name]()
    shown = words(html)
    assert "alert(1)" in shown
    assert "\u2039U+202E\u203a" in shown
    assert not [char for char in html if char in "\x1b\u202e\u202c\u200b\u2066\u2069\r"]
    assert "49" not in shown.replace("{{ 7*7 }}", "")
    assert "img" not in [tag for tag, _ in read(html).tags]
    html.encode()


def test_a_forged_banner_does_not_become_one() -> None:
    html = case_html(fx.hostile())
    assert 'id="receipt-h"' not in html
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html, re.DOTALL)
    assert not [heading for heading in headings if "Noor Haddad" in heading]


def test_a_huge_text_is_cut_and_the_page_stays_small() -> None:
    html = case_html(fx.hostile())
    assert len(html) < 60_000
    assert re.search(r"cut: 8,000 of 1,000,\d{3} characters shown", html)


def test_the_agents_words_are_marked_as_its_words() -> None:
    html = case_html(fx.approval_low())
    before, _, after = html.partition("Rounding is fixed and tests are green")
    assert "The agent says" in before[before.rindex("<section") :]
    assert "Not checked" in before[before.rindex("<section") :]
    assert after


def test_what_the_agent_states_is_marked_as_its_words_and_never_as_recorded() -> None:
    html = case_html(fx.review())
    _, _, after = html.partition("What the agent states</h2>")
    stated = after.partition("</ul>")[0] + "</ul>"
    shown = words(stated)
    assert "Its own words and numbers" in shown
    assert "(says 0.9)" in shown
    assert "names a recorded call, it ended with exit code 0" in shown
    assert shown.count("unverified") == 2
    assert 'class="recorded"' not in stated


def test_letters_that_imitate_others_are_named() -> None:
    case = fx.approval_low()
    case["package"]["what_will_happen"]["text"] = "git push \u043erigin main"
    assert "\u043e is U+043E" in words(case_html(case))


def test_a_command_with_hidden_characters_is_not_offered_for_copying() -> None:
    html = case_html(fx.hostile())
    area = html[html.index('id="edited_command"') :].partition("</textarea>")[0]
    assert "alert" not in area
    assert "cannot be shown" in words(html)


def test_a_command_to_edit_comes_back_unchanged() -> None:
    case = fx.approval_low()
    case["package"]["what_will_happen"]["text"] = "\n  echo '<&>'\n"
    html = case_html(case)
    area = re.search(r'id="edited_command".*?>\n(.*?)</textarea>', html, re.DOTALL)
    assert area is not None
    assert area.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&#39;", "'") == "\n  echo '<&>'\n"  # fmt: skip


# What the reviewer must see


def test_the_first_screen_holds_the_five_things_in_their_order() -> None:
    shown = words(case_html(fx.approval_critical()))
    order = [
        "deploys image payments:7f3a91c to production",
        "kubectl", "Changes a running environment", "Cluster context prod-eu", "No undo",
        "Deploys wait for a person", "make integration: exit 0", "unverified",
        "without a canary?", "To approve, type",
    ]  # fmt: skip
    places = [shown.index(part, shown.index("Skip to")) for part in order]
    assert places == sorted(places)


def test_what_could_not_be_read_and_seen_is_said() -> None:
    shown = words(case_html(fx.approval_critical()))
    assert "An argument is worked out while it runs." in shown
    assert "not all of it could be read" in shown
    assert "Calls made before the hook was installed: 3" in shown
    assert "Filter, not containment" in shown


def test_a_case_and_a_run_say_what_holds_the_agent() -> None:
    told = "contained: worktree writable, rest read-only, network: 127.0.0.1 hook + api.example:443"
    held = {**fx.run(), "containment": told}
    case = words(case_html(fx.approval_high(), run=held))
    assert (
        "The agent runs in a sandbox: effects outside its worktree need Handfast. C" + told[1:]
        in case
    )
    assert told in words(render("run.html", pages.run_page(held, (), shell=SHELL, now=fx.NOW)))
    why = "not contained: bubblewrap (`bwrap`) is not on PATH\u202e<b>"
    case = words(case_html(fx.approval_high(), run={**fx.run(), "containment": why}))
    assert "Filter, not containment" in case
    assert "Not contained: bubblewrap (`bwrap`) is not on PATH" in case
    assert "U+202E" in case


def test_risk_is_a_word_and_never_only_a_colour() -> None:
    for case in fx.waiting():
        assert f"{case['risk'].capitalize()} risk" in words(case_html(case))


def test_a_review_names_commit_branch_criteria_and_results() -> None:
    html = case_html(fx.review())
    shown = words(html)
    assert "Merges exactly commit 7c1e0b2f9a4d into main. Later commits are not covered." in shown
    assert "1 failed" in shown
    assert shown.count("Existing invoices keep their totals unverified") == 1
    assert 'id="file-1"' in html
    assert "billing/invoice.py" in shown


def test_a_doubt_says_what_may_have_run_and_how_to_check() -> None:
    html = case_html(fx.doubt())
    shown = words(html)
    assert "What may have run" in shown
    assert "13:56 UTC ( 9 min ago )" in shown
    assert "It ran when the answer is 0043." in shown
    assert 'value="answer:it_ran"' in html
    assert 'value="answer:it_did_not_run"' in html
    assert 'value="approve"' not in html


def test_endings_are_told_apart() -> None:
    titles = {}
    for name, handoff in fx.decided().items():
        html = case_html(handoff)
        found = re.search(r'id="receipt-h">(.*?)</h2>\s*<p class="question">(.*?)</p>', html, re.DOTALL)  # fmt: skip
        assert found is not None, name
        titles[name] = (words(found.group(1)), words(found.group(2)))
        assert "<textarea" not in html
    assert len(set(titles.values())) == len(titles)
    assert "That is not an approval" in titles["expired"][1]
    assert titles["blocked_by_policy"][0].endswith("Blocked by policy")
    assert titles["refused"][0].endswith("Refused by Noor Haddad")
    assert titles["auto_proceed"][0].endswith("Approved by a machine")
    assert "may have run" in titles["approve/unknown"][1]
    assert "Handfast did not run it" in titles["approve"][1]


def test_a_receipt_shows_the_edited_command_that_ran() -> None:
    shown = words(case_html(fx.decided()["approve_with_edits"]))
    assert "Ran git rm -r billing/legacy" in shown
    assert "1 (failed)" in shown


def test_paused_hooks_are_said_on_every_page() -> None:
    shell = Shell(
        person_name="N", hooks_pause={"until": fx.at(10), "by_name": "Ada", "reason": "x"}
    )
    html = render("runs.html", pages.runs_page([], shell=shell, now=fx.NOW))
    assert "Hooks are paused until 14:15 UTC by Ada: x." in words(html)


def test_every_hazard_of_the_policy_has_words() -> None:
    known = {hazard for rule in builtin.RULES for hazard in rule.hazards}
    assert not [hazard for hazard in known if hazard in wording.hazard_sentence(hazard)]


def test_an_unknown_hazard_is_named_and_never_hidden() -> None:
    case = fx.approval_low()
    case["package"]["what_will_happen"]["hazards"] = ["fs.later"]
    assert "Hazard fs.later ." in words(case_html(case))


def test_a_review_points_at_what_needs_a_look_first() -> None:
    case = fx.review()
    case["package"]["review"]["powerful"] = [f".github/workflows/{i}.yml" for i in range(7)]
    shown = words(case_html(case))
    assert "run or steer something by themselves: .github/workflows/0.yml" in shown
    assert "and 2 more." in shown


# The queue


def test_the_queue_is_grouped_by_need_and_sorted_without_chance() -> None:
    expected = [
        ("judge", ["C1", "H1", "D1", "E1", "R1", "Q1"]),
        ("stamp", ["L1"]),
    ]
    for queue in (fx.waiting(), fx.waiting()[::-1]):
        groups = grouped(queue, fx.NOW)
        assert [(g.need, [row.handoff_id[-2:] for row in g.rows]) for g in groups] == expected


def test_each_case_says_why_it_is_in_its_group() -> None:
    why = "it may have no undo"
    assert why in words(inbox_html(fx.approval_low() | {"need": "judge", "need_why": why}))
    html = inbox_html(fx.review() | {"need": "judge", "need_why": "review"})
    assert "<span>review</span>" not in html, "the row says what kind it is"
    shown = inbox_html(fx.approval_low() | {"need": "unheard of"})
    assert 'id="need-judge"' in shown, "what is not known is judged"


def test_an_empty_inbox_shows_what_ran_unattended() -> None:
    shown = words(PAGES["inbox, empty"]())
    assert "Nothing waits for you" in shown
    assert "calls seen 212" in shown


def test_an_empty_inbox_says_which_audits_are_due() -> None:
    due = {
        "handoff_id": "ho_1", "ask": "Review an override: pushes <b>", "kind": "override",
        "since": fx.at(-90), "due_at": fx.at(30), "owes": ["Mia Berg", "Noor"], "put_off_until": fx.at(9),
    }  # fmt: skip
    html = inbox_html(around=Around(audits=(due, {"ask": "May or may not", "kind": "unanswered"})))
    assert 'href="/handoffs/ho_1"' in html
    shown = words(html)
    assert "Audits due 2" in shown
    assert "review of an override asked 1 h" in shown
    assert "owed by Mia Berg, Noor" in shown
    assert "nobody answered in time" in shown
    assert "No audit is due." in words(inbox_html(around=Around(audits=())))
    assert "audit" not in words(inbox_html()).lower().replace("audit settings", "")


def test_what_is_on_other_pages_is_said_with_its_need() -> None:
    around = Around(by_need={"judge": 9_412, "stamp": 600, "blocked": 2})
    html = inbox_html(fx.approval_high(), around=around, next_after="3.9")
    shown = words(html)
    assert "Judge 1 of 9,412" in shown
    assert "On other pages: Stamp 600 Blocked 2" in shown
    assert 'href="/?need=stamp"' in html
    assert "On other pages" not in words(inbox_html(fx.approval_high(), around=around))


def test_a_passed_deadline_is_said() -> None:
    assert "deadline passed 3 min ago" in words(inbox_html(fx.escalation()))
