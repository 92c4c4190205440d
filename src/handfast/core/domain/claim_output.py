"""What the output of a test run says: that tests ran, that none did, that some failed.

Only a sign that a runner prints for tests that ran and were not skipped counts. What prints none, such as a
runner that is told to be silent, shows nothing.
"""

import re
from collections.abc import Sequence
from typing import Final

NOTHING_SAID: Final = "nothing in the output says that a test ran."
_NONE: Final = "by its output it ran no tests."

_RAN_NOTHING: Final = re.compile(
    r"\bRan 0 tests\b|\[no test files\]|\[no tests to run\]|\bNo tests? (?:found|ran|were)\b|\bno tests ran\b|\bcollected 0 items\b"
    r"|\b0 passing\b|\bTests?:? +0 total\b",
    re.IGNORECASE,
)
_RAN_BADLY: Final = re.compile(r"\b[1-9]\d* (?:failed|failing|errors?)\b|^FAILED\b", re.MULTILINE)

# Terminal colours, as they are and as they are written out for a person.
_COLOUR: Final = re.compile(r"(?:\x1b|\u2039U\+001B\u203a)\[[\d;]*[A-Za-z]|\r")
_SCRIPT: Final = (
    r"(?!\S*\.[cm]?[jt]sx?(?:\s|$))"  # node counts a file without tests as one that passed
)
_SIGNS: Final = re.compile(
    "|".join(
        (
            # pytest, cargo test and nextest, jest, vitest, deno, ava, swift-testing; mocha
            r"(?<![\w.])[1-9]\d* (?:tests? )?(?:passed|passing|xpassed|xfailed)\b",
            # pytest -qq: dots and how far it is
            r"^(?:\S+ )?[.sxXFEu]*\.[.sxXFEu]* +\[ *\d+%\] *$",
            # go test
            r"^ok[ \t]+\S+[ \t]+(?:\(cached\)|\d[\d.]*s)(?![^\n]*\[no tests to run\])",
            r"^ *--- PASS: \w",
            r"^OK \([1-9]\d* tests?,",  # phpunit
            r"^\d+% tests passed, 0 tests failed out of [1-9]",  # ctest
            r"^Files=\d+, Tests=[1-9]",  # prove
            r"\bPassed: +[1-9]\d*\b",  # dotnet test
            r"^\S.* > .+ PASSED *$",  # gradle with testLogging
        )
    ),
    re.MULTILINE,
)
# How many ran, and how many of them were only skipped.
_COUNTED: Final = tuple(
    (re.compile(ran, re.MULTILINE), re.compile(skipped))
    for ran, skipped in (
        (r"^Ran (\d+) tests?(?= in\b)[\s\S]{0,80}", r"(?:skipped|skips)=(\d+)"),  # unittest, trial
        (r"\bTests run: (\d+), Failures[^\n]*", r"Skipped: (\d+)"),  # maven
        (r"\bExecuted (\d+) tests?\b[^\n]*", r"with (\d+) tests? skipped"),  # swift
        (r"^(\d+) examples?, 0 failures[^\n]*", r"(\d+) pending"),  # rspec
        (r"^(\d+) runs, \d+ assertions, 0 failures[^\n]*", r"(\d+) skips"),  # minitest
        (r"^(\d+) tests?, 0 failures[^\n]*", r"(\d+) (?:skipped|excluded)"),  # mix test, bats
        (r"^DONE (\d+) tests?\b[^\n]*", r"(\d+) skipped"),  # gotestsum
    )
)
_TAP: Final = re.compile(
    rf"^ *ok \d+ (?:- )?+{_SCRIPT}\S(?![^\n]*# *(?:skip|todo))", re.MULTILINE | re.IGNORECASE
)
_TICKED: Final = re.compile(rf"^ *[\u2714\u2713] {_SCRIPT}\S[^\n]*\(\d[\d.]*ms\)", re.MULTILINE)
_NODE: Final = re.compile(r"^(?:#|\u2139) pass (\d+) *$", re.MULTILINE)
_PLAN: Final = re.compile(r"^1\.\.[1-9]", re.MULTILINE)

_PRINTS: Final = re.compile(r"(?:\S*/)?(?:echo|printf|cat|yes|seq|jq|base64|xxd)\s+\S")
_MAY_SAY: Final = re.compile(
    r"\d|[$*?~`]|\b(?:ok|pass\w*)\b|^(?:\S*/)?(?!echo|printf)", re.IGNORECASE
)


def silent(output: str, others: Sequence[str] = ()) -> str:
    """Why the output of a run that ended with 0 does not say that tests ran; '' where it does. `others` are the
    other commands of the call: one that prints text of its own choice makes the output worth nothing."""
    plain = _COLOUR.sub("", output)
    if any(_PRINTS.match(words) and _MAY_SAY.search(words) for words in others):
        return "another command of the call may have printed what its output says."
    if _says(plain):
        return ""
    return _NONE if _RAN_NOTHING.search(plain) else NOTHING_SAID


def failures(output: str) -> bool:
    """Whether the output tells of tests that failed."""
    return bool(_RAN_BADLY.search(_COLOUR.sub("", output)))


def _says(output: str) -> bool:
    if _SIGNS.search(output):
        return True
    if any(
        _not_all_skipped(match[0], int(match[1]), skipped) for match, skipped in _totals(output)
    ):
        return True
    passed = _NODE.search(output)
    if passed:
        named = _TAP.search(output) or _TICKED.search(output)
        return int(passed[1]) > 0 and bool(named)
    return bool(_PLAN.search(output) and _TAP.search(output))


def _totals(output: str) -> list[tuple[re.Match[str], re.Pattern[str]]]:
    return [(match, skipped) for ran, skipped in _COUNTED for match in ran.finditer(output)]


def _not_all_skipped(text: str, ran: int, skipped: re.Pattern[str]) -> bool:
    left_out = skipped.search(text)
    return ran > (int(left_out[1]) if left_out else 0)
