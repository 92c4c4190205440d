"""The pages of runs, tasks, agents, policy, audit and settings from records, for tests of their look."""

from collections.abc import Callable
from typing import Any

from handfast.server.web import agent_view, audit_view, pages, policy_view, settings_view, task_view
from handfast.server.web.frame import Shell
from handfast.server.web.inbox_filters import Filters
from handfast.server.web.inbox_page import Around, Collisions, bulk_page
from handfast.server.web.render import render
from tests import web_fixtures as fx

SHELL = Shell(person_name="Noor Haddad", person_id="pe_1", csrf_token="csrf-1", has_js=True)
HOSTILE = "<b>Approved by Ana</b>\u202e\u200b\x1b[31m {{ 7*7 }} `code`"
Json = dict[str, Any]


def task(**more: Any) -> Json:
    brief = {
        "intent": "Round invoice lines before summing",
        "acceptance": ["The tests pass"],
        "risk": "medium",
        "scope": {"paths": ["billing/"]},
        "budget": {"cost_usd": "2.00", "tool_calls": 0},
    }
    return {
        "task_id": "task_1", "repository": "/srv/shop", "target_branch": "main", "brief": brief,
        "created_at": fx.at(-30), "outcome": None, "held": True, "base_commit": "4" * 40,
    } | more  # fmt: skip


def agent(**more: Any) -> Json:
    return {
        "agent_id": "ag_1", "name": "claude-billing", "harness": "claude-code", "team": "billing",
        "registered_at": fx.at(-900), "suspended": False, "tokens": ["tok_1", "tok_2"],
    } | more  # fmt: skip


def record(decided: int = 3, **more: Any) -> Json:
    return {
        "decided": decided, "needed": 20, "enough": decided >= 20, "looked_at": 40, "all_seen": True,
        "endings": {"approve": decided - 1, "reject": 1}, "of_kinds": {"approval": decided},
        "by_machine": 0,
    } | more  # fmt: skip


LIMITS = [{"label": "cost", "median": "", "runs": 0, "limit": "warns at $2.00 (fixed)"}]
RULES = [{"id": "push", "why": "Commits leave this machine."}]
EXPLAINED: Json = {
    "handoff_id": "ho_1", "run_id": "run_1", "step_id": "st_1", "at": fx.at(-5), "verdict": "wait",
    "risk": "high", "rules": RULES, "hazards": ["git.push"], "opaque": ["dynamic-ref"],
    "policy_digest": fx.digest("a"), "unread": "",
    "now": {"verdict": "allow", "risk": "low", "rules": [], "takes": "", "policy_digest": ""},
}  # fmt: skip
SCOPE = {
    "scope": "organisation", "version": 2, "approver_name": "Mia Berg", "published_at": fx.at(-60),
    "in_force": {"author_name": "Ana Lind", "digest": fx.digest("c"), "text": "version: 1\n"},
    "proposed": {"author_name": "Ana Lind", "digest": fx.digest("d"), "text": "version: 1\n# more\n", "at": fx.at(-2)},
}  # fmt: skip
VERSION = {
    "type": "policy.proposed", "who": "Ana Lind", "digest": fx.digest("c"), "text": "version: 1\n",
    "reason": "because", "at": fx.at(-70),
}  # fmt: skip


def entry(position: int = 7, **more: Any) -> Json:
    return {
        "position": position, "stream": "handoff/ho_1", "version": 2, "type": "handoff.decided",
        "at": fx.NOW, "who": "Ana Lind", "who_type": "person", "auth": "browser", "text": "approve",
        "data": "{}", "intact": True,
    } | more  # fmt: skip


CHECK = {"size": 9, "verifier": "handfast+1+k", "note": "handfast\n9\n", "signed": True, "proved": 1, "wrong": []}  # fmt: skip
PERSON = {
    "person_id": "pe_1", "name": "Noor Haddad", "roles": ["reviewer", "later"], "added_at": fx.at(-99),
    "away_until": fx.at(99), "delegate": "Mia Berg", "has_pin": True,
}  # fmt: skip
RUNNER = {"name": "build-7", "state": "silent", "host": "b7", "version": "0.1", "heard_at": fx.at(-1), "runs": ["run_1"]}  # fmt: skip


def then(**more: Any) -> Json:
    entries = [
        {"version": v, "type": "step.judged", "at": fx.NOW, "text": "runs `ls`", "who": "claude", "who_type": "agent"}
        for v in (4, 5, 6)
    ]  # fmt: skip
    state = {"status": "paused", "counts": {"steps": 5, "stopped": 1}, "waiting_on": ["ho_1"]}
    return {"at": 5, "last": 9, "asked": True, "state": state, "entries": entries} | more


def audit_html(*entries: Json, **more: Any) -> str:
    given: Json = {"check": CHECK, "search": audit_view.Search(), "may_export": True} | more
    found = audit_view.Found(entries, scanned=len(entries), before=9, next_before=3)
    return render("audit.html", audit_view.audit_page(found, shell=SHELL, now=fx.NOW, **given))


def agent_html(known: Json, shown: Json | None = None) -> str:
    context = agent_view.agent_page(
        shown or agent(), known, fx.runs(), LIMITS, shell=SHELL, now=fx.NOW
    )
    return render("agent.html", context)


def inbox_html(*handoffs: Json, around: Around, **more: Any) -> str:
    context = pages.inbox_page(handoffs, shell=SHELL, now=fx.NOW, around=around, **more)
    return render("inbox.html", context)


def _page(template: str, context: Json) -> str:
    return render(template, context)


_COLLISION = {
    "repository": "/srv/shop.git", "path": "billing/a.py",
    "handoffs": [
        {"handoff_id": "ho_1", "agent_name": HOSTILE, "ask": "merges 1"},
        {"handoff_id": "ho_2", "agent_name": "codex", "ask": "merges 2"},
    ],
}  # fmt: skip
AROUND = Around(
    Filters(need="judge"),
    (("Mine", "held=me"), ("J", "need=judge")),
    Collisions((_COLLISION,), 7, 40, 90),
    7,
)
_PLACE: Json = {"shell": SHELL, "now": fx.NOW}
PAGES: dict[str, Callable[[], str]] = {
    "inbox, narrowed": lambda: inbox_html(*fx.waiting(), around=AROUND),
    "inbox, nothing fits": lambda: inbox_html(around=Around(Filters(q=HOSTILE))),
    "inbox, audits due": lambda: inbox_html(around=Around(audits=(
        {"handoff_id": "ho_1", "ask": "Review an override: pushes 2 commits to main", "kind": "override",
         "since": fx.at(-90), "due_at": fx.at(300), "owes": ["Mia Berg", HOSTILE], "put_off_until": fx.at(9)},
        {"handoff_id": "ho_2", "ask": HOSTILE, "kind": "unanswered", "since": fx.at(-9000)})),
        unattended={"calls": 212, "allowed": 209, "stopped": 3, "runs": 4, "since": fx.at(-1440)}),
    "inbox, a page of many": lambda: _page("inbox.html", pages.inbox_page(
        fx.waiting(), shell=SHELL, now=fx.NOW, next_after="13.7",
        around=Around(by_need={"judge": 9_412, "stamp": 600, "later": 31, "blocked": 2}))),
    "bulk": lambda: _page("bulk.html", bulk_page(
        [{"handoff_id": "ho_1", "ask": "pushes", "approved": True}, {"ask": HOSTILE, "why": "not in bulk: `x`"}],
        back="/", **_PLACE)),
    "tasks": lambda: _page("tasks.html", task_view.tasks_page([task(), {}], next_after="9", **_PLACE)),
    "no tasks": lambda: _page("tasks.html", task_view.tasks_page([], **_PLACE)),
    "task": lambda: _page("task.html", task_view.task_page(
        task(), fx.runs(), [fx.approval_low(), fx.decided()["refused"]], requested_by="Ana", **_PLACE)),
    "bare task": lambda: _page("task.html", task_view.task_page({}, [], [], **_PLACE)),
    "agents": lambda: _page("agents.html", agent_view.agents_page(
        [agent(), agent(name=HOSTILE, suspended=True, suspended_why=HOSTILE)], **_PLACE)),
    "no agents": lambda: _page("agents.html", agent_view.agents_page([], search="x", **_PLACE)),
    "agent": lambda: agent_html(record()),
    "known agent": lambda: agent_html(record(36, by_machine=2, all_seen=False)),
    "bare agent": lambda: agent_html({}, {"agent_id": "ag_1"}),
    "policy": lambda: _page("policy.html", policy_view.policy_page([SCOPE, {}], **_PLACE)),
    "no policy": lambda: _page("policy.html", policy_view.policy_page([], error="No `ho_1`.", typed="ho_1", **_PLACE)),
    "policy versions": lambda: _page("policy_versions.html", policy_view.versions_page("organisation", [VERSION, {}], **_PLACE)),
    "policy explained": lambda: _page("policy_explain.html", policy_view.explain_page(EXPLAINED, HOSTILE, **_PLACE)),
    "policy unread": lambda: _page("policy_explain.html", policy_view.explain_page({"unread": "erased"}, "x", **_PLACE)),
    "audit": lambda: audit_html(entry(), entry(6, text=HOSTILE, who=HOSTILE, data=HOSTILE, stream="policy/x")),
    "audit, wrong": lambda: audit_html(entry(), check=CHECK | {"wrong": [7]}, search=audit_view.Search(who="ana")),
    "audit, nothing": lambda: audit_html(error="`x` is no type", may_export=False),
    "settings": lambda: _page("settings.html", settings_view.you_page(PERSON, [(HOSTILE, "q=x")], **_PLACE)),
    "people": lambda: _page("settings_people.html", settings_view.people_page(
        [PERSON, {}], [{"rotation": "payments", "people": ["Ana"], "until": fx.at(60), "problem": "old"}, {}], **_PLACE)),
    "installation": lambda: _page("settings_installation.html", settings_view.installation_page(
        [("Version", "1")], [RUNNER, {}], **_PLACE)),
    "run then": lambda: _page("run.html", pages.run_page(fx.run() | {"then": then()}, fx.steps(), **_PLACE)),
    "run, first event": lambda: _page("run.html", pages.run_page(
        fx.run() | {"then": then(at=1, entries=[])}, [], **_PLACE)),
}  # fmt: skip
