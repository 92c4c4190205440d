"""`@gate` against a real server: what asks, waits, runs, is refused, and what the record says."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import handfast
from handfast import Waiting, gate
from handfast.adapters.python import AlreadyRan, Ran, Receipt
from handfast.client import Client
from handfast.core.domain.errors import GateClosed, UsageError
from tests.gate_bench import GateBench
from tests.served import Served

Json = dict[str, Any]


@pytest.fixture
def bench(served: Served, monkeypatch: pytest.MonkeyPatch) -> GateBench:
    monkeypatch.setenv("HANDFAST_URL", served.url)
    monkeypatch.setenv("HANDFAST_TOKEN", served.tokens["agent"])
    return GateBench(served)


@pytest.fixture
def ran() -> list[Any]:
    """What the function under test did."""
    return []


@pytest.fixture
def apart() -> Iterator[Callable[..., Future[Any]]]:
    """`apart(function, …)` calls it in a thread of its own."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


def gated(ran: list[Any], **options: Any) -> Any:
    @gate(**{"tool": "deploy", **options})
    def deploy(service: str, version: str = "1") -> str:
        """Puts a version out."""
        ran.append((service, version))
        return f"{service} is at {version}"

    return deploy


def test_it_runs_what_was_approved_once_and_records_it(
    bench: GateBench, ran: list[Any], apart: Callable[..., Future[Any]]
) -> None:
    call = apart(gated(ran).gated, "web", version="2")
    shown = bench.handoff(bench.waiting()[0]["handoff_id"])
    assert ran == []
    assert shown["action"]["arguments"] == {"service": "web", "version": "2"}
    assert shown["executor"] == "mediated"
    bench.decide(shown["handoff_id"])
    receipt: Receipt[str] = call.result(20)
    assert (receipt.value, ran) == ("web is at 2", [("web", "2")])
    assert (receipt.effect, receipt.recorded) == ("verified", True)
    closed = bench.handoff(receipt.handoff_id)
    assert (closed["status"], closed["effect"]["outcome"]) == ("closed", "verified")
    assert closed["effect"]["executed_digest"] == shown["action_digest"]
    assert closed["effect"]["output"] == "web is at 2"
    assert closed["effect"]["note"].startswith("result sha256:")
    assert closed["grant"]["start_id"] == receipt.start_id


def test_each_call_needs_an_approval_of_its_own(
    bench: GateBench, ran: list[Any], apart: Callable[..., Future[Any]]
) -> None:
    deploy = gated(ran)
    for version in ("1", "1"):
        call = apart(deploy, "web", version)
        bench.decide_next()
        assert call.result(20) == "web is at 1"
    call = apart(deploy, "web", "1")
    bench.decide_next("reject", reason="enough")
    with pytest.raises(GateClosed, match="enough"):
        call.result(20)
    with pytest.raises(GateClosed, match="enough"):  # a refused call stays refused
        deploy("web", "1")
    assert len(ran) == 2


def test_a_call_that_does_not_wait_says_what_waits_and_runs_when_called_again(
    bench: GateBench, ran: list[Any]
) -> None:
    deploy = gated(ran, on_wait="raise")
    with pytest.raises(Waiting) as first:
        deploy("web")
    with pytest.raises(Waiting) as second:
        deploy("web")
    assert first.value.handoff_id == second.value.handoff_id
    assert isinstance(first.value, handfast.RejectedError)
    bench.decide(first.value.handoff_id)
    with pytest.raises(Waiting):  # another call than the approved one
        deploy("web", "9")
    assert ran == []
    receipt = deploy.gated("web")
    assert (receipt.value, receipt.handoff_id) == ("web is at 1", first.value.handoff_id)
    assert bench.handoff(receipt.handoff_id)["effect"]["outcome"] == "verified"
    assert ran == [("web", "1")]


def test_waiting_ends_after_the_time_given(bench: GateBench, ran: list[Any]) -> None:
    began = time.monotonic()
    with pytest.raises(Waiting):
        gated(ran, timeout_s=0.3)("web")
    assert time.monotonic() - began < 60
    assert ran == []


def test_an_operand_that_changed_while_it_waited_is_asked_for_anew(
    bench: GateBench, ran: list[Any], apart: Callable[..., Future[Any]], tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text("one")
    deploy = gated(ran, operands=lambda *_, **__: [plan])
    call = apart(deploy, "web")
    first = bench.waiting()[0]["handoff_id"]
    plan.write_text("two")
    bench.decide(first)
    second = bench.waiting()[0]["handoff_id"]
    assert (second != first, ran) == (True, [])
    assert "grant.refused" in bench.types(str(first))
    assert bench.handoff(first)["grant"]["start_id"] == ""
    bench.decide(second)
    assert call.result(20) == "web is at 1"
    assert len(ran) == 1


def test_an_argument_changed_while_it_waited_is_asked_for_anew(
    bench: GateBench, apart: Callable[..., Future[Any]]
) -> None:
    ran: list[list[str]] = []
    hosts = ["a"]
    act = gate(tool="restart")(lambda hosts: ran.append(list(hosts)))
    call = apart(act, hosts)
    first = bench.waiting()[0]["handoff_id"]
    hosts.append("b")
    bench.decide(first)
    second = bench.handoff(bench.waiting()[0]["handoff_id"])
    assert second["action"]["arguments"] == {"hosts": ["a", "b"]}
    bench.decide(second["handoff_id"], "reject")
    with pytest.raises(GateClosed):
        call.result(20)
    assert ran == []


def test_what_cannot_be_bound_is_refused_before_anybody_is_asked(
    bench: GateBench, ran: list[Any]
) -> None:
    with pytest.raises(UsageError, match="`service` is object"):
        gated(ran)(object())
    assert (bench.all(), ran) == ([], [])


def test_an_error_of_the_function_is_recorded_and_raised(
    bench: GateBench, apart: Callable[..., Future[Any]]
) -> None:
    @gate(tool="deploy")
    def deploy(token: str) -> None:
        raise ValueError(f"no room for ghp_{'a' * 36}")

    call = apart(deploy, "t")
    shown = bench.decide_next()
    with pytest.raises(ValueError, match="no room"):
        call.result(20)
    effect = bench.handoff(shown["handoff_id"])["effect"]
    assert (effect["outcome"], effect["exit_code"]) == ("verified", 1)
    assert effect["note"] == "raised ValueError"
    assert "no room for [redacted" in effect["output"]


def test_the_preview_is_shown_and_one_that_fails_runs_nothing(
    bench: GateBench, ran: list[Any], apart: Callable[..., Future[Any]]
) -> None:
    def plan(service: str, version: str = "1") -> Json:
        if service == "gone":
            raise LookupError("no such service")
        return {"replaces": "0.9", "with": version}

    deploy = gated(ran, preview=plan, undo=lambda _: None, summary=lambda *a, **_: f"ships {a[0]}")
    call = apart(deploy, "web", "2")
    package = bench.decide_next("reject")["package"]
    will = package["what_will_happen"]
    assert '"replaces": "0.9"' in will["preview"]
    assert will["undo"]
    assert will["preview_about"] == will["undo_about"] == "declared with the call, not checked"
    assert package["agent_says"] == "ships web"
    call = apart(deploy, "gone")
    shown = bench.decide_next("reject")
    failed = shown["package"]["what_will_happen"]["preview"]
    assert "The preview failed: LookupError: no such service" in failed
    with pytest.raises(GateClosed):
        call.result(20)
    assert ran == []


def test_always_require_asks_where_policy_would_not_and_observing_does_not_matter(
    bench: GateBench, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFAST_TOKEN", bench.runner_token())  # its facts are believed
    body = {"session_id": "watched", "cwd": "/srv", "mode": "observe"}
    watched = bench.served.client("runner").post("/v1/runs", json=body).json()["run_id"]
    monkeypatch.setenv("HANDFAST_RUN_ID", watched)
    read = {"effect": "read", "on_wait": "raise"}
    assert gated(ran, **read)("web") == "web is at 1"
    assert gated(ran, **read, approval_mode="never_require")("web") == "web is at 1"
    with pytest.raises(Waiting) as waits:
        gated(ran, **read, approval_mode="always_require")("web")
    assert bench.handoff(waits.value.handoff_id)["rules"] == ["always-required"]
    run_id = bench.handoff(waits.value.handoff_id)["run_id"]
    assert bench.served.engine.views.run(run_id)["mode"] == "observe"
    assert len(ran) == 2


def test_policy_has_the_last_word_on_what_never_requires(
    bench: GateBench, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.own_agent()
    quiet = gated(ran, effect="write", approval_mode="never_require", on_wait="raise")
    with pytest.raises(Waiting):  # an agent's word on itself is no fact
        quiet("web")
    monkeypatch.setenv("HANDFAST_TOKEN", bench.runner_token())
    receipt = quiet.gated("web")
    assert (receipt.grant_id, receipt.effect) == ("", "reported")
    step = bench.steps(receipt.run_id)[-1]
    assert (step["finished"], step["exit_code"], step["verdict"]) == (True, 0, "allow")
    loud = gated(ran, hazards=("deploy",), approval_mode="never_require", on_wait="raise")
    with pytest.raises(Waiting) as waits:
        loud("web", "2")
    assert bench.handoff(waits.value.handoff_id)["rules"] == ["deploy"]
    unread = gated(ran, on_wait="raise")
    with pytest.raises(Waiting) as waits:
        unread("web", "3")
    assert bench.handoff(waits.value.handoff_id)["rules"] == ["opaque"]


def test_a_policy_rule_sees_the_name_of_the_tool(bench: GateBench, ran: list[Any]) -> None:
    text = 'version: 1\ngates:\n  - id: freeze\n    when: call.tool == "deploy"\n    deny: no deploys this week\n'
    bench.served.engine.policies.propose(bench.person, "organisation", text)
    with pytest.raises(GateClosed, match="no deploys this week"):
        gated(ran)("web")
    with pytest.raises(GateClosed):
        gated(ran, approval_mode="always_require")("web")
    assert (ran, bench.all()) == ([], [])


def test_undo_is_a_gated_call_of_its_own_and_runs_once(
    bench: GateBench, ran: list[Any], apart: Callable[..., Future[Any]]
) -> None:
    undone: list[Any] = []

    def restore(receipt: Receipt[Any]) -> str:
        undone.append(receipt.value)
        return "restored"

    call = apart(gated(ran, undo=restore).gated, "web")
    bench.decide_next()
    receipt = call.result(20)
    back = apart(receipt.undo)
    asked = bench.waiting()[0]
    with pytest.raises(GateClosed, match="undone"):
        receipt.undo()
    assert undone == []
    shown = bench.handoff(asked["handoff_id"])
    assert shown["action"]["tool"] == "deploy.undo"
    assert shown["action"]["arguments"]["of"] == receipt.start_id
    bench.decide(asked["handoff_id"])
    assert back.result(20).value == "restored"
    assert undone == ["web is at 1"]
    assert bench.handoff(asked["handoff_id"])["effect"]["outcome"] == "verified"
    with pytest.raises(GateClosed, match="undone"):
        receipt.undo()
    call = apart(gated(ran).gated, "web")
    bench.decide_next()
    with pytest.raises(UsageError, match="no undo"):
        call.result(20).undo()


def test_an_undo_that_was_not_approved_yet_may_be_called_again(
    bench: GateBench, ran: list[Any]
) -> None:
    deploy = gated(ran, undo=lambda _: "restored", on_wait="raise")
    with pytest.raises(Waiting) as waits:
        deploy("web")
    bench.decide(waits.value.handoff_id)
    receipt = deploy.gated("web")
    with pytest.raises(Waiting) as waits:
        receipt.undo()
    bench.decide(waits.value.handoff_id)
    assert receipt.undo().value == "restored"


def test_equal_calls_do_not_share_a_start_and_others_run_side_by_side(
    bench: GateBench, ran: list[Any], apart: Callable[..., Future[Any]]
) -> None:
    deploy = gated(ran)
    calls = {n: apart(deploy, "web", str(n)) for n in range(6)}
    waiting = bench.waiting(6)
    with pytest.raises(GateClosed, match="under way"):
        deploy("web", "3")
    versions = {
        h["handoff_id"]: bench.handoff(h["handoff_id"])["action"]["arguments"]["version"]
        for h in waiting
    }
    for handoff_id, version in reversed(versions.items()):
        bench.decide(handoff_id, "approve" if int(version) % 2 else "reject")
    for n, call in calls.items():
        if n % 2:
            assert call.result(20) == f"web is at {n}"
        else:
            with pytest.raises(GateClosed):
                call.result(20)
    assert sorted(ran) == [("web", "1"), ("web", "3"), ("web", "5")]


def test_methods_are_bound_to_what_they_are_called_on(bench: GateBench) -> None:
    ran: list[str] = []

    class Site:
        @gate(tool="publish", on_wait="raise", exclude=("self",))
        def publish(self, page: str) -> None:
            ran.append(page)

        @gate(tool="purge", on_wait="raise")
        @classmethod
        def purge(cls, page: str) -> None:
            ran.append(f"{cls.__name__} {page}")

        @staticmethod
        @gate(tool="check", on_wait="raise")
        def check(page: str) -> None:
            ran.append(page)

    for act in (Site().publish, Site.purge, Site().check):
        with pytest.raises(Waiting) as waits:
            act("home")
        bench.decide(waits.value.handoff_id)
        act("home")
    assert ran == ["home", "Site home", "home"]


def test_a_client_and_a_run_may_be_given(
    bench: GateBench, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANDFAST_TOKEN")
    run_id = bench.served.session_run("mine")
    with Client(bench.served.url, bench.served.tokens["agent"]) as client:
        deploy = gated(ran, client=client, run_id=run_id, on_wait="raise")
        with pytest.raises(Waiting) as waits:
            deploy("web")
        assert bench.handoff(waits.value.handoff_id)["run_id"] == run_id
        bench.decide(waits.value.handoff_id)
        assert deploy("web") == "web is at 1"


def test_a_record_that_is_not_taken_does_not_hide_that_it_ran(
    bench: GateBench, apart: Callable[..., Future[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    gone = threading.Event()

    @gate(tool="deploy")
    def deploy(service: str) -> str:
        bench.served.server.stop()
        gone.set()
        return "out"

    call = apart(deploy.gated, "web")
    bench.decide_next()
    receipt = call.result(30)
    assert gone.is_set()
    assert (receipt.value, receipt.recorded) == ("out", False)
    assert "its record was not taken" in caplog.text
    assert bench.handoff(receipt.handoff_id)["effect"] is None  # in doubt there


def test_a_summary_may_state_claims(bench: GateBench, ran: list[Any]) -> None:
    block = '```claims\n[{"claim": "Nobody uses it now", "confidence": 0.6}]\n```'
    tidy = gated(ran, on_wait="raise", summary=lambda *_: f"Ship the shop.\n\n{block}")
    with pytest.raises(Waiting) as waits:
        tidy("web")
    shown = bench.handoff(waits.value.handoff_id)
    assert "claims" not in str(shown["ask"])
    (stated,) = shown["package"]["stated"]
    assert (stated["claim"], stated["confidence"]) == ("Nobody uses it now", "0.6")


# -- in an event loop


async def until(holds: Callable[[], Any]) -> Any:
    for _ in range(2000):
        if found := await asyncio.to_thread(holds):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it never came about")


def waiting_id(bench: GateBench) -> str:
    found = bench.served.engine.views.handoffs("waiting").items
    return str(found[0]["handoff_id"]) if found else ""


def test_an_async_function_waits_without_holding_the_loop(bench: GateBench) -> None:
    ran: list[str] = []

    async def restore(receipt: Receipt[Any]) -> str:
        await asyncio.sleep(0)
        return f"undid {receipt.value}"

    async def preview(service: str) -> str:
        await asyncio.sleep(0)
        return f"would ship {service}"

    @gate(tool="deploy", undo=restore, preview=preview)
    async def deploy(service: str) -> str:
        await asyncio.sleep(0)
        ran.append(service)
        return service

    async def main() -> None:
        task = asyncio.create_task(deploy.gated("web"))
        handoff_id = await until(lambda: waiting_id(bench))
        assert not task.done()
        assert "would ship web" in str(bench.handoff(handoff_id)["package"])
        await asyncio.to_thread(bench.decide, handoff_id)
        receipt = await task
        assert (receipt.value, ran) == ("web", ["web"])
        with pytest.raises(UsageError, match="is async"):
            receipt.undo()
        back = asyncio.create_task(receipt.aundo())
        await asyncio.to_thread(bench.decide, await until(lambda: waiting_id(bench)))
        assert (await back).value == "undid web"

    asyncio.run(main())


def test_a_task_cancelled_while_it_waits_runs_nothing(bench: GateBench) -> None:
    ran: list[str] = []

    @gate(tool="deploy")
    async def deploy(service: str) -> None:
        ran.append(service)

    async def main() -> str:
        task = asyncio.ensure_future(deploy("web"))
        handoff_id: str = await until(lambda: waiting_id(bench))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(bench.decide, handoff_id)
        return handoff_id

    handoff_id = asyncio.run(main())
    assert bench.handoff(handoff_id)["grant"]["status"] == "minted"
    assert ran == []


def test_a_task_cancelled_while_it_runs_is_in_doubt_until_a_person_looked(
    bench: GateBench,
) -> None:
    ran: list[str] = []
    running = threading.Event()

    @gate(tool="deploy", on_wait="raise")
    async def deploy(service: str) -> None:
        ran.append(service)
        running.set()
        await asyncio.sleep(60)

    async def main(handoff_id: str) -> None:
        await asyncio.to_thread(bench.decide, handoff_id)
        task = asyncio.ensure_future(deploy("web"))
        await until(running.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.raises(Waiting) as waits:
        asyncio.run(_awaited(deploy("web")))
    asyncio.run(main(waits.value.handoff_id))
    effect = bench.handoff(waits.value.handoff_id)["effect"]
    assert (effect["outcome"], effect["note"]) == (
        "unknown",
        "cut off while it ran (CancelledError)",
    )
    doubt = bench.waiting()[0]
    assert doubt["kind"] == "doubt"
    with pytest.raises(Waiting) as again:
        asyncio.run(_awaited(deploy("web")))
    assert again.value.handoff_id == doubt["handoff_id"]
    bench.decide(doubt["handoff_id"], "answer", answer="it_ran")
    with pytest.raises(AlreadyRan):
        asyncio.run(_awaited(deploy("web")))
    assert ran == ["web"]


async def _awaited(work: Any) -> Any:
    return await work


# -- a start in doubt


def in_doubt(bench: GateBench, ran: list[Any], **options: Any) -> Any:
    """The function after an approved start of ('web', '1') that never reported."""
    first = gated(ran, on_wait="raise")
    with pytest.raises(Waiting) as waits:
        first("web")
    bench.decide(waits.value.handoff_id)
    agent = bench.served.client("agent")
    detail = bench.handoff(waits.value.handoff_id)
    body = {"action_digest": detail["action_digest"], "executor": "mediated"}
    answer = agent.post(f"/v1/grants/{detail['grant']['grant_id']}/redeem", json=body)
    assert answer.status_code == 201, answer.text
    return gated(ran, **{"on_wait": "raise", **options})


def test_without_a_probe_a_person_settles_the_doubt(bench: GateBench, ran: list[Any]) -> None:
    deploy = in_doubt(bench, ran)
    with pytest.raises(Waiting) as waits:
        deploy("web")
    assert bench.handoff(waits.value.handoff_id)["kind"] == "doubt"
    bench.decide(waits.value.handoff_id, "answer", answer="it_did_not_run")
    with pytest.raises(Waiting) as again:
        deploy("web")
    assert bench.handoff(again.value.handoff_id)["kind"] == "approval"
    bench.decide(again.value.handoff_id)
    assert deploy("web") == "web is at 1"
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("says", "outcome", "raised"),
    [
        ("ran", "verified", AlreadyRan),
        (Ran("web was put out"), "verified", None),
        ("did_not_run", "none", Waiting),
        ("unknown", "unknown", Waiting),
        ("perhaps", None, UsageError),
    ],
)
def test_a_probe_settles_a_start_in_doubt(
    bench: GateBench,
    ran: list[Any],
    says: object,
    outcome: str | None,
    raised: type[Exception] | None,
) -> None:
    seen: list[Any] = []

    def probe(start: Any) -> object:
        seen.append(start)
        return says

    deploy = in_doubt(bench, ran, reconcile=probe)
    if raised is None:
        assert deploy("web") == "web was put out"
    else:
        with pytest.raises(raised):
            deploy("web")
    assert seen[0].arguments == {"service": "web", "version": "1"}
    effect = bench.handoff(seen[0].handoff_id)["effect"]
    assert (effect["outcome"] if effect else None) == outcome
    assert ran == []
    kinds = {h["kind"] for h in bench.served.engine.views.handoffs("waiting").items}
    expected = {"did_not_run": {"approval"}, "unknown": {"doubt"}}
    assert kinds == expected.get(str(says), set())


def test_starts_in_doubt_may_be_settled_at_start_up(bench: GateBench, ran: list[Any]) -> None:
    deploy = in_doubt(bench, ran, reconcile=lambda _: "did_not_run")
    assert list(deploy.reconcile().values()) == ["did_not_run"]
    assert deploy.reconcile() == {}
    assert (ran, bench.served.engine.views.handoffs("waiting").items) == ([], [])


def test_an_idempotent_function_is_asked_for_anew(bench: GateBench, ran: list[Any]) -> None:
    deploy = in_doubt(bench, ran, idempotent=True)
    with pytest.raises(Waiting) as waits:
        deploy("web")
    assert bench.handoff(waits.value.handoff_id)["kind"] == "approval"
    bench.decide(waits.value.handoff_id)
    assert deploy("web") == "web is at 1"
