"""Handoffs as the API gives them, for tests and pictures of the pages. All times hang on `NOW`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)


def at(minutes: float) -> str:
    """RFC 3339, `minutes` from NOW (negative: before)."""
    return (
        (NOW + timedelta(minutes=minutes)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def digest(letter: str) -> str:
    """A digest that looks like one."""
    return "sha256:" + (letter * 2 + "4e19c07d5b8a63f2") * 4


def _handoff(tail: str, **changes: Any) -> Json:
    package: Json = {
        "ask": "",
        "what_will_happen": {
            "kind": "command", "text": "true", "details": [], "hazards": [], "opaque": [],
            "reversible": None,
        },
        "why_now": "",
        "evidence": [],
        "attempts": [],
        "open_question": "",
        "state": "",
        "cost": {"cost_usd": "0.41", "duration_ms": 412_000, "tool_calls": 38, "turns": 12},
        "agent_says": "",
        "pointers": [],
        "not_seen": [],
    }  # fmt: skip
    package.update(changes.pop("package", {}))
    handoff: Json = {
        "handoff_id": f"ho_01KJVQ6Z5M8R3T0WXYZABCD{tail}",
        "kind": "approval",
        "status": "routed",
        "risk": "low",
        "blocking": True,
        "need": "judge",
        "task_id": "task_01KJVQ6Z5M8R3T0WXYZABCDE",
        "run_id": "run_01KJVQ6Z5M8R3T0WXYZABCDEF",
        "agent_id": "ag_01KJVQ6Z5M8R3T0WXYZABCDEF",
        "agent_name": "claude-billing",
        "repository": "/srv/git/billing-service.git",
        "action_digest": digest("a"),
        "presented_digest": digest("b"),
        "offered": ["approve", "approve_with_edits", "request_changes", "reject"],
        "package": package,
        "requested_at": at(-4),
        "due_at": at(26),
        "holder": "",
        "outcome": "",
        "timeline": [
            {"at": at(-12), "type": "run.started", "who": "runner", "text": "The agent started in its worktree"},
            {"at": at(-4.2), "type": "step.judged", "who": "policy", "text": "Stopped by rule git-push"},
            {"at": at(-4), "type": "handoff.routed", "who": "handfast", "text": "Routed to the reviewers of billing-service"},
        ],
    }  # fmt: skip
    handoff.update(changes)
    handoff["package"]["ask"] = handoff["ask"]
    return handoff


def approval_low() -> Json:
    """Reversible, fully read, evidence recorded: a stamp."""
    return _handoff(
        "L1",
        need="stamp",
        ask="pushes 2 commits to origin/feature/invoice-rounding",
        why_now="Every push waits for a person (rule `git-push`).",
        package={
            "what_will_happen": {
                "kind": "command",
                "text": "git push origin feature/invoice-rounding",
                "details": [
                    "Pushes 2 commits to origin, branch feature/invoice-rounding",
                    "7c1e0b2 Round invoice lines before summing",
                    "e94d210 Test half-cent rounding",
                ],
                "hazards": ["git.push"],
                "opaque": [],
                "reversible": True,
            },
            "evidence": [
                {"claim": "The tests pass", "status": "recorded", "step_id": "st_01A", "result": "pytest -q: exit 0, 214 passed"},
                {"claim": "No other branch is touched", "status": "recorded", "step_id": "st_01B", "result": "from the call itself"},
            ],
            "open_question": "May these two commits be published on this branch?",
            "agent_says": "Rounding is fixed and tests are green, pushing so that CI can run.",
            "state": "The run is paused before the push. It goes on with opening the pull request.",
        },
    )  # fmt: skip


def approval_high() -> Json:
    """Deletes tracked files; part of the evidence is unverified."""
    return _handoff(
        "H1",
        risk="high",
        ask="deletes 14 tracked files under billing/legacy/",
        why_now="Recursive delete of files that git tracks (rule `fs-delete-tracked`): 14 files, limit 0.",
        package={
            "what_will_happen": {
                "kind": "command",
                "text": "rm -rf billing/legacy && python -m compileall -q billing",
                "details": [f"Deletes billing/legacy/{name}.py" for name in (
                    "__init__", "adapter", "codes", "csv_export", "dunning", "fees", "holds", "import_v1",
                    "ledger", "money", "notes", "refunds", "tax_2019", "vat")],
                "hazards": ["fs.delete-tracked"],
                "opaque": [],
                "reversible": True,
                "undo": "Only what was committed, by git restore",
            },
            "evidence": [
                {"claim": "Nothing imports billing.legacy", "status": "recorded", "step_id": "st_02A", "result": "grep -rn 'billing.legacy': exit 1, no matches"},
                {"claim": "The nightly export no longer needs csv_export", "status": "unverified"},
            ],
            "attempts": [
                {"tried": "git rm -r billing/legacy", "outcome": "exit 128", "why": "local modifications in refunds.py"},
            ],
            "open_question": "Is the legacy billing code really unused, the nightly export included?",
            "agent_says": "I have verified that legacy is dead code. Removing it now to simplify the module.",
            "brief": {
                "intent": "Remove the pre-2020 billing path now that all accounts are migrated.",
                "acceptance": ["The tests pass", "Nothing imports billing.legacy"],
                "non_goals": ["Changing the nightly export"],
            },
        },
        holder="pe_01KJVQ6Z5M8R3T0WXYZABCDEF",
        holder_name="Noor Haddad",
        status="acknowledged",
    )  # fmt: skip


def approval_critical() -> Json:
    """A deploy with a part that could not be read."""
    return _handoff(
        "C1",
        risk="critical",
        ask="deploys image payments:7f3a91c to production, 3 replicas at once",
        why_now=[
            {"id": "deploy", "text": "Deploys wait for a person", "figure": "rule `deploy`"},
            {"id": "opaque", "text": "One argument is worked out while it runs", "figure": "rule `opaque`"},
        ],
        due_at=at(6),
        package={
            "what_will_happen": {
                "kind": "command",
                "text": (
                    "kubectl --context prod-eu set image deployment/payments \\\n"
                    "  payments=registry.example.com/payments:7f3a91c \\\n"
                    '  && kubectl --context prod-eu rollout status deployment/payments --timeout="${WAIT}s"'
                ),
                "details": [
                    "Cluster context prod-eu, deployment payments, 3 replicas",
                    "Image changes from payments:51be02e to payments:7f3a91c",
                ],
                "hazards": ["deploy"],
                "opaque": ["dynamic-argument"],
                "reversible": False,
                "target": "prod-eu/payments",
            },
            "evidence": [
                {"claim": "Integration tests passed on this image", "status": "recorded", "step_id": "st_03A", "result": "make integration: exit 0, 4 min 11 s"},
                {"claim": "The migration is backwards compatible", "status": "unverified"},
                {"claim": "Canary error rate is normal", "status": "unverified", "result": "no canary was run"},
            ],
            "open_question": "May this image go to production now, without a canary?",
            "agent_says": "All checks are green. This is a routine deploy.",
            "not_seen": ["What the rollout does in the cluster", "Calls made before the hook was installed: 3"],
        },
        offered=["approve", "approve_with_edits", "request_changes", "reject", "take_over"],
    )  # fmt: skip


DIFF = """\
diff --git a/billing/invoice.py b/billing/invoice.py
index 3b18e51..9c2f7aa 100644
--- a/billing/invoice.py
+++ b/billing/invoice.py
@@ -1,10 +1,12 @@
 \"\"\"Invoices and their lines.\"\"\"
~
+from collections.abc import Iterable
 from dataclasses import dataclass
-from decimal import Decimal
+from decimal import ROUND_HALF_EVEN, Decimal
~
 from billing.money import Money
~
+CENT = Decimal("0.01")
~
 @dataclass(frozen=True)
 class Line:
@@ -24,9 +26,14 @@ class Invoice:
     lines: tuple[Line, ...]
~
     def total(self) -> Money:
-        amount = sum(line.quantity * line.price for line in self.lines)
-        return Money(round(amount, 2), self.currency)
+        return Money(_sum_rounded(self.lines), self.currency)
+
+
+def _sum_rounded(lines: Iterable[Line]) -> Decimal:
+    \"\"\"Each line is rounded on its own: the total equals what the customer can add up.\"\"\"
+    amounts = (line.quantity * line.price for line in lines)
+    return sum((a.quantize(CENT, ROUND_HALF_EVEN) for a in amounts), Decimal(0))
~
~
 def overdue(invoice: Invoice, today: date) -> bool:
     return invoice.due < today and not invoice.paid
diff --git a/tests/test_invoice.py b/tests/test_invoice.py
new file mode 100644
index 0000000..41d0c6e
--- /dev/null
+++ b/tests/test_invoice.py
@@ -0,0 +1,9 @@
+from decimal import Decimal
+
+from billing.invoice import Invoice, Line
+
+
+def test_half_cents_are_rounded_line_by_line() -> None:
+    lines = (Line("a", 1, Decimal("0.125")), Line("b", 1, Decimal("0.135")))
+    total = Invoice("EUR", lines).total()
+    assert total.amount == Decimal("0.26")
diff --git a/docs/rounding.png b/docs/rounding.png
new file mode 100644
index 0000000..aa81f02
Binary files /dev/null and b/docs/rounding.png differ
diff --git a/scripts/check b/scripts/check.sh
similarity index 100%
rename from scripts/check
rename to scripts/check.sh
old mode 100644
new mode 100755
""".replace("\n~", "\n ")  # context lines that are blank


def review() -> Json:
    """Finished work with a real diff, two criteria proven and one not."""
    head = "7c1e0b2f9a4d4f0e8b1c6d5a3e2f1908b7c6d5e4"
    return _handoff(
        "R1",
        kind="review",
        risk="medium",
        ask="merges 2 commits into main: 4 files, rounding of invoice totals",
        why_now="The agent says the work is finished. Finished work is always reviewed.",
        offered=["approve", "request_changes", "reject"],
        due_at=at(60 * 20),
        package={
            "what_will_happen": {"kind": "diff", "text": DIFF, "details": [], "hazards": [], "opaque": [], "reversible": True},
            "review": {
                "base_commit": "51be02e8cc10a7d2f4b3a6e5d4c3b2a190817263",
                "head_commit": head,
                "target_branch": "main",
                "commits": [
                    {"commit": head, "subject": "Round invoice lines before summing"},
                    {"commit": "e94d2101aa8c4d1e", "subject": "Test half-cent rounding"},
                ],
                "commands": [
                    {"command": "pytest -q tests/test_invoice.py", "exit_code": 1, "duration_ms": 840},
                    {"command": "pytest -q", "exit_code": 0, "duration_ms": 14_200},
                    {"command": "ruff check billing tests", "exit_code": 0, "duration_ms": 310},
                ],
            },
            "brief": {
                "intent": "Customers complain that invoice totals differ by a cent from the sum of the lines.",
                "acceptance": [
                    "The total equals the sum of the rounded lines",
                    "The whole test suite passes",
                    "Existing invoices keep their totals",
                ],
                "non_goals": ["Changing how VAT is computed"],
            },
            "evidence": [
                {"claim": "The total equals the sum of the rounded lines", "status": "recorded", "step_id": "st_04A", "result": "tests/test_invoice.py: exit 0"},
                {"claim": "The whole test suite passes", "status": "recorded", "step_id": "st_04B", "result": "pytest -q: exit 0, 215 passed"},
            ],
            "stated": [
                {"claim": "The VAT line never differs by more than a cent", "confidence": "0.9", "basis": "`pytest -q tests/test_invoice.py`", "step_id": "st_04A", "command": "pytest -q tests/test_invoice.py", "exit_code": 0},
                {"claim": "No stored invoice changes", "confidence": "0.7", "basis": "totals are read from the table"},
                {"claim": "Other currencies round alike"},
            ],
            "open_question": "Is this the rounding you want, also for invoices that already exist?",
            "agent_says": "Done. Existing invoices are stored with their totals, so nothing changes for them.",
            "not_seen": ["What two background processes of the agent did"],
        },
    )  # fmt: skip


def doubt() -> Json:
    """A start without a recorded effect."""
    return _handoff(
        "D1",
        kind="doubt",
        risk="high",
        ask="may have run: alembic upgrade head on staging",
        why_now="The runner was killed 2 s after the start; no result was recorded.",
        offered=["answer"],
        due_at=at(55),
        approved={"by_names": ["Mia Berg", "Noor Haddad"], "at": at(-12), "overridden": False, "handoff_id": "ho_01KJVQ6Z5M8R3T0WXYZABCDD0"},
        package={
            "what_will_happen": {
                "kind": "command",
                "text": "alembic -x env=staging upgrade head",
                "details": ["Database staging-eu, migrations 0041 to 0043"],
                "hazards": ["db.migrate"],
                "opaque": [],
                "reversible": None,
            },
            "doubt": {
                "started_at": at(-9),
                "start_id": "start_01KJVQ6Z5M8R3T0WXYZABCDEF",
                "how_to_check": [
                    "Run `alembic -x env=staging current`. It ran when the answer is 0043.",
                    "Look in the database log of staging-eu for `ALTER TABLE invoice` after the start.",
                ],
            },
            "evidence": [{"claim": "It started", "status": "recorded", "step_id": "st_05A", "result": "redeemed by the runner, no result since"}],
        },
    )  # fmt: skip


def script_changed() -> Json:
    """What the approved command runs is another script now."""
    case = approval_low() | {"risk": "medium", "need": "judge", "ask": "runs scripts/ship.sh"}
    case["package"] = case["package"] | {
        "what_will_happen": {
            "kind": "command", "text": "bash scripts/ship.sh", "details": [], "hazards": [], "opaque": [],
            "reversible": None,
        },
        "changed": {
            "handoff_id": "ho_01KJVQ6Z5M8R3T0WXYZABCDL0", "approved": True, "decided_by_name": "Mia Berg",
            "decided_at": at(-20), "before_digest": digest("c"),
            "operands": [{
                "path": "scripts/ship.sh", "before": digest("d"), "after": digest("e"),
                "diff": "--- a/scripts/ship.sh\n+++ b/scripts/ship.sh\n@@ -1,3 +1,3 @@\n #!/bin/sh\n"
                "-rsync -a build/ web:/srv/\n+rsync -a --delete build/ web:/srv/\n exit 0",
            }],
        },
    }  # fmt: skip
    return case


def question() -> Json:
    """The agent asks."""
    return _handoff(
        "Q1",
        kind="question",
        risk="low",
        ask="asks which currency to assume for old invoices",
        why_now="The agent asked before going on.",
        offered=["answer", "take_over"],
        blocking=False,
        due_at=None,
        package={
            "what_will_happen": {"kind": "text", "text": "The agent goes on with your answer.", "details": [], "hazards": [], "opaque": [], "reversible": True},
            "open_question": "Invoices before 2019 have no currency. Assume EUR, or leave them out?",
        },
    )  # fmt: skip


def escalation() -> Json:
    """A limit handed the run over."""
    return _handoff(
        "E1",
        kind="escalation",
        risk="medium",
        ask="the same failing call was made 3 times: npm run build",
        why_now="The same failing call with the same result: 3 of 2 allowed.",
        offered=["answer", "reject", "take_over"],
        due_at=at(-3),
        agent_name="codex-web",
        repository="/srv/git/shop-front.git",
    )


def _decided(handoff: Json, kind: str, **changes: Any) -> Json:
    decision: Json = {
        "kind": kind, "by": "pe_01KJVQ6Z5M8R3T0WXYZABCDEF", "by_name": "Noor Haddad", "at": at(-2),
        "reason": "Checked the branch and the test run.", "presented_digest": handoff["presented_digest"],
    }  # fmt: skip
    decision.update(changes.pop("decision", {}))
    return {**handoff, "status": "closed", "due_at": None, "decision": decision, **changes}


def _grant(status: str = "settled", executor: str = "hooked") -> Json:
    return {
        "grant_id": "gr_01KJVQ6Z5M8R3T0WXYZABCDEF", "status": status, "executor": executor,
        "expires_at": at(13), "redeemed_at": at(-1.9) if status != "minted" else None,
    }  # fmt: skip


def _effect(outcome: str, exit_code: int | None = None) -> Json:
    return {
        "outcome": outcome,
        "exit_code": exit_code,
        "output_body_id": "bo_01KJVQ6Z5M8R3T0WXYZ",
        "at": at(-1.8),
    }


def decided() -> Mapping[str, Json]:
    """Every ending a reader must be able to tell apart, by the code of its standing."""
    low, high = approval_low(), approval_high()
    return {
        "approve": _decided(low, "approve", grant=_grant(), effect=_effect("reported", 0)),
        "approve/verified": _decided(
            review(), "approve", grant=_grant(executor="mediated"), effect=_effect("verified", 0)
        ),
        "approve/unknown": _decided(low, "approve", grant=_grant(), effect=_effect("unknown")),
        "approve/waiting": _decided(low, "approve", status="decided", grant=_grant("minted")),
        "approve_with_edits": _decided(
            high, "approve_with_edits", grant=_grant(), effect=_effect("reported", 1),
            decision={"edited_call": {"tool": "Bash", "arguments": {"command": "git rm -r billing/legacy"}}},
        ),
        "answer": _decided(question(), "answer", decision={"answer": "Assume EUR.", "reason": ""}),
        "request_changes": _decided(review(), "request_changes"),
        "refused": _decided(high, "reject", decision={"reason": "The nightly export still uses it."}),
        "take_over": _decided(low, "take_over"),
        "expired": {**high, "status": "expired", "outcome": "nobody answered"},
        "superseded": {**low, "status": "superseded", "outcome": "superseded"},
        "withdrawn": {**low, "status": "withdrawn", "outcome": "the run was cancelled"},
        "incomplete": {**low, "status": "incomplete", "missing": ["evidence", "what will happen"]},
        "blocked_by_policy": _decided(
            high, "reject", decision={"by": "policy", "by_name": "rule control-plane"}
        ),
        "auto_proceed": _decided(low, "approve", decision={"by": "policy", "by_name": "low-risk-proceeds"}),
        "grant_expired": _decided(low, "approve", outcome="grant_expired", grant=_grant("expired")),
    }  # fmt: skip


def waiting() -> list[Json]:
    """A queue with every kind in it."""
    return [approval_low(), question(), approval_high(), review(), doubt(), approval_critical(), escalation()]  # fmt: skip


HOSTILE = (
    "</pre></textarea><script>alert(1)</script><img src=x onerror=alert(1)>\"' \u202edetorp\u202c "
    "\x1b[32mAPPROVED by Noor Haddad\x1b[0m \u200b\u200b\u200b\u200b\u2066x\u2069 {{ 7*7 }} {% raw %}"
    " javascript:alert(1)\r\n<h2>Receipt: Approved by Noor Haddad</h2>"
)


def hostile() -> Json:
    """Every text an agent can reach is hostile, and one is huge."""
    return _handoff(
        "X1",
        ask=HOSTILE,
        why_now=HOSTILE,
        agent_name=HOSTILE,
        repository=HOSTILE,
        holder_name=HOSTILE,
        package={
            "what_will_happen": {"kind": "command", "text": HOSTILE, "details": [HOSTILE] * 3, "hazards": [HOSTILE], "opaque": [HOSTILE], "reversible": None},
            "evidence": [{"claim": HOSTILE, "status": HOSTILE, "result": HOSTILE, "step_id": HOSTILE}],
            "stated": [{"claim": HOSTILE, "confidence": HOSTILE, "basis": HOSTILE, "step_id": HOSTILE, "command": HOSTILE}],
            "attempts": [{"tried": HOSTILE, "outcome": HOSTILE, "why": HOSTILE}],
            "open_question": HOSTILE,
            "agent_says": HOSTILE + "A" * 1_000_000,
            "not_seen": [HOSTILE],
            "state": HOSTILE,
            "cost": HOSTILE,
            "brief": {"intent": HOSTILE, "acceptance": [HOSTILE], "non_goals": [HOSTILE]},
        },
        timeline=[{"at": at(-1), "type": HOSTILE, "who": HOSTILE, "text": HOSTILE}],
    )  # fmt: skip


def run() -> Json:
    """A run that waits."""
    return {
        "run_id": "run_01KJVQ6Z5M8R3T0WXYZABCDEF", "agent_id": "ag_1", "agent_name": "claude-billing",
        "harness": "claude-code", "mode": "enforce", "status": "paused", "outcome": "",
        "repository": "/srv/git/billing-service.git", "branch": "handfast/invoice-rounding",
        "base_commit": "51be02e8cc10a7d2f4b3a6e5d4c3b2a190817263", "intent": "Round invoice lines before summing",
        "created_at": at(-13), "started_at": at(-12), "ended_at": None, "cost_usd": "0.41", "turns": 12,
        "counts": {"steps": 38, "reads": 29, "stopped": 2, "denied": 1, "would_stop": 0, "failed": 3},
    }  # fmt: skip


def steps() -> list[Json]:
    """Recorded calls of `run`, one of each verdict."""
    calls = [
        ("reads billing/invoice.py", "Read", "allow", None, "", 4),
        ("searches for `round(` in billing/", "Grep", "allow", None, "", 21),
        ("runs pytest in the worktree", "Bash", "allow", 1, "", 840),
        ("changes 1 file: billing/invoice.py", "Edit", "allow", 0, "", 12),
        ("writes to the settings of the agent", "Write", "deny", None, "", None),
        ("runs pytest in the worktree", "Bash", "allow", 0, "", 14_200),
        ("pushes 2 commits to origin/feature/invoice-rounding", "Bash", "wait", None, approval_low()["handoff_id"], None),
    ]  # fmt: skip
    return [
        {
            "step_id": f"st_0{i}", "at": at(-12 + i), "facts": {"summary": summary}, "call": {"tool": tool},
            "verdict": verdict, "exit_code": code, "handoff_id": handoff, "duration_ms": took,
        }
        for i, (summary, tool, verdict, code, handoff, took) in enumerate(calls)
    ]  # fmt: skip


def runs() -> list[Json]:
    """A list with several states."""
    return [
        run(),
        {**run(), "run_id": "run_02", "status": "running", "mode": "observe", "intent": "", "harness": "none"},
        {**run(), "run_id": "run_03", "status": "ended", "outcome": "merged", "intent": "Add a health endpoint"},
        {**run(), "run_id": "run_04", "status": "ended", "outcome": "never_started", "intent": "Upgrade the parser"},
    ]  # fmt: skip


def notifications() -> Json:
    """How a person is told, as the page gets it."""
    hook = "https://hooks.example.com/" + "deep/" * 20
    shown = (
        ("email", "ana.lind@example.com", "digest", 0),
        ("webhook", hook, "urgent", 2),
        ("slack", "T0ACME U0ANA", "all", 0),
        ("service:phone", "</b><script>ana", "none", 0),
    )
    contacts = [
        {
            "contact_id": f"co_{n}", "channel": channel, "address": address, "takes": takes,
            "added_at": at(-90), "secrets": secrets,
        }
        for n, (channel, address, takes, secrets) in enumerate(shown)
    ]  # fmt: skip
    quiet = {"zone": "Europe/Berlin", "days": [0, 4], "start": "20:00", "end": "07:00"}
    return {
        "person_id": "pe_1",
        "contacts": contacts,
        "quiet": quiet,
        "digest_minutes": 60,
        "channels": ["email", "slack", "webhook", "service:phone"],
    }


def notices() -> list[Json]:
    """One in each state there is."""
    states = ("held", "sending", "failing", "given_up", "delivered", "dropped")
    errors = {
        "failing": "550 no\u202e such <b>mailbox</b>",
        "given_up": "ConnectionRefusedError: " * 9,
    }
    return [
        {
            "notice_id": f"no_{n}", "person_id": "pe_1", "person_name": "Noor Haddad",
            "contact_id": "co_1", "channel": ("email", "webhook", "service:phone")[n % 3],
            "handoff_id": f"ho_01KJVQ6Z5M8R3T0WXYZABCD{n}" if n else "",
            "ask": "Runs git push --force origin main" if n else "", "status": state,
            "urgent": n % 2 == 0, "planned_at": at(-9), "at": at(-3), "due_at": at(55) if not n else "",
            "why": "quiet hours or digest" if not n else "", "attempts": n if state in errors else 0,
            "error": errors.get(state, ""), "delivery_id": n,
            "opened_at": at(-1) if state == "delivered" else "",
        }
        for n, state in enumerate(states)
    ]  # fmt: skip
