"""The hook's endpoint against a real server: what it allows, stops, and tells the agent."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from handfast.core.domain.events_work import Mode
from handfast.engine.runs import Session
from handfast.runner.hooks.registry import OnWait, Registration
from tests.hook_bench import OPERATOR, HookBench, hook_bench

PUSH = "git push origin main"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path) as made:
        yield made


def test_a_read_is_allowed_at_once_and_recorded_later(bench: HookBench) -> None:
    read = bench.asks("Read", {"file_path": str(bench.repo / "README.md")})
    assert read["permissionDecision"] == "allow"
    bench.until(lambda: len(bench.steps()) == 1, "the record of the read")
    assert bench.steps()[0]["effect"] == "read"


READS_GATED = """\
version: 1
gates:
  - id: contracts
    when: call.effect == "read" && "file_path" in call.arguments && call.arguments.file_path.contains("/contracts/")
    require: {approvals: 1}
  - id: late-reads
    tools: Glob
    when: run.tool_calls > 2
    deny: enough looked around
"""


def test_a_published_policy_holds_for_reads_too(bench: HookBench) -> None:
    bench.engine.policies.propose(bench.person, "organisation", READS_GATED)
    (bench.repo / "contracts").mkdir()
    (bench.repo / "contracts" / "a.md").write_text("secret")
    other = bench.asks("Read", {"file_path": str(bench.repo / "README.md")})
    assert other["permissionDecision"] == "allow"
    asked = {"file_path": str(bench.repo / "contracts" / "a.md")}
    with bench.asking_tool("Read", asked, "t2") as answers:
        bench.decide_next("reject", "not for agents")
    assert answers[0]["permissionDecision"] == "deny"
    for i in range(3):
        bench.bash(f"touch out{i}", f"e{i}")
    assert bench.asks("Glob", {"pattern": "*.py"})["permissionDecision"] == "deny"


def test_a_harmless_effect_is_allowed_by_the_server(bench: HookBench) -> None:
    assert bench.bash("echo hi > out.txt", "t1")["permissionDecision"] == "allow"
    assert bench.finished("echo hi > out.txt", "t1").json() == {}
    step = bench.steps()[0]
    assert (step["verdict"], step["finished"], step["exit_code"]) == ("allow", True, 0)


def test_a_gated_call_waits_until_it_is_approved(bench: HookBench) -> None:
    with bench.asking(PUSH, "t1") as answers:
        handoff_id = bench.decide_next("approve")
    assert answers[0]["permissionDecision"] == "allow"
    bench.finished(PUSH, "t1")
    handoff = bench.engine.views.handoff(handoff_id)
    assert handoff["effect"]["outcome"] == "reported"  # type: ignore[index]  # JSON


def test_an_approval_is_used_once(bench: HookBench) -> None:
    with bench.asking(PUSH, "t1"):
        bench.decide_next("approve")
    bench.finished(PUSH, "t1")
    with bench.asking(PUSH, "t2") as answers:
        bench.decide_next("reject", "once is enough")
    assert answers[0]["permissionDecision"] == "deny"
    assert "once is enough" in answers[0]["permissionDecisionReason"]


def test_a_rejected_call_is_denied_with_the_reason_and_stays_denied(bench: HookBench) -> None:
    with bench.asking(PUSH, "t1") as answers:
        bench.decide_next("reject", "not on a Friday")
    assert answers[0]["permissionDecision"] == "deny"
    assert "not on a Friday" in answers[0]["permissionDecisionReason"]
    assert bench.bash(PUSH, "t2")["permissionDecision"] == "deny"


def test_an_edit_denies_with_the_exact_command_and_only_that_one_runs(bench: HookBench) -> None:
    with bench.asking(PUSH, "t1") as answers:
        bench.decide_next("approve_with_edits", edited="git push origin feature")
    reason = answers[0]["permissionDecisionReason"]
    assert answers[0]["permissionDecision"] == "deny"
    assert reason.endswith("\ngit push origin feature")
    assert bench.bash("git push origin feature", "t2")["permissionDecision"] == "allow"
    assert bench.bash(PUSH, "t3")["permissionDecision"] == "deny"


def test_tampering_is_denied_without_asking_anybody(bench: HookBench) -> None:
    answer = bench.bash(f"rm -rf {bench.home}")
    assert answer["permissionDecision"] == "deny"
    assert bench.engine.views.handoffs("all").items == []


def test_a_changed_script_behind_the_same_command_is_asked_again(bench: HookBench) -> None:
    script = bench.repo / "deploy.sh"
    script.write_text("echo one\n")
    with bench.asking(f"bash deploy.sh && {PUSH}", "t1") as answers:
        first = bench.waiting()[0]["handoff_id"]
        script.write_text("echo two\n")
        bench.decide(first, "approve")
        second = next(h for h in bench.waiting() if h["handoff_id"] != first)
        bench.decide(second["handoff_id"], "reject")
    assert answers[0]["permissionDecision"] == "deny"


def test_observe_mode_stops_nothing_and_says_what_it_would_have(tmp_path: Path) -> None:
    with hook_bench(tmp_path, Mode.OBSERVE) as bench:
        assert bench.bash(PUSH)["permissionDecision"] == "allow"
        assert bench.steps()[0]["verdict"] == "observed"


def test_a_pause_by_a_person_lets_calls_through(bench: HookBench) -> None:
    bench.engine.hooks.pause(bench.person, 5, "a release")
    assert bench.bash(PUSH)["permissionDecision"] == "allow"


def test_shortly_before_the_time_out_the_call_is_denied_naming_the_handoff(tmp_path: Path) -> None:
    with hook_bench(tmp_path, hook_timeout_s=4.0) as bench:
        started = time.monotonic()
        answer = bench.bash(PUSH, "t1")
        assert time.monotonic() - started < 4.0
        handoff_id = bench.waiting()[0]["handoff_id"]
        assert answer["permissionDecision"] == "deny"
        assert handoff_id in answer["permissionDecisionReason"]
        assert f"/handoffs/{handoff_id}" in answer["permissionDecisionReason"]
        bench.decide(handoff_id, "approve")
        assert bench.bash(PUSH, "t2")["permissionDecision"] == "allow"


def test_in_plan_mode_nobody_is_asked(bench: HookBench) -> None:
    answer = bench.bash(PUSH, permission_mode="plan")
    assert answer["permissionDecision"] == "deny"
    assert "plan mode" in answer["permissionDecisionReason"]
    assert bench.engine.views.handoffs("all").items == []


def test_a_file_change_is_shown_as_a_diff(bench: HookBench) -> None:
    steering = bench.repo / ".claude" / "agents" / "reviewer.md"
    steering.parent.mkdir(parents=True)
    steering.write_text("one\ntwo\n")
    with hook_answer(bench, "Write", {"file_path": str(steering), "content": "one\nthree\n"}):
        handoff = bench.waiting()[0]
        what = bench.engine.views.handoff(handoff["handoff_id"])["package"]["what_will_happen"]  # type: ignore[index]  # JSON
        assert what["kind"] == "diff"
        assert "-two\n+three\n" in what["text"]
        bench.decide(handoff["handoff_id"], "reject")


@contextmanager
def hook_answer(bench: HookBench, tool: str, tool_input: dict[str, Any]) -> Iterator[None]:
    thread = threading.Thread(target=bench.asks, args=(tool, tool_input))
    thread.start()
    yield
    thread.join(120)


def test_an_agent_that_lets_go_leaves_the_grant_unused(bench: HookBench) -> None:
    """Esc while the hook waits: the connection closes, and a later approval must not count as a start."""
    event = bench.event(
        "PreToolUse", tool_name="Bash", tool_input={"command": PUSH}, tool_use_id="t1"
    )
    where = urlsplit(bench.runner.hook_url)
    with closing(http.client.HTTPConnection(where.netloc)) as agent:
        headers = {"Authorization": f"Bearer {bench.token}"}
        agent.request("POST", where.path, json.dumps(event).encode(), headers)
        waits = f"handoff/{bench.waiting()[0]['handoff_id']}"
        bench.until(lambda: bench.server.hub.waiting(waits) == 1, "the runner's wait")
    bench.until(lambda: bench.server.hub.waiting(waits) == 0, "that it gives up")
    handoff_id = bench.decide_next("approve")
    time.sleep(0.5)  # long enough for a runner that did not notice to use the grant
    assert bench.engine.views.handoff(handoff_id)["grant"]["status"] == "minted"  # type: ignore[index]  # JSON
    assert bench.bash(PUSH, "t2")["permissionDecision"] == "allow"


# -- runs that this runner started


def deferred_run(bench: HookBench, on_wait: OnWait = OnWait.DEFER) -> Registration:
    run = bench.engine.runs.session(
        OPERATOR,
        Session(bench.agent_id, "claude-code", "own", str(bench.repo), Mode.ENFORCE),
    )
    return bench.runner.endpoint.registry.register(
        str(run["run_id"]), 0, agent_id=bench.agent_id, worktree=bench.repo, on_wait=on_wait
    )


def test_a_run_of_ours_is_paused_with_defer_and_goes_on_after_the_decision(
    bench: HookBench,
) -> None:
    registration = deferred_run(bench)
    token = registration.token
    started = time.monotonic()
    assert bench.bash(PUSH, "t1", token=token)["permissionDecision"] == "defer"
    assert time.monotonic() - started < 30
    handoff_id = bench.waiting()[0]["handoff_id"]
    assert registration.deferred is not None
    assert registration.deferred.handoff_id == handoff_id

    other = bench.bash("echo hi > out.txt", "t2", token=token)
    assert other["permissionDecision"] == "deny"
    assert handoff_id in other["permissionDecisionReason"]
    read = bench.asks("Read", {"file_path": str(bench.repo / "README.md")}, "t3", token=token)
    assert read["permissionDecision"] == "allow"

    bench.decide(handoff_id, "approve")
    again = bench.runner.endpoint.registry.register(
        registration.run_id, 0, agent_id=bench.agent_id, worktree=bench.repo
    )
    assert bench.bash(PUSH, "t1", token=again.token)["permissionDecision"] == "allow"
    assert again.deferred is None


def test_a_token_of_an_earlier_start_is_refused(bench: HookBench) -> None:
    first = deferred_run(bench)
    deferred_run(bench)
    event = bench.event("PreToolUse", tool_name="Bash", tool_input={}, tool_use_id="t")
    assert bench.post(event, token=first.token).status_code == 401


def test_a_sub_agent_is_denied_and_never_deferred(bench: HookBench) -> None:
    registration = deferred_run(bench)
    answer = bench.bash(
        PUSH, "t1", token=registration.token, agent_id="a1", agent_type="general-purpose"
    )
    assert answer["permissionDecision"] == "deny"
    assert bench.waiting()[0]["handoff_id"] in answer["permissionDecisionReason"]
    assert registration.deferred is None
    assert len(registration.waiting) == 1


def test_a_run_of_ours_may_be_held_instead(bench: HookBench) -> None:
    registration = deferred_run(bench, OnWait.POLL)
    with bench.asking(PUSH, "t1", token=registration.token) as answers:
        time.sleep(2.5)
        bench.decide_next("approve")
    assert answers[0]["permissionDecision"] == "allow"


# -- what is no proper call


def test_a_body_that_cannot_be_read_is_an_explicit_denial(bench: HookBench) -> None:
    bodies = [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"hook_event_name": "PreToolUse"}',
        json.dumps({"hook_event_name": "PreToolUse", "session_id": 1, "cwd": "/"}).encode(),
        b"[" * 100_000,
    ]
    for body in bodies:
        answer = bench.post(body)
        assert answer.status_code == 200
        output = answer.json()["hookSpecificOutput"]
        assert output["permissionDecision"] == "deny"
        assert output["hookEventName"] == "PreToolUse"


def test_a_body_that_is_too_large_is_denied(tmp_path: Path) -> None:
    with hook_bench(tmp_path, body_limit=1000) as bench:
        answer = bench.post(b"x" * 5000)
        assert answer.json()["hookSpecificOutput"]["permissionDecision"] == "deny"


def test_a_wrong_credential_is_refused(bench: HookBench) -> None:
    event = bench.event(
        "PreToolUse", tool_name="Bash", tool_input={"command": "ls"}, tool_use_id="t"
    )
    for token in ("", "nonsense", "hfa_unknown_secret", "hfs_unknown"):
        assert bench.post(event, token=token).status_code == 401


def test_a_host_that_is_not_loopback_is_refused(bench: HookBench) -> None:
    assert bench.post(b"{}", Host="evil.example:8484").status_code == 421
    assert bench.post(b"{}", Host="localhost:8484").status_code == 200


def test_a_revoked_token_stops_effects(tmp_path: Path) -> None:
    with hook_bench(tmp_path, confirm_s=0.0) as bench:
        assert bench.bash("echo 1 > a.txt")["permissionDecision"] == "allow"
        token_id = "tok_" + bench.token.removeprefix("hfa_").split("_")[0]
        bench.engine.agents.revoke(OPERATOR, token_id)
        event = bench.event(
            "PreToolUse",
            tool_name="Bash",
            tool_input={"command": "echo 2 > a.txt"},
            tool_use_id="t9",
        )
        assert bench.post(event).status_code == 401


def test_an_agent_with_a_token_of_its_own_is_always_enforced(tmp_path: Path) -> None:
    with hook_bench(tmp_path, Mode.OBSERVE) as bench:
        own = str(bench.engine.agents.add(OPERATOR, "script", "none")["agent_id"])
        token = bench.engine.agents.issue(OPERATOR, own).token
        with bench.asking(PUSH, token=token) as answers:
            bench.decide_next("reject")
        assert answers[0]["permissionDecision"] == "deny"


def test_a_suspended_agent_is_denied(bench: HookBench) -> None:
    assert bench.bash("echo 1 > a.txt")["permissionDecision"] == "allow"
    bench.engine.agents.suspend(OPERATOR, bench.agent_id, "looked odd")
    assert bench.bash("echo 2 > a.txt")["permissionDecision"] == "deny"


def test_an_edit_is_read_in_the_folder_the_call_is_made_in(bench: HookBench) -> None:
    (bench.repo / "sub").mkdir()
    slug = "".join(c if c.isalnum() else "-" for c in str(bench.repo))
    there = {"cwd": str(bench.repo / "sub"), "transcript_path": f"/x/projects/{slug}/1.jsonl"}
    with bench.asking(PUSH, "t1", **there):
        bench.decide_next("approve_with_edits", edited="git push origin feature")
    assert bench.bash("git push origin feature", "t2", **there)["permissionDecision"] == "allow"
