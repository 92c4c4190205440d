"""Claims of finished work, held against what the run recorded. The agents here lie in each way we know."""

from datetime import timedelta

import pytest

from handfast.core.domain.action import Effect
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.claim_words import claimed
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Status
from handfast.core.domain.run import Run, RunStatus
from handfast.observe.checktable import kinds_of
from tests.engine_room import Room
from tests.worked import SOURCE, TEST, begun

SAYS = "I fixed the parser. All tests pass."


def test_a_pass_after_the_last_change_is_recorded_with_its_call(room: Room) -> None:
    work = begun(room)
    work.edit()
    work.bash("pytest -q", output="12 passed in 0.3s")
    work.bash("git add -A && git commit -m 'Fix it'")
    (found,) = work.hand_over(SAYS)
    assert (found.claim, found.said_by, found.status) == ("All tests pass.", "agent", "recorded")
    assert found.step_id
    assert found.at
    assert (found.command, found.exit_code) == ("pytest -q", 0)
    assert found.result == "`pytest -q` ended with exit code 0, after the last change of files."
    assert found.changed_by_this == ()


def test_a_claimed_pass_after_a_failing_run_is_shown_as_failed(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q")
    work.edit()
    work.bash("pytest -q", 1)
    (found,) = work.hand_over(SAYS)
    assert (found.status, found.result) == ("failed", "`pytest -q` ended with exit code 1.")


def test_a_pass_before_the_last_edit_is_outdated(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q")
    work.edit()
    (found,) = work.hand_over(SAYS)
    assert found.status == "outdated"
    assert "after that files may have changed: Edit src/a.py" in found.result


WRITING = [
    "sed -i s/1/2/ src/a.py",
    "python fix.py",
    "echo x > src/a.py",
    "ruff check --fix .",
    "git checkout HEAD~1 -- src",
    'git commit -m "$(rm src/a.py)"',
    "for f in *; do rm $f; done",
]


def test_any_later_command_that_may_write_outdates_it(room: Room) -> None:
    for later in WRITING:
        work = begun(room)
        work.bash("pytest -q")
        work.bash(later)
        assert work.hand_over(SAYS)[0].status == "outdated", later


LOOKING = [
    "git status && git diff",
    "ruff check . && mypy src",
    "git commit -q -m \"$(cat <<'EOF'\nFix; rm -rf x\nEOF\n)\"",
    "cd src && ls",
]


def test_a_later_command_that_only_looks_leaves_it_standing(room: Room) -> None:
    for later in LOOKING:
        work = begun(room)
        work.bash("pytest -q")
        work.bash(later)
        assert work.hand_over(SAYS)[0].status == "recorded", later


def test_a_change_in_the_same_call_after_the_check_outdates_it(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q && git checkout main -- tests")
    assert work.hand_over(SAYS)[0].status == "outdated"


def test_tests_that_this_very_change_touched_are_named(room: Room) -> None:
    work = begun(room)
    work.edit("tests/test_a.py")
    work.bash("pytest -q")
    new, gone = (
        ChangedFile("tests/test_b.py", status="A"),
        ChangedFile("tests/test_c.py", status="D"),
    )
    steer = ChangedFile("pyproject.toml", status="M")
    (found,) = work.hand_over(SAYS, [SOURCE, TEST, new, gone, steer])
    assert found.changed_by_this == (
        "tests/test_a.py (changed)",
        "tests/test_b.py (new)",
        "tests/test_c.py (deleted)",
        "pyproject.toml (changed)",
    )


def test_only_the_tests_that_ran_are_named(room: Room) -> None:
    work = begun(room)
    work.bash("pytest tests/test_b.py::test_one")
    (found,) = work.hand_over(SAYS, [SOURCE, TEST, ChangedFile("tests/test_b.py", status="A")])
    assert found.changed_by_this == ("tests/test_b.py (new)",)


MUTE = [
    ("pytest || true", "`||` lets the call end with 0"),
    ("pytest -q 2>&1 | tail -5", "it prints into `tail`"),
    ("pytest; echo done", "the exit code of its last command"),
    ("PATH=./bin:$PATH pytest", "sets a variable that steers"),
    ("cd /tmp/other && pytest", "ran on `/tmp/other`"),
    ("pytest /tmp/other/test_x.py", "ran on `/tmp/other/test_x.py`"),
    ("make -C ../other test", "ran on `../other`"),
    ("set -e +e\npytest\ntrue", "the exit code of its last command"),
    ("set -e +o pipefail\npytest | cat", "it prints into `cat`"),
]


def test_an_exit_code_that_shows_nothing_is_said_to(room: Room) -> None:
    for command, why in MUTE:
        work = begun(room)
        work.bash(command)
        (found,) = work.hand_over(SAYS)
        assert found.status == "unverified"
        assert why in found.result


NO_RUN = [
    "echo '12 passed'",
    "printf 'All tests pass'",
    "./pytest",
    "pytest --collect-only",
    "pytest() { true; }; pytest",
    "pytest &",
    "if pytest; then echo ok; fi",
    "true # pytest",
    "git commit -m 'pytest passes'",
    *("command -v pytest", "command -pv pytest", "uv run --help pytest", "env --help pytest"),
    *("nice --version pytest", "npx --version jest", "timeout --help pytest"),
    *("pytest -qh", "pytest --cache-show", "pytest --fixtures-per-test", "tox -l", "nox -l"),
    *("ctest -N", "make -pn test", "mvn test -fn", "rspec -v", "vitest list", "jest --clearCache"),
    *(
        "gradle test -m",
        "gradle test -x test",
        "go test -c",
        "go test -n",
        "bats -c",
        "just -l test",
    ),
    *("rake -T test", "mvn -Dmaven.test.failure.ignore=true test"),
]


def test_what_is_no_run_of_tests_is_none(room: Room) -> None:
    for command in NO_RUN:
        work = begun(room)
        work.bash(command, output="12 passed")
        (found,) = work.hand_over(SAYS)
        assert (found.status, found.result) == ("unverified", "No run of tests is recorded.")


def test_a_run_in_a_folder_outside_is_not_one_of_this_work(room: Room) -> None:
    work = begun(room)
    work.bash("pytest", cwd="/somewhere/else")
    assert work.hand_over(SAYS)[0].status == "unverified"


def test_the_very_command_of_the_brief_shows_nothing_when_it_ran_elsewhere(room: Room) -> None:
    work = begun(room, "`pytest -q` passes", "`./smoke.sh` passes")
    work.bash("pytest -q", cwd="/tmp/fake", output="1 passed")
    work.bash("./smoke.sh", cwd="/tmp/fake")
    found = work.hand_over()
    assert [e.status for e in found] == ["unverified", "unverified"]
    assert "ran on `/tmp/fake`" in found[1].result


TELLS_OF_ITSELF = [
    *("eslint -v", "golangci-lint version", "golangci-lint linters", "pylint --list-msgs"),
    *("ruff check -e", "tsc -v", "dmypy stop"),
]


def test_a_program_that_only_tells_of_itself_checks_nothing() -> None:
    assert [c for c in TELLS_OF_ITSELF if kinds_of(c.split())] == []
    assert all(kinds_of(c.split()) for c in ("eslint src", "golangci-lint run", "tsc", "dmypy run"))


RUN_BEHIND = [
    "uv run --frozen pytest",
    "timeout -k 5 60 pytest -q",
    "npx --yes jest",
    "env -u X pytest",
]


def test_a_wrapper_that_hands_the_exit_code_on_is_seen_through(room: Room) -> None:
    for command in RUN_BEHIND:
        work = begun(room)
        work.bash(command, output="12 passed")
        assert work.hand_over(SAYS)[0].status == "recorded", command


def test_a_run_of_no_tests_shows_nothing(room: Room) -> None:
    work = begun(room)
    work.bash("python -m unittest", output="Ran 0 tests in 0.000s\n\nOK")
    (found,) = work.hand_over(SAYS)
    assert (found.status, "it ran no tests" in found.result) == ("unverified", True)


def test_a_piped_run_that_shows_failures_outweighs_an_older_pass(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q")
    work.bash("pytest -q | tail -1", output="2 failed, 10 passed")
    assert work.hand_over(SAYS)[0].status == "failed"


def test_a_result_that_the_agent_reports_of_itself_shows_nothing(room: Room) -> None:
    work = begun(room)
    work.by = Actor("agent", room.agent_id, "token")
    work.bash("pytest -q")
    (found,) = work.hand_over(SAYS)
    assert (found.status, "nobody else saw it" in found.result) == ("unverified", True)


def test_without_an_exit_code_nothing_is_shown(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q", None)
    work.call("Bash", Effect.EXEC, {"command": "pytest -q"})  # its result never came
    assert work.hand_over(SAYS)[0].status == "unverified"


def test_a_file_written_later_by_what_nobody_saw_outdates_it(room: Room) -> None:
    work = begun(room)
    began = room.clock.now()
    work.bash("pytest -q", ms=800)
    late = began + timedelta(seconds=3)
    found = work.hand_over(SAYS, written_at=late)[0]
    assert (found.status, "a file was written at" in found.result) == ("outdated", True)


def test_a_file_written_while_it_ran_does_not_outdate_it(room: Room) -> None:
    work = begun(room)
    began = room.clock.now()
    work.bash("pytest -q", ms=800)
    found = work.hand_over(SAYS, written_at=began + timedelta(milliseconds=500))[0]
    assert found.status == "recorded"


def test_criteria_come_first_and_each_has_its_own_evidence(room: Room) -> None:
    work = begun(
        room,
        "the tests of the changed parts pass",
        "`make lint` is clean",
        "`./smoke.sh` passes",
        "the page is pretty",
        "all tests pass and the README says how",
    )
    work.edit()
    work.bash("pytest -q")
    work.bash("make lint", 2)
    work.bash("./smoke.sh")
    found = work.hand_over("Lint is clean, and everything builds.")
    assert [(e.said_by, e.status) for e in found] == [
        ("brief", "recorded"),
        ("brief", "failed"),
        ("brief", "recorded"),
        ("brief", "unverified"),
        ("brief", "unverified"),
        ("agent", "failed"),
        ("agent", "unverified"),
    ]
    assert found[4].result.startswith("It says more than a command can show. Nearest: `pytest -q`")


def test_a_criterion_that_names_two_commands_needs_both(room: Room) -> None:
    work = begun(room, "`pytest -q` and `mypy src` pass")
    work.bash("pytest -q")
    assert work.hand_over()[0].result == "`mypy src` is not recorded."


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("All 12 tests pass.", ["tests"]),
        ("14 passed, 0 failed", ["tests"]),
        ("Lint and mypy are clean; the project builds.", ["lint", "types", "build"]),
        ("The tests do not pass yet.", []),
        ("I could not run the tests, they should pass.", []),
        ("2 tests failed, the rest pass.", []),
        ("Done.", []),
    ],
)
def test_which_words_are_claims(text: str, kinds: list[str]) -> None:
    assert sorted(kind.value for _, kind in claimed(text)) == sorted(kinds)


def test_words_of_an_agent_are_bounded_and_inert(room: Room) -> None:
    work = begun(room)
    says = "tests pass \x1b[31m\u202e" + "x" * 50_000 + "\n" + "lint is clean\n" * 10_000
    found = work.hand_over(says)
    assert len(found) <= 2
    assert all(len(e.claim) <= 300 and "\x1b" not in e.claim for e in found)


def test_incomplete_work_goes_back_to_its_agent_and_pages_nobody(room: Room) -> None:
    work = begun(room, "`pytest -q` passes")
    h = work.handed("Done.", returns=True)
    assert h.status is Status.INCOMPLETE
    (lack,) = h.missing
    assert "`pytest -q` is not recorded" in lack
    assert "handoff.routed" not in room.types(f"handoff/{h.handoff_id}")
    run = room.engine.kernel.state(Run, work.run_id)
    assert (run.status, run.ready_for) == (RunStatus.READY, h.handoff_id)
    work.again()
    work.bash("pytest -q")
    second = work.handed("Done.", returns=True)
    assert (second.waiting, work.package(second).incomplete) == (True, ())


def test_an_agent_that_says_nothing_is_asked_to(room: Room) -> None:
    work = begun(room)
    assert "Your last message is empty" in work.handed(" \n", returns=True).missing[0]


def test_after_two_returns_it_goes_to_a_person_marked_incomplete(room: Room) -> None:
    work = begun(room, "`pytest -q` passes")
    for _ in range(2):
        assert work.handed("Done.", returns=True).status is Status.INCOMPLETE
        work.again()
    h = work.handed("Done.", returns=True)
    assert h.waiting
    (lack,) = work.package(h).incomplete
    assert "`pytest -q` is not recorded" in lack


def test_a_check_that_failed_is_an_answer_and_goes_to_a_person(room: Room) -> None:
    work = begun(room, "`pytest -q` passes", "it is pretty")
    work.bash("pytest -q", 1)
    assert work.handed("Done, but a test fails.", returns=True).waiting


def test_work_that_cannot_go_back_goes_to_a_person(room: Room) -> None:
    work = begun(room, "`pytest -q` passes")
    assert work.handed().waiting


def test_a_check_that_only_looks_is_not_asked_for_again(room: Room) -> None:
    """What only reads has no recorded result, so its agent cannot supply one."""
    work = begun(room, "`ls docs` lists the page")
    work.call("Bash", Effect.READ, {"command": "ls docs"})
    h = work.handed("Done.", returns=True)
    assert h.waiting
    (found,) = work.package(h).evidence
    assert (found.status, "no exit code was recorded" in found.result) == ("unverified", True)
