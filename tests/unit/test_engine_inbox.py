"""The queue with filters, what may be approved together, saved views, and who looks at what."""

from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.errors import LimitExceeded, NotFound, NotPermitted, UsageError
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.need import Need
from handfast.core.domain.package import Package, ReviewedWork
from handfast.core.domain.project import Sight
from handfast.core.domain.publication import ORGANISATION
from handfast.engine import overlaps
from handfast.engine.audits_due import audits_due
from handfast.engine.bulk import Pick, Together
from handfast.engine.effects import open_packages
from handfast.engine.kernel import Kernel
from handfast.engine.overrides import Emergency
from handfast.engine.packages import ReviewFacts
from handfast.engine.queues import queue_page, waiting_by_need
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause
from handfast.engine.tasks import NewTask
from handfast.server.presence import GLANCE_S, Presence
from tests.engine_room import OPERATOR, RUNNER, Room

SMALL = """version: 1
builtin: {off: [push]}
gates:
  - {id: small, when: 'call.command.contains("small")', risk: low, require: {approvals: 1}}
  - {id: big, when: 'call.command.contains("big")', risk: high, require: {approvals: 1}}
"""


@pytest.fixture
def ruled(room: Room) -> Room:
    room.engine.policies.propose(room.me, ORGANISATION, SMALL)
    return room


def small(room: Room, key: str, *, reversible: bool | None = True, opaque: str = "") -> str:
    facts = Facts(
        Effect.WRITE, f"writes {key}", (), (opaque,) if opaque else (), reversible=reversible
    )
    call = Call("Bash", {"command": f"small {key}"})
    return cast("str", room.propose(key, f"small {key}", facts=facts, call=call)["handoff_id"])


def picks(room: Room, *ids: str) -> list[Pick]:
    return [Pick(each, room.handoff(each).presented_digest) for each in ids]


def together(room: Room, given: list[Pick]) -> dict[str, str]:
    """What became of each: '' where it was approved."""
    taken = room.engine.approve_together(room.me, Together(given))
    return {t.handoff_id: t.why for t in taken}


# -- bulk


def test_only_small_cases_are_approved_together_and_each_refusal_says_why(ruled: Room) -> None:
    good, no_undo = small(ruled, "a"), small(ruled, "b", reversible=None)
    unread = small(ruled, "c", opaque="dynamic-code")
    big = cast("str", ruled.propose("d", "big d")["handoff_id"])
    said = together(ruled, picks(ruled, good, no_undo, unread, big))
    assert said[good] == ""
    assert "undo" in said[no_undo]
    assert said[unread].startswith("not in bulk")
    assert "high risk" in said[big]
    assert ruled.handoff(good).decision is not None
    assert all(ruled.handoff(each).decision is None for each in (no_undo, unread, big))


def test_each_of_them_is_a_decision_bound_to_what_was_shown(ruled: Room) -> None:
    one, two = small(ruled, "a"), small(ruled, "b")
    stale = [*picks(ruled, one), Pick(two, "sha256:" + "0" * 64), Pick("ho_none", "x")]
    said = together(ruled, stale)
    assert (said[one], ruled.handoff(two).decision) == ("", None)
    assert said[two]
    assert "ho_none" in said["ho_none"]
    decided = [t for t in ruled.types() if t == "handoff.decided"]
    assert len(decided) == 1


def test_who_may_not_decide_may_not_in_bulk(ruled: Room) -> None:
    case = small(ruled, "a")
    viewer = ruled.another("vik", ("viewer",))
    taken = ruled.engine.approve_together(viewer, Together(picks(ruled, case)))
    assert not taken[0].approved
    assert ruled.handoff(case).decision is None


def test_what_somebody_decided_meanwhile_is_told(ruled: Room) -> None:
    case = small(ruled, "a")
    given = picks(ruled, case)
    ruled.decide(case, DecisionKind.REJECT, ruled.another("ben"))
    assert "decided" in together(ruled, given)[case]


def test_a_pass_has_a_bound(ruled: Room) -> None:
    with pytest.raises(LimitExceeded):
        together(ruled, [Pick(f"ho_{n}", "x") for n in range(51)])
    for given in ([], [Pick("ho_1", "x")] * 2):
        with pytest.raises(UsageError):
            together(ruled, given)


def test_each_of_them_is_idempotent_by_itself(ruled: Room) -> None:
    one, two = small(ruled, "a"), small(ruled, "b")
    first = ruled.engine.approve_together(ruled.me, Together(picks(ruled, one), "", "key"))
    both = ruled.engine.approve_together(ruled.me, Together(picks(ruled, one, two), "", "key"))
    assert [t.approved for t in both] == [True, True]
    assert both[0].grant_id == first[0].grant_id
    assert ruled.types().count("handoff.decided") == 2


def test_what_somebody_may_not_know_of_is_refused_as_what_is_not_there(ruled: Room) -> None:
    case = small(ruled, "a")
    ben = ruled.another("ben")
    ruled.engine.knowing.set_project(ruled.me, "other", ["/other"], ["ben"], [])
    with pytest.raises(NotFound, match=case):
        ruled.engine.approve_together(ben, Together(picks(ruled, case)))
    assert ruled.handoff(case).decision is None


# -- the queue


def test_pages_of_a_filtered_queue_follow_without_a_gap(ruled: Room) -> None:
    wanted = [small(ruled, f"s{n}") for n in range(7)]
    for n in range(5):
        ruled.propose(f"b{n}", f"big {n}")
    found, after = [], ""
    for _ in range(9):
        page = queue_page(
            ruled.engine,
            ruled.me.id,
            after=after,
            limit=3,
            of_state=lambda h: h.risk == "low",
        )
        found += [str(item["handoff_id"]) for item in page.items]
        after = page.next
        if not after:
            break
    assert found == wanted


def test_a_filter_on_the_text_reads_it_and_looks_no_further_than_it_says(ruled: Room) -> None:
    for n in range(4):
        small(ruled, f"s{n}")
    page = queue_page(
        ruled.engine, ruled.me.id, of_record=lambda item: "writes s2" in str(item["ask"])
    )
    assert [item["ask"] for item in page.items] == ["writes s2"]
    assert (page.looked_at, page.next) == (4, "")


def test_a_plain_page_reads_no_more_rows_than_it_shows(ruled: Room) -> None:
    for n in range(6):
        small(ruled, f"s{n}")
    page = queue_page(ruled.engine, ruled.me.id, limit=2)
    assert len(page.items) == 2
    assert page.looked_at == 2
    assert page.next


def _walked(room: Room, need: Need | None = None) -> list[tuple[str, str]]:
    """The whole queue in small pages: need and id of each case."""
    found: list[tuple[str, str]] = []
    after = ""
    while True:
        page = queue_page(room.engine, room.me.id, after=after, limit=2, need=need)
        found += [(str(item["need"]), str(item["handoff_id"])) for item in page.items]
        after = page.next
        if not after:
            return found


def test_the_queue_is_grouped_by_need_over_all_of_its_pages(ruled: Room) -> None:
    """A case that is frozen or edited changes its place, whatever page it was on."""
    stamps = [small(ruled, f"s{n}") for n in range(5)]
    judged = [
        small(ruled, "no-undo", reversible=None),
        small(ruled, "unread", opaque="dynamic-code"),
    ]
    high = cast("str", ruled.propose("b", "big b")["handoff_id"])
    asked = cast("str", ruled.engine.reviews.ask(RUNNER, ruled.run_id, "Which?")["handoff_id"])
    order = [("judge", high), ("judge", asked), *(("judge", each) for each in judged)]
    order += [("stamp", each) for each in stamps]
    walked = _walked(ruled)
    assert {w for w in walked if w[0] == "judge"} == set(order[:4])
    assert walked[0] == ("judge", high)
    assert walked[4:] == order[4:]
    assert _walked(ruled, Need.STAMP) == order[4:]
    assert _walked(ruled, Need.ROUTE) == []
    assert waiting_by_need(ruled.engine.kernel) == {Need.JUDGE: 4, Need.STAMP: 5}
    ruled.engine.switch.kill(ruled.me, "all", "stop")
    ruled.engine.freezing.sweep()
    assert {need for need, _ in _walked(ruled)} == {"blocked"}
    assert waiting_by_need(ruled.engine.kernel) == {Need.BLOCKED: 9}
    ruled.check()


def test_a_need_is_read_without_what_comes_before_it(ruled: Room) -> None:
    for n in range(6):
        ruled.propose(f"b{n}", f"big {n}")
    one = small(ruled, "s")
    page = queue_page(ruled.engine, ruled.me.id, need=Need.STAMP)
    assert ([item["handoff_id"] for item in page.items], page.looked_at) == ([one], 1)


def test_each_row_says_why_it_is_in_its_group(ruled: Room) -> None:
    small(ruled, "s")
    small(ruled, "u", reversible=None)
    ruled.propose("b", "big b")
    rows = queue_page(ruled.engine, ruled.me.id).items
    assert [(r["need"], r["need_why"]) for r in rows] == [
        ("judge", "high risk"),
        ("judge", "it may have no undo"),
        ("stamp", ""),
    ]


# -- audits that are due


def test_an_override_is_due_until_somebody_else_has_reviewed_it(ruled: Room) -> None:
    ben = ruled.another("ben")
    asked = ruled.propose("b", "big b")["handoff_id"]
    assert audits_due(ruled.engine) == []
    seen = ruled.handoff(asked).presented_digest
    done = ruled.engine.overrides.override(ruled.me, Emergency(str(asked), seen, "on fire"))
    (due,) = audits_due(ruled.engine)
    assert (due["handoff_id"], due["kind"], due["owes"]) == (done["review_id"], "override", ["Ben"])
    assert audits_due(ruled.engine, Sight(("/elsewhere",))) == []
    handoffs = ruled.engine.handoffs
    handoffs.acknowledge(ben, str(done["review_id"]))
    handoffs.snooze(ben, str(done["review_id"]), ruled.clock.now() + timedelta(minutes=9))
    assert queue_page(ruled.engine, ben.id).items == []
    (due,) = audits_due(ruled.engine)
    assert due["put_off_until"]
    ruled.decide(done["review_id"], actor=ben)
    assert audits_due(ruled.engine) == []


def test_a_start_that_nobody_knows_about_is_due_also_when_nobody_answered(ruled: Room) -> None:
    asked = ruled.propose("b", "big b")["handoff_id"]
    ruled.decide(asked)
    assert ruled.propose("b2", "big b")["verdict"] == "allow"
    ruled.clock.move(ruled.engine.kernel.settings.settle_within_s + 1)
    ruled.engine.sweep()
    (due,) = audits_due(ruled.engine)
    assert due["kind"] == "doubt"
    assert due["owes"]
    ruled.clock.move(ruled.engine.kernel.settings.review_within_s + 1)
    for _ in range(6):
        ruled.engine.sweep()
    (late,) = audits_due(ruled.engine)
    assert (late["handoff_id"], late["kind"], late["owes"]) == (due["handoff_id"], "unanswered", [])
    ruled.clock.move(24 * 86_400)
    assert audits_due(ruled.engine) == []


# -- collisions


def _finished(room: Room, *files: str) -> str:
    task = room.engine.tasks.create(OPERATOR, NewTask(Brief("Fix it"), "/repo", "main", "0" * 40))
    new = NewRun(cast("str", task["task_id"]), room.agent_id, "none", ("agent", "go"))
    run_id = cast("str", room.engine.runs.create(OPERATOR, new)["run_id"])
    run = room.engine.runs.lease(RUNNER, f"runner-{run_id[-4:]}", "host")
    assert run is not None
    work = ReviewedWork("a" * 40, "b" * 40, "main", files=files)
    facts = ReviewFacts(work, "diff", 1, 0)
    opened = room.engine.reviews.open(RUNNER, FinishedWork(run.run_id, run.epoch, facts, Pause()))
    return cast("str", opened["handoff_id"])


def _shared(room: Room, within: Sight | None = None) -> dict[str, set[str]]:
    found = room.engine.overlaps.found(within)
    return {each.path: {h.handoff_id for h in each.works} for each in found.overlaps}


def test_work_of_two_runs_on_one_file_collides(room: Room) -> None:
    one = _finished(room, "a.py", "b.py")
    assert _shared(room) == {}
    two = _finished(room, "b.py", "c.py")
    assert _shared(room) == {"b.py": {one, two}}
    assert _shared(room, Sight(("/repo",))) == {"b.py": {one, two}}
    assert _shared(room, Sight(("/elsewhere",))) == {}
    room.decide(one, DecisionKind.REJECT)
    assert _shared(room) == {}
    three = _finished(room, "b.py")
    assert _shared(room) == {"b.py": {two, three}}


def test_all_that_waits_is_compared_a_part_at_a_look(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each package is opened once, however often somebody looks."""
    monkeypatch.setattr(overlaps, "_BATCH", 2)
    monkeypatch.setattr(overlaps, "AT_ONCE", 2)
    oldest = _finished(room, "same.py")
    others = [_finished(room, f"{n}.py") for n in range(4)]
    newest = _finished(room, "same.py")
    found = [room.engine.overlaps.found() for _ in range(3)]
    assert [(f.compared, f.waiting, f.total) for f in found] == [(2, 6, 0), (4, 6, 0), (6, 6, 1)]
    assert _shared(room) == {"same.py": {oldest, newest}}
    opened: list[int] = []
    real = open_packages

    def counted(kernel: Kernel, handoffs: list[Handoff]) -> dict[str, Package]:
        opened.append(len(handoffs))
        return real(kernel, handoffs)

    monkeypatch.setattr(overlaps, "open_packages", counted)
    room.decide(others[0], DecisionKind.REJECT)
    assert _shared(room) == {"same.py": {oldest, newest}}
    assert sum(opened) == 0
    another = overlaps.Overlaps(room.engine.kernel)
    another.catch_up()
    assert another.found().total == 1
    assert sum(opened) == 5


# -- saved views


def test_a_view_is_kept_replaced_and_forgotten(room: Room) -> None:
    views = room.engine.saved_views
    views.save(room.me, " High ", "risk=high")
    views.save(room.me, "High", "risk=critical")
    views.save(room.me, "Ada", "agent=ada")
    assert [(v.name, v.address) for v in views.of(room.me.id)] == [
        ("Ada", "agent=ada"),
        ("High", "risk=critical"),
    ]
    views.forget(room.me, "High")
    views.forget(room.me, "High")
    assert [v.name for v in views.of(room.me.id)] == ["Ada"]
    assert room.types(f"person/{room.me.id}").count("person.views_set") == 4


def test_views_are_bounded_and_theirs_alone(room: Room) -> None:
    views = room.engine.saved_views
    for name, address in (("", "risk=high"), ("x" * 41, "risk=high"), ("x", ""), ("x", "q=\n")):
        with pytest.raises(UsageError):
            views.save(room.me, name, address)
    for n in range(20):
        views.save(room.me, f"v{n}", "risk=high")
    with pytest.raises(LimitExceeded):
        views.save(room.me, "one more", "risk=high")
    with pytest.raises(NotPermitted):
        views.save(OPERATOR, "x", "risk=high")
    assert views.of(room.another("ben").id) == ()


# -- presence


def test_presence_is_a_stream_or_a_glance_and_never_oneself() -> None:
    now = [100.0]
    here = Presence(lambda: now[0])
    here.looked("ho_1", "ana")
    assert here.others("ho_1", "ana") == []
    assert here.others("ho_1", "mia") == ["ana"]
    now[0] += GLANCE_S
    assert here.others("ho_1", "mia") == []
    with here.open("ho_1", "ana"), here.open("ho_1", "ana"):
        now[0] += 1000
        assert here.others("ho_1", "mia") == ["ana"]
        assert here.others("ho_2", "mia") == []
    assert here.others("ho_1", "mia") == []
