"""What the output of test runners says. Those marked `real` were printed by the program itself, the others stand in
the documentation of the runner."""

import pytest

from handfast.core.domain.claim_output import NOTHING_SAID, failures, silent
from tests.engine_room import Room
from tests.worked import begun

_NODE_TAIL = "# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n# duration_ms 274.8\n"
RAN = {
    "pytest (real)": "collected 2 items\n\ntest_a.py ..    [100%]\n\n===== 2 passed in 0.51s =====\n",
    "pytest -q (real)": "..                                    [100%]\n2 passed in 0.27s\n",
    "pytest -qq (real)": "..                                    [100%]\n",
    "pytest in colour": "\x1b[32m\x1b[32m\x1b[1m2 passed\x1b[0m\x1b[32m in 0.2s\x1b[0m\n",
    "unittest (real)": "..\n-----\nRan 2 tests in 0.000s\n\nOK\n",
    "unittest -q (real)": "-----\nRan 2 tests in 0.000s\n\nOK\n",
    "unittest, one skipped": "s.\n-----\nRan 2 tests in 0.000s\n\nOK (skipped=1)\n",
    "node --test (real)": "TAP version 13\n# Subtest: x\nok 1 - x\n  ---\n  ...\n1..1\n# tests 1\n# pass 1\n"
    + _NODE_TAIL,
    "node --test, spec (real)": "\u2714 x (2.603246ms)\n\u2139 tests 1\n\u2139 pass 1\n",
    "cargo test (real)": "running 2 tests\ntest b ... ignored\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n",
    "cargo test -q (real)": "running 2 tests\ni.\ntest result: ok. 1 passed; 0 failed; 1 ignored\n",
    "ctest (real)": "1/1 Test #1: a ....   Passed    0.01 sec\n\n100% tests passed, 0 tests failed out of 1\n",
    "go test": "ok  \texample.org/a\t0.012s\n?   \texample.org/b\t[no test files]\n",
    "go test, cached": "ok  \texample.org/a\t(cached)\n",
    "go test -v": "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n",
    "gotestsum": "DONE 12 tests, 2 skipped in 0.31s\n",
    "jest": "PASS src/a.test.js\nTests:       3 passed, 3 total\n",
    "vitest in colour": "\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m3 passed\x1b[39m\x1b[22m (3)\n",
    "npm test with mocha": "> shop@1.0.0 test\n> mocha\n\n  3 passing (5ms)\n",
    "make test with pytest": "pytest -q\n..                 [100%]\n2 passed in 0.27s\n",
    "tox": "py: commands[0]> pytest -q\n2 passed in 0.2s\n  py: OK (0.5=setup[0.1]+cmd[0.4] seconds)\n",
    "trial": "Ran 3 tests in 0.1s\n\nPASSED (successes=3)\n",
    "rspec": "Finished in 0.01 seconds\n3 examples, 0 failures, 1 pending\n",
    "minitest": "3 runs, 5 assertions, 0 failures, 0 errors, 0 skips\n",
    "maven": "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 1\n",
    "gradle with testLogging": "> Task :test\n\nPriceTest > addsUp() PASSED\n\nBUILD SUCCESSFUL in 1s\n",
    "dotnet": "Passed!  - Failed:     0, Passed:     3, Skipped:     0, Total:     3\n",
    "swift": "Executed 3 tests, with 0 failures (0 unexpected) in 0.01 seconds\n",
    "mix": "3 tests, 0 failures, 1 excluded\n",
    "phpunit": "OK (3 tests, 5 assertions)\n",
    "bats": "1..2\nok 1 adds\nok 2 takes away # skip\n",
    "prove": "All tests successful.\nFiles=1, Tests=3,  0 wallclock secs\nResult: PASS\n",
    "deno": "ok | 3 passed | 0 failed (10ms)\n",
}
NONE = {
    "nothing": "",
    "silence of a recipe": "make: 'test' is up to date.\n",
    "a builder's word": "BUILD SUCCESSFUL in 1s\n2 actionable tasks: 2 up-to-date\n",
    "gradle without testLogging": "> Task :test UP-TO-DATE\nBUILD SUCCESSFUL\n",
    "an echo": "All tests pass\nOK\ndone\n",
    "unittest, none (real)": "-----\nRan 0 tests in 0.000s\n\nOK\n",
    "unittest, all skipped (real)": "s\n-----\nRan 1 test in 0.000s\n\nOK (skipped=1)\n",
    "pytest, all skipped (real)": "s                  [100%]\n1 skipped in 0.14s\n",
    "pytest, collected (real)": "test_a.py::A::test_a\n\n2 tests collected in 0.20s\n",
    "node, a file without tests (real)": "TAP version 13\n# hi\n# Subtest: /w/none.js\nok 1 - /w/none.js\n1..1\n# tests 1\n# pass 1\n"
    + _NODE_TAIL,
    "node, such a file, spec (real)": "\u2714 /w/none.js (287.7ms)\n\u2139 tests 1\n\u2139 pass 1\n",
    "cargo, none (real)": "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n",
    "ctest -Q (real)": "",
    "ctest, none (real)": "Test project /w/ct\nNo tests were found!!!\n",
    "go, none": "ok  \texample.org/a\t0.002s [no tests to run]\n?   \texample.org/b\t[no test files]\n",
    "go, PASS alone": "testing: warning: no tests to run\nPASS\n",
    "maven, all skipped": "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 3\n",
    "maven, none": "[INFO] No tests to run.\n[INFO] BUILD SUCCESS\n",
    "rspec, none": "0 examples, 0 failures\n",
    "rspec, all pending": "3 examples, 0 failures, 3 pending\n",
    "mocha, none": "  0 passing (1ms)\n",
    "jest, none": "No tests found, exiting with code 0\n",
    "dotnet, none": "No test is available in /w/a.dll.\n",
    "swift, all skipped": "Executed 3 tests, with 3 tests skipped and 0 failures\n",
    "bats, all skipped": "1..1\nok 1 adds # skip not here\n",
    "versions": "pytest 9.2.0\n10 packages installed, 0 passed\n",
}


@pytest.mark.parametrize("name", RAN)
def test_an_output_says_that_tests_ran(name: str) -> None:
    assert silent(RAN[name]) == ""


@pytest.mark.parametrize("name", NONE)
def test_an_output_without_a_sign_says_nothing(name: str) -> None:
    assert silent(NONE[name])


def test_without_any_sign_that_is_the_reason() -> None:
    assert silent("All good") == NOTHING_SAID


@pytest.mark.parametrize(
    "other",
    ["echo 3 passed", "printf '%s passed' 3", "echo $LAST", "cat old.log", "echo all tests pass"],
)
def test_a_command_that_prints_what_it_likes_takes_the_worth(other: str) -> None:
    assert "another command" in silent("3 passed in 0.1s", [other])


def test_others_that_print_no_such_thing_do_not() -> None:
    for other in ("cd src", "echo done", "ruff check .", "git status", "tail -3", "cat"):
        assert silent("3 passed in 0.1s", [other]) == "", other


def test_failures_are_seen_through_colour() -> None:
    assert failures("\x1b[31m1 failed\x1b[0m, \x1b[32m3 passed\x1b[0m")
    assert not failures("3 passed, 0 failed")


def test_a_silent_run_is_unverified_and_says_why(room: Room) -> None:
    work = begun(room, "the tests pass")
    work.bash("pytest -q > /dev/null", output="")
    found = work.hand_over("All tests pass.")
    assert {(e.status, NOTHING_SAID in e.result) for e in found} == {("unverified", True)}


def test_an_older_run_that_says_so_counts_before_a_silent_one(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q")
    work.bash("pytest -q", output="")
    assert work.hand_over("All tests pass.")[0].status == "recorded"


def test_only_claims_of_tests_need_a_sign(room: Room) -> None:
    work = begun(room, "lint is clean", "`./smoke.sh` passes")
    work.bash("ruff check .", output="")
    work.bash("./smoke.sh", output="")
    assert [e.status for e in work.hand_over()][1] == "recorded"
