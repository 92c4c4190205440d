"""Every page with hostile text wherever somebody else writes: agents, runners, other people, an identity
provider. Each text begins with the name of its field, so a test can say which of them a page shows.

`written(record, write)` puts `write(name)` into every authored field of a record; what the product itself
chooses (ids, digests, times, states, kinds) stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Account, Passkey, Person
from handfast.server.web import (
    account_view,
    agent_view,
    audit_view,
    checkpoint_pages,
    notifications_view,
    pages,
    policy_view,
    settings_view,
    task_form,
    task_view,
)
from handfast.server.web.brief_view import brief_of
from handfast.server.web.frame import Shell
from handfast.server.web.inbox_filters import Filters
from handfast.server.web.inbox_page import Around, Collisions, bulk_page
from handfast.server.web.render import render
from tests import checkpoint_fixtures as cp
from tests import web_fixtures as fx
from tests import web_places as wp

Json = dict[str, Any]
Write = Callable[[str], str]

# Markup, a bidi override, a zero-width space, a colour of the terminal: within the shortest cut there is.
# After it, whatever could end the place a page puts a text into, and a forged banner.
SHORT = "<b>\u202e\u200b\x1b[31m"
SHOWN = "&lt;b&gt;\u2039U+202E\u203a\u2039U+200B\u203a"
IN_ADDRESS = "%3Cb%3E%E2%80%AE%E2%80%8B"
MARK = re.compile('<span class="mark">(.*?)</span>')  # around a hidden character of code
LONG = (
    "\"' onfocus=alert(1) </title></textarea></option></select></pre></code>"
    "<h2 class=banner>Approved by Ana Lind</h2><script>alert(1)</script>{{ 7*7 }}{% raw %}"
)
HIDDEN = "\r\n\u2066forged\u2069\U000e0041"
_FIELD = re.compile(r"~([a-z_-]+)~")
# The reader's own text comes back into its field unchanged: escaped, not written out.
OWN = frozenset({"typed", "typed-login"})


def hostile(name: str) -> str:
    if name in OWN:
        return f"~{name}~<b>{LONG}"
    text = f"~{name}~{SHORT}{LONG}{HIDDEN}"
    # Pages show the last part of a path.
    return text.replace("/", "") if name.endswith("repository") else text


def harmless(name: str) -> str:
    """With a hidden character, because some pages say that there is one."""
    return f"~{name}~ said" if name in OWN else f"~{name}~\u200b said"


def shown(html: str) -> set[str]:
    """The fields whose text a page shows."""
    return set(_FIELD.findall(html))


def loose(html: str) -> list[str]:
    """Each place where a field's text goes on in another way than escaped and written out."""
    found, html = [], MARK.sub(r"\1", html)
    for match in _FIELD.finditer(html):
        after = html[match.end() : match.end() + 80]
        good = ("&lt;b&gt;",) if match[1] in OWN else (SHOWN, IN_ADDRESS)
        if not after.startswith(good):
            found.append(match.group() + after)
    return found


AUTHORED = frozenset([
    "acceptance", "address", "agent_name", "agent_says", "answer", "approved_by", "approver_name", "ask", "asked",
    "asked_people", "attempts-outcome", "audience", "author_name", "before", "branch", "by_name",
    "changed_by_this", "claim", "command", "contacts", "context", "could", "data", "decided_by_name", "delegate",
    "detail", "details", "diff", "edited_text", "environments", "error", "harness", "hazards", "held_by_name",
    "holder_name", "host", "how_to_check", "incomplete", "intent", "left_out", "limit", "moved", "name",
    "non_goals", "not_seen", "note", "opaque", "open_question", "operation", "package-state", "path", "paths",
    "people", "person_name", "policy-scope", "preview", "preview_about", "problem", "reason", "repository",
    "requested_by", "result", "rotation", "runner_id", "subagent", "subject", "summary", "suspended_why",
    "target_branch", "team", "text", "tool", "tools", "tried", "uncommitted", "undo", "undo_about", "unread",
    "version", "warnings", "who", "why", "why_now", "why_words", "worktree",
])  # fmt: skip


def written(record: Any, write: Write, inside: str = "") -> Any:
    """A copy. A field is named by its key, below an object by the key of that too: `facts-summary`."""
    if isinstance(record, Mapping):
        return {key: _value(key, value, write, inside) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [written(item, write, inside) for item in record]
    return record


def _value(key: str, value: Any, write: Write, inside: str) -> Any:
    name = f"{inside}-{key}" if inside else key
    if key in AUTHORED or name in AUTHORED:
        if isinstance(value, str) and value:
            return write(name)
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return [write(name)]
    return written(value, write, key)


def shell(write: Write) -> Shell:
    return Shell(
        person_name=write("reader"),
        person_id="pe_1",
        csrf_token="csrf-1",
        has_js=True,
        hooks_pause={"until": fx.at(9), "by_name": write("pause-by"), "reason": write("pause-reason")},
        stopped=(write("stopped"),),
        notice=write("notice"),
        also_open=(write("also-open"),),
        checkpoints=True,
    )  # fmt: skip


FRAME = frozenset({"reader", "pause-by", "pause-reason", "stopped", "notice"})


@dataclass(frozen=True)
class HostilePage:
    """`make` gives the context of `template` with `write(name)` in every authored field; `shows` names those
    that must be seen on it, beside the frame's."""

    template: str
    make: Callable[[Write], Json]
    shows: frozenset[str]

    def html(self, write: Write) -> str:
        return render(self.template, self.make(write))


def _place(write: Write) -> Json:
    return {"shell": shell(write), "now": fx.NOW}


def _task(write: Write) -> Json:
    full = wp.task()
    full["brief"] |= {
        "non_goals": ["no new dependency"], "contacts": ["ana"], "context": ["docs/rounding.md"],
        "scope": {"paths": ["billing/"], "tools": ["Bash"], "environments": ["staging"]},
    }  # fmt: skip
    task: Json = written(full, write)
    return task


def _task_page(write: Write) -> Json:
    handoffs = written([fx.approval_low(), fx.decided()["refused"]], write)
    return task_view.task_page(
        _task(write),
        written(fx.runs(), write),
        handoffs,
        requested_by=write("requested-by"),
        **_place(write),
    )


def _agent_page(write: Write) -> Json:
    stopped = wp.agent(suspended=True, suspended_why="it loops")
    limits = written(wp.LIMITS, write)
    return agent_view.agent_page(
        written(stopped, write), wp.record(36), written(fx.runs(), write), limits, **_place(write)
    )


def _audit_page(write: Write) -> Json:
    entries = tuple(written([wp.entry(auth="browser"), wp.entry(6, stream="policy/x")], write))
    return audit_view.audit_page(
        audit_view.Found(entries, scanned=2, before=9, next_before=3),
        check=wp.CHECK | {"note": write("head-note"), "verifier": write("verifier")},
        search=audit_view.Search(stream=write("search-stream"), who=write("search-who")),
        may_export=True,
        error=write("error"),
        **_place(write),
    )


def _run_page(write: Write, **more: Any) -> Json:
    run = fx.run() | {
        "held_by": "pe_2", "held_by_name": "Ana", "task_id": "task_1", "worktree": "/srv/w", "reason": "asked for",
        "containment": "", "limits": {
            "usage": [{"label": "cost", "used": "$1", "limit": "$2"}], "warnings": ["near"], "not_watched": [],
        },
        "takeovers": [_takeover(handed_back_at=fx.at(-5), recorded=True), _takeover()],
    }  # fmt: skip
    steps = [step | {"subagent": "reviewer"} for step in fx.steps()]
    return pages.run_page(
        written(run | more, write),
        written(steps, write),
        handoffs=written([fx.approval_low(), fx.decided()["refused"]], write),
        coverage={
            "gaps": [{"kind": "hook-paused", "detail": write("gap-detail")}, {"kind": write("gapkind")}]
        },
        **_place(write),
    )  # fmt: skip


def _takeover(**more: Any) -> Json:
    return {
        "by": "pe_2", "by_name": "Ana", "at": fx.at(-9), "reason": "by hand", "handed_over_at": fx.at(-8),
        "host": "b7", "from_commit": "4" * 40, "note": "fixed it", "then": "resume", "changed": 1,
        "found": {
            "uncommitted": ["a.py"], "processes": [{"pid": 7, "command": "make"}], "left_out": ["big.bin"],
            "operation": "rebase",
        },
        "work": {"files": [{"status": "M", "path": "billing/a.py", "added": 1, "deleted": 0}]},
    } | more  # fmt: skip


_TAKES = {
    "clauses": [{"approvals": 1, "missing": 1, "audience": ["security"], "approved_by": ["Ana"], "could": ["Mia"]}],
    "asked": "the team", "asked_people": ["Ana"], "requested_by": ["Noor"], "silence_means": "it expires",
    "next": {"to": "the leads", "at": fx.at(9)},
}  # fmt: skip
_SINCE = {
    "handoff_id": "ho_0", "decided_by_name": "Ana", "decided_at": fx.at(-50), "reason": "too slow", "diff": "+faster",
}  # fmt: skip
_CHANGED = {
    "handoff_id": "ho_0", "decided_by_name": "Ana", "decided_at": fx.at(-50), "before": "git push", "moved": "/srv/b",
    "operands": [{"path": "deploy.sh", "before": fx.digest("a"), "after": fx.digest("b")}],
}  # fmt: skip


def _case(write: Write) -> Json:
    """A call that waits, with every part a package may have."""
    case = fx.approval_high()
    case["package"] |= {
        "not_seen": ["what it printed"], "incomplete": ["no undo"], "since": _SINCE, "changed": _CHANGED,
        "state": "before the delete",
    }  # fmt: skip
    will = case["package"]["what_will_happen"]
    will |= {
        "undo_about": "by hand",
        "preview": "rm a",
        "preview_about": "a dry run",
        "opaque": ["x"],
    }
    case["package"]["brief"] |= {
        "contacts": ["ana"],
        "context": ["docs/a.md"],
        "scope": {"paths": ["a/"]},
    }
    case["package"]["evidence"].append(
        {"claim": "fast", "said_by": "agent", "changed_by_this": ["t.py"]}
    )
    more = {
        "takes": _TAKES, "edited_by": "Mia Berg", "edited_text": "git rm", "notices": fx.notices(),
        "since_look": {"at": fx.at(-3), "entries": [{"at": fx.at(-2), "text": "edited", "who": "Mia"}]},
    }  # fmt: skip
    return pages.case_page(
        written(case | more, write), error=write("form-error"), typed={"reason": write("typed")},
        run={"mode": "enforce", "containment": write("containment")}, **_place(write),
    )  # fmt: skip


def _review(write: Write) -> Json:
    """Finished work: its diff stays one, with hostile lines and a hostile path in it."""
    diff = fx.DIFF.replace("docs/rounding.png", f"docs/{_one_line(write('diff-path'))}.png")
    diff = diff.replace("Invoices and their lines.", _one_line(write("diff-line")))
    case = written(fx.review(), write)
    case["package"]["what_will_happen"]["text"] = diff
    case["package"]["review"]["submodules"] = [write("review-paths")]
    return pages.case_page(case, **_place(write))


def _changes(write: Write) -> Json:
    diff = fx.DIFF.replace("docs/rounding.png", f"docs/{_one_line(write('diff-path'))}.png")
    diff = diff.replace("Invoices and their lines.", _one_line(write("diff-line")))
    return pages.changes_page(written(fx.review(), write), diff, 1, **_place(write))


def _one_line(text: str) -> str:
    return re.sub(r"[/\s\"]", "", text)


def _ended(write: Write) -> Json:
    case = fx.decided()["refused"] | {"decision": {
        **fx.decided()["refused"]["decision"], "by_name": "Ana", "reason": "no", "note": "n",
    }}  # fmt: skip
    return pages.case_page(written(case, write), **_place(write))


def _checkpoint(write: Write) -> Json:
    items = [made() for made in (fx.approval_low, fx.question, fx.hostile)]
    found = cp.checkpoint() | {
        "items": [
            item | {"handoff_id": f"ho_{n}", "checkpoint": {"stage": "change"}, "waiting": True,
                    "looked_at_alone": "", "takes": _TAKES, "rules": ["push"]}
            for n, item in enumerate(items)
        ]
    }  # fmt: skip
    given = written(found, write)
    return checkpoint_pages.checkpoint_page(
        given,
        typed={"reason": write("typed")},
        problems={"ho_0": write("refused")},
        **_place(write),
    )


def _account(write: Write) -> Json:
    label = BodyRef(body_id="body_1", digest=fx.digest("a"), size=1)
    person = Person(
        PersonId("pe_1"), label, "", ("reviewer",), fx.NOW, teams=(write("teams"),),
        accounts=(Account(f"https://{_host(write)}/x", "acc"),),
    )  # fmt: skip
    own = account_view.Own(
        person=person,
        projects=[write("projects")],
        sees_all=False,
        sessions=[{"session_id": "s", "method": write("method"), "started_at": fx.at(-1)}],
        tokens=[{"token_id": "t", "label": write("token-label"), "expires_at": fx.at(99)}],
        passkeys=[(Passkey("cred", "key", label, fx.NOW), write("passkey-label"))],
        provider=write("provider"),
        has_password=True,
        fresh=True,
        error=write("error"),
    )
    return account_view.account_page(own, **_place(write))


def _host(write: Write) -> str:
    return re.sub(r"[/?#\[\]\s]", "", write("issuer").replace("[", ""))


def _notifications(write: Write) -> Json:
    settings = written(fx.notifications(), write) | {
        "channels": ["email", f"service:{write('channel')}"]
    }
    notices = [
        written(n | {"channel": f"service:{write('notice-channel')}"}, write) for n in fx.notices()
    ]
    return notifications_view.notifications_page(
        settings, notices, said={"error": write("form-error")}, typed={"address": write("typed")},
        **_place(write),
    )  # fmt: skip


def _task_form(write: Write) -> Json:
    typed = {
        name: write("typed") for name in ("intent", *task_form.LISTS, *task_form.SCOPE, "parent")
    }
    form = task_form.task_form(typed, write("form-error"))
    brief = brief_of(_task(write)["brief"], ())
    return pages.task_page(form, understood=brief, **_place(write))


def _inbox(write: Write) -> Json:
    handoffs = written([*fx.waiting(), fx.decided()["refused"]], write)
    around = Around(
        Filters(q=write("filter-q"), agent=write("filter-agent"), repo=write("filter-repo")),
        ((write("view"), "q=x"),),
        Collisions(tuple(written([wp._COLLISION], write, "collision")), 1, 2, 2),
        looked_at=7,
        error=write("error"),
    )
    return pages.inbox_page(
        handoffs[:-1], decided=handoffs[-1:], around=around, next_after="2", **_place(write)
    )


def _explained(write: Write, **more: Any) -> Json:
    found = written(wp.EXPLAINED | more, write)
    found["hazards"], found["opaque"] = [write("hazard")], [write("opaque")]
    return policy_view.explain_page(found, write("ask"), **_place(write))


def _page(template: str, make: Callable[[Write], Json], *shows: str) -> HostilePage:
    return HostilePage(template, make, frozenset(shows))


_BRIEF = (
    "brief-intent", "brief-acceptance", "brief-non_goals", "brief-contacts", "brief-context", "scope-paths",
    "scope-tools", "scope-environments",
)  # fmt: skip
_RUN_ROW = ("intent", "repository")
PAGES: dict[str, HostilePage] = {
    "inbox": _page("inbox.html", _inbox,
        "ask", "why_now", "why_now-text", "agent_name", "repository", "holder_name", "filter-q", "filter-agent", "filter-repo",
        "view", "error", "collision-path", "handoffs-agent_name", "handoffs-ask"),
    "bulk": _page("bulk.html", lambda w: bulk_page(
        written([{"handoff_id": "ho_1", "ask": "pushes", "approved": True}, {"ask": "x", "why": "no"}], w),
        back="/", **_place(w)), "ask", "why"),
    "case": _page("case.html", _case,
        "ask", "agent_name", "repository", "what_will_happen-text", "what_will_happen-details",
        "what_will_happen-hazards", "edited_text", "holder_name", "also-open", "what_will_happen-preview", "what_will_happen-preview_about", "what_will_happen-undo",
        "what_will_happen-undo_about", "evidence-claim", "evidence-result", "evidence-changed_by_this",
        "attempts-tried", "attempts-outcome", "attempts-why", "package-open_question", "package-agent_says",
        "package-not_seen", "package-incomplete", "package-state", "brief-intent", "brief-acceptance",
        "brief-non_goals", "brief-contacts", "brief-context", "scope-paths", "timeline-text", "timeline-who",
        "clauses-audience", "clauses-approved_by", "clauses-could", "takes-asked", "takes-asked_people",
        "takes-requested_by", "since-decided_by_name", "since-reason", "since-diff", "changed-decided_by_name",
        "changed-before", "changed-moved", "operands-path", "notices-person_name", "notices-error",
        "entries-text", "entries-who", "form-error", "typed", "containment"),
    "review": _page("case.html", _review,
        "diff-path", "diff-line", "review-paths", "commits-subject", "commands-command", "review-target_branch"),
    "changes": _page("changes.html", _changes, "ask", "diff-path", "diff-line"),
    "ended": _page("case.html", _ended, "ask", "decision-by_name", "decision-reason"),
    "state": _page("_state.html", lambda w: pages.state_fragment(
        written(fx.approval_high(), w), **_place(w)), "holder_name", "also-open"),
    "runs": _page("runs.html", lambda w: pages.runs_page(written(fx.runs(), w), **_place(w)),
        *_RUN_ROW, "agent_name"),
    "run": _page("run.html", _run_page,
        *_RUN_ROW, "agent_name", "branch", "harness", "reason", "held_by_name", "facts-summary", "call-tool",
        "subagent", "gap-detail", "gapkind", "limits-warnings", "usage-limit", "takeovers-by_name",
        "takeovers-reason", "takeovers-host", "takeovers-note", "found-uncommitted", "processes-command",
        "found-left_out", "files-path", "worktree", "ask", "found-operation"),
    "run then": _page("run.html", lambda w: _run_page(
        w, then=wp.then(state={"status": "paused", "branch": "b", "runner_id": "r"})),
        "entries-text", "entries-who", "state-branch", "state-runner_id"),
    "tasks": _page("tasks.html", lambda w: task_view.tasks_page([_task(w)], **_place(w)),
        "brief-intent", "repository", "target_branch"),
    "task": _page("task.html", _task_page,
        *_BRIEF, "repository", "target_branch", "requested-by", "intent", "ask", "agent_name", "why_now"),
    "task form": _page("task_form.html", _task_form, *_BRIEF[:3], *_BRIEF[5:], "typed", "form-error"),
    "agents": _page("agents.html", lambda w: agent_view.agents_page(
        written([wp.agent(suspended=True, suspended_why="it loops")], w), search="", **_place(w)),
        "name", "harness", "team", "suspended_why"),
    "agents, none fits": _page("agents.html", lambda w: agent_view.agents_page(
        [], search=w("search"), **_place(w)), "search"),
    "agent": _page("agent.html", _agent_page, "name", "harness", "team", "suspended_why", "limit", *_RUN_ROW),
    "policy": _page("policy.html", lambda w: policy_view.policy_page(
        written([wp.SCOPE], w, "policy"), error=w("error"), typed=w("typed"), **_place(w)),
        "policy-scope", "policy-approver_name", "in_force-author_name", "in_force-text", "proposed-author_name",
        "proposed-text", "error", "typed"),
    "policy versions": _page("policy_versions.html", lambda w: policy_view.versions_page(
        w("scope"), written([wp.VERSION, wp.VERSION | {"type": w("type")}], w), **_place(w)),
        "scope", "who", "text", "reason", "type"),
    "policy explained": _page("policy_explain.html", _explained,
        "ask", "rules-why", "hazard", "opaque"),
    "policy unread": _page("policy_explain.html", lambda w: _explained(w, unread="erased"), "ask", "unread"),
    "audit": _page("audit.html", _audit_page,
        "text", "who", "data", "search-stream", "search-who", "error", "head-note", "verifier"),
    "settings": _page("settings.html", lambda w: settings_view.you_page(
        written(wp.PERSON, w), [(w("view"), "q=x")], **_place(w)), "name", "delegate", "view"),
    "people": _page("settings_people.html", lambda w: settings_view.people_page(
        written([wp.PERSON], w),
        [*written([{"rotation": "payments", "people": ["Ana"], "until": fx.at(60), "problem": "old"}], w),
         {"rotation": "x", "scope": w("shift-scope"), "people": []}], **_place(w)),
        "name", "delegate", "rotation", "people", "problem", "shift-scope"),
    "installation": _page("settings_installation.html", lambda w: settings_view.installation_page(
        [("Folder", w("fact"))], [written(wp.RUNNER | {"state": w("state")}, w)], **_place(w)),
        "fact", "name", "host", "version", "state"),
    "account": _page("account.html", _account,
        "teams", "projects", "token-label", "passkey-label", "provider", "issuer", "method", "error"),
    "notifications": _page("notifications.html", _notifications,
        "contacts-address", "channel", "ask", "error", "notice-channel", "form-error", "typed"),
    "checkpoints": _page("checkpoints.html", lambda w: checkpoint_pages.checkpoints_page(
        written(cp.opened(), w), written(cp.deferred(), w), told_today=1, **_place(w)),
        "ask", "why", "agent_name", "why_words"),
    "checkpoint": _page("checkpoint.html", _checkpoint,
        "why_words", "people", "items-ask", "items-agent_name", "what_will_happen-text", "evidence-claim",
        "evidence-result", "package-agent_says", "typed", "refused"),
    "message": _page("message.html", lambda w: pages.message_page(
        w("title"), w("message"), hint=w("hint"), code=w("code"), **_place(w)),
        "title", "message", "hint", "code"),
    "login": _page("login.html", lambda w: pages.login_page(
        name=w("typed"), error=w("error"), next_path=f"/{w('next')}", elsewhere=("/login/oidc", w("provider")),
        **_place(w)), "typed", "error", "provider", "next"),
    "setup": _page("setup.html", lambda w: pages.setup_page(
        setup_token="t", name=w("typed"), login=w("typed-login"), error=w("error"), **_place(w)),
        "typed", "typed-login", "error"),
}  # fmt: skip
# What is no page of its own: another page prints it, and is looked at there.
PARTS = frozenset(
    ["_brief", "_decision", "_diff",
        "_editor", "_looked", "_notices", "_parts", "_pass_item", "_rating", "_receipt", "_rows", "_settings", "_takeover", "_takes", "_timeline", "base"]
)  # fmt: skip
