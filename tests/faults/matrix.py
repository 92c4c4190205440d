"""Which fault points there are, where each is reached, and what may strike there.

A new point gets a line in `CASES` or in `ELSEWHERE`; `test_matrix` fails while it has none, and while no
test of the suite kills a process there.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import pytest
from _pytest.mark import ParameterSet

Kind = Literal["kill", "raise", "stop", "full"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DATABASES = ("sqlite", "postgres")


@dataclass(frozen=True)
class Case:
    """The `nth` time that `part` comes by `point` in a story of `stories`."""

    point: str
    part: Literal["server", "runner", "exec"]
    story: Literal["hooked", "executed", "run"]
    nth: int = 1

    def fault(self, kind: Kind) -> str:
        return f"{self.point}:{kind}:{self.nth}"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What makes sense here. What an executor or a runner starts inherits its limits, so a disk is full
        for them only where the effect is somebody else's. A frozen executor is frozen for who waits for it."""
        if self.part == "exec":
            return ("kill", "raise")
        if (self.part, self.story) == ("runner", "run"):
            return ("kill", "raise", "stop")
        return KINDS


# The server's commits in a hooked story: it started, the run, the proposal, the decision, the start, the
# result. The proposal is made twice: it opens the case, and after the decision it takes the start.
CASES = (
    *(Case(f"action.{when}_commit", "server", "hooked", n) for when in ("before", "after") for n in (1, 2)),
    *(Case(f"decision.{when}_commit", "server", "hooked") for when in ("before", "after")),
    Case("result.before_commit", "server", "hooked"),
    *(Case(f"store.{when}_commit", "server", "hooked", n) for n in (3, 5, 6) for when in ("before", "after")),
    Case("hook.before_propose", "runner", "hooked"),
    Case("hook.after_propose", "runner", "hooked", 1),
    Case("hook.after_propose", "runner", "hooked", 2),
    Case("handoff.before_wait", "runner", "hooked"),
    Case("hook.after_decision", "runner", "hooked"),
    Case("grant.before_redeem", "server", "executed"),
    Case("grant.redeemed", "server", "executed"),
    Case("effect.before_commit", "server", "executed"),
    Case("effect.after_commit", "server", "executed"),
    Case("exec.before_run", "exec", "executed"),
    Case("exec.after_run", "exec", "executed"),
    Case("run.before_start", "runner", "run"),
    Case("run.after_start", "runner", "run"),
    Case("merge.before_update", "runner", "run"),
    Case("merge.after_update", "runner", "run"),
    Case("lease.before_take", "server", "run"),
    Case("lease.after_take", "server", "run"),
    Case("runner.after_lease", "runner", "run"),
    Case("runner.before_heartbeat", "runner", "run"),
)  # fmt: skip

# Reached by nothing that these stories do; each names the test that kills a process there.
_TWO_RUNNERS = "tests/faults/test_killed_beside.py"
_OPENING = (
    "tests/faults/test_checkpoints.py::test_killed_while_it_opens_it_is_opened_once_and_told_of"
)
_RELAY = (
    "tests/faults/test_relay_killed.py::test_killed_at_every_point_each_delivery_has_its_effect"
)
_RESTORE = "tests/integration/test_db_commands.py::test_a_kill_leaves_the_target_empty_and_it_is_done_again"
_HANDS = "tests/faults/test_taken_over.py::test_around_the_hands"
ELSEWHERE = {
    "checkpoint.before_commit": _OPENING,
    "checkpoint.after_commit": _OPENING,
    "takeover.before_handed_over": _HANDS,
    "takeover.before_recorded": _HANDS,
    "takeover.after_recorded": _HANDS,
    "run.before_release": f"{_TWO_RUNNERS}::test_while_a_stopped_runner_gives_the_run_back",
    "runner.before_restore": f"{_TWO_RUNNERS}::test_before_the_snapshot_of_another_runner_is_restored",
    "snapshot.before_push": f"{_TWO_RUNNERS}::test_around_the_push_of_a_snapshot",
    "snapshot.after_push": f"{_TWO_RUNNERS}::test_around_the_push_of_a_snapshot",
    "merge.edited": "tests/integration/test_run_crash.py::test_an_edited_merge_settles_once_after_a_kill",
    "merge.before_push": f"{_TWO_RUNNERS}::test_around_the_push_of_a_merge",
    "merge.after_push": f"{_TWO_RUNNERS}::test_around_the_push_of_a_merge",
    "relay.before_handover": _RELAY,
    "relay.after_handover": _RELAY,
    "relay.before_deliver": _RELAY,
    "relay.after_deliver": _RELAY,
    "relay.before_mark": _RELAY,
    "notify.after_send": "tests/faults/test_notify_killed.py"
    "::test_killed_between_sending_and_recording_it_is_sent_again_with_the_same_id",
    "backup.page": "tests/integration/test_db_commands.py::test_a_killed_backup_leaves_no_file",
    "restore.page": _RESTORE,
    "restore.before_commit": _RESTORE,
    "upgrade.before_commit": "tests/conformance/test_sql_migrate.py"
    "::test_a_kill_in_the_middle_leaves_the_old_schema",
}


@dataclass(frozen=True)
class Played:
    """One cell of the matrix."""

    case: Case
    kind: Kind
    database: str

    def __str__(self) -> str:
        return f"{self.case.part}-{self.case.fault(self.kind)}-{self.database}"


def cells(cases: Iterable[Case] = CASES) -> Iterator[Played]:
    """The whole of it."""
    for case in cases:
        for kind in case.kinds:
            yield from (Played(case, kind, database) for database in DATABASES)


# One of each kind where it does most: all but the kills, which the tests of each story play.
IN_THE_SUITE = {
    "raise": {("server", "store.after_commit", 5), ("runner", "hook.after_propose", 2)},
    "stop": {("server", "store.before_commit", 5), ("runner", "hook.after_decision", 1)},
    "full": {("server", "store.before_commit", 5), ("runner", "hook.before_propose", 1)},
}


def everything() -> bool:
    return os.environ.get("HANDFAST_TEST_MATRIX") == "all"


def on(database: str, *values: object, name: str = "") -> ParameterSet:
    """A parameter set that begins with the kind of database."""
    marks = [pytest.mark.postgres] if database == "postgres" else []
    return pytest.param(
        database, *values, id=name or f"{database}-{'-'.join(map(str, values))}", marks=marks
    )


def spread(faults: Iterable[str]) -> list[ParameterSet]:
    """Each fault on one kind of database, in turn; on both with `HANDFAST_TEST_MATRIX=all`."""
    return [
        on(database, fault)
        for number, fault in enumerate(faults)
        for database in (DATABASES if everything() else DATABASES[number % 2 :][:1])
    ]


def chosen() -> list[Played]:
    """What `make test` plays: each kind on each database. All with `HANDFAST_TEST_MATRIX=all`."""
    if everything():
        return list(cells())
    return [
        cell
        for cell in cells()
        if (cell.case.part, cell.case.point, cell.case.nth) in IN_THE_SUITE.get(cell.kind, set())
    ]
