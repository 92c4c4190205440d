"""What switches the hook off, and which way of installing it holds. Seen with 2.1.330."""

from typing import Any

import pytest

from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, script
from tests.agents.bench import Bench, Place
from tests.agents.stub_hook import StubHook, allow, deny

pytestmark = pytest.mark.agents

ONE_CALL: list[Turn] = [["I will.", bash("echo ran > out.txt")], "finished"]
OFF = {"disableAllHooks": True}
KEEP: dict[str, Any] = {"disableAllHooks": False}


def runs_past(bench: Bench, place: Place, *arguments: str, **options: Any) -> bool:
    """Whether a call that our hook would deny runs."""
    settings = options.pop("settings", {})
    with StubHook(lambda _: deny("no")) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url, place, **settings)
        bench.run(model, *arguments, **options)
    return bench.wrote() is not None


@pytest.mark.parametrize("place", ["local", "project", "user"])
def test_trap_any_settings_file_can_switch_all_hooks_off(bench: Bench, place: Place) -> None:
    bench.place(place, OFF)
    assert runs_past(bench, "flag")


@pytest.mark.parametrize("place", ["local", "project", "user"])
def test_a_settings_file_of_the_run_that_says_otherwise_holds(bench: Bench, place: Place) -> None:
    bench.place(place, OFF)
    assert not runs_past(bench, "flag", settings=KEEP)


def test_local_settings_that_say_otherwise_hold_against_the_project(bench: Bench) -> None:
    bench.place("project", OFF)
    assert not runs_past(bench, "local", settings=KEEP)


def test_trap_user_settings_do_not(bench: Bench) -> None:
    bench.place("project", OFF)
    assert runs_past(bench, "user", settings=KEEP)


def test_loading_no_other_settings_holds(bench: Bench) -> None:
    bench.place("local", OFF)
    assert not runs_past(bench, "flag", "--setting-sources", "")


@pytest.mark.parametrize("flag", ["--bare", "--safe-mode"])
def test_trap_flags_that_skip_hooks(bench: Bench, flag: str) -> None:
    assert runs_past(bench, "flag", flag, settings=KEEP)


@pytest.mark.parametrize("variable", ["CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE"])
def test_trap_variables_that_skip_hooks(bench: Bench, variable: str) -> None:
    assert runs_past(bench, "flag", settings=KEEP, env={variable: "1"})


def test_a_project_cannot_set_those_variables(bench: Bench) -> None:
    skip = {"CLAUDE_CODE_SIMPLE": "1", "CLAUDE_CODE_SAFE_MODE": "1"}
    bench.place("project", {"env": skip})
    assert not runs_past(bench, "flag", settings=KEEP)


@pytest.mark.parametrize("place", ["local", "flag"])
def test_trap_one_bad_value_voids_the_whole_file(bench: Bench, place: Place) -> None:
    assert runs_past(bench, place, settings={"cleanupPeriodDays": "soon"})


def test_trap_a_time_out_of_zero_voids_the_whole_file(bench: Bench) -> None:
    with StubHook(lambda _: deny("no")) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.place("local", bench.hook_settings(hook.url, timeout_s=0))
        bench.run(model)
    assert bench.wrote() == "ran"


def test_a_bad_value_elsewhere_does_no_harm(bench: Bench) -> None:
    bench.place("project", {"cleanupPeriodDays": "soon"})
    assert not runs_past(bench, "local", settings={"unknown_key": 1})


def test_a_project_that_forbids_hook_addresses_only_blocks(bench: Bench) -> None:
    bench.place("project", {"allowedHttpHookUrls": []})
    assert not runs_past(bench, "flag")


@pytest.mark.parametrize("keep", [False, True])
def test_settings_are_read_again_while_the_agent_works(bench: Bench, keep: bool) -> None:
    """An agent that writes settings acts at once; a run file that says otherwise holds."""
    switch = "mkdir -p .claude; echo '{\"disableAllHooks\":true}' > .claude/settings.local.json"
    turns: list[Turn] = [[bash(f"{switch}; sleep 2")], [bash("echo ran > out.txt")], "finished"]

    def first_only(payload: dict[str, Any]) -> dict[str, Any]:
        return allow() if "settings" in payload["tool_input"]["command"] else deny("no")

    with StubHook(first_only) as hook, FakeAnthropic(script(turns)) as model:
        bench.hook(hook.url, "flag", **(KEEP if keep else {}))
        bench.run(model)
    assert len(hook.asked) == (2 if keep else 1)
    assert bench.wrote() == (None if keep else "ran")


def test_the_settings_file_of_the_run_is_read_once(bench: Bench) -> None:
    turns: list[Turn] = [
        [bash(f"echo '{{}}' > {bench.flag_file}; sleep 2")],
        [bash("echo ran > out.txt")],
    ]

    def first_only(payload: dict[str, Any]) -> dict[str, Any]:
        return deny("no") if "out.txt" in payload["tool_input"]["command"] else allow()

    with StubHook(first_only) as hook, FakeAnthropic(script(turns)) as model:
        bench.hook(hook.url, "flag", **KEEP)
        bench.run(model)
    assert len(hook.asked) == 2
    assert bench.wrote() is None


def test_trap_a_proxy_takes_the_hook_unless_loopback_is_excepted(bench: Bench) -> None:
    nobody = "http://127.0.0.1:9"
    with StubHook(lambda _: allow()) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        by_name = model.url.replace("127.0.0.1", "localhost")
        proxied = {"HTTP_PROXY": nobody, "HTTPS_PROXY": nobody, "NO_PROXY": "localhost"}
        bench.run(model, env={**proxied, "ANTHROPIC_BASE_URL": by_name})
    assert not hook.asked
    assert bench.wrote() is None
