"""No state grows with the length of its stream: 10,000 events leave about as much as 1,000 did."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from handfast.core.domain import events_checkpoint as k
from handfast.core.domain import events_control as c
from handfast.core.domain import events_handoff as h
from handfast.core.domain import events_identity as i
from handfast.core.domain import events_limits as m
from handfast.core.domain import events_notify as t
from handfast.core.domain import events_org as o
from handfast.core.domain import events_policy as p
from handfast.core.domain import events_relay as d
from handfast.core.domain import events_runner as r
from handfast.core.domain import events_work as w
from handfast.core.domain.checkpoint import MAX_HANDOFFS
from handfast.core.domain.errors import LimitExceeded
from handfast.core.domain.events import Event
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor, HandoffKind
from handfast.core.domain.events_work import BodyRef, Mode
from handfast.core.domain.grant_scope import MAX_TIMES
from handfast.core.domain.ids import (
    AgentId,
    CheckpointId,
    ContactId,
    GrantId,
    HandoffId,
    NoticeId,
    PersonId,
    ProjectId,
    RunId,
    RunnerId,
    StartId,
    StepId,
    TaskId,
    TokenId,
)
from handfast.core.domain.limit_facts import Crossed, Level, Raised, Reported
from handfast.engine.agents import MAX_TOKENS
from handfast.engine.projections import BY_NAME, dump
from handfast.testing.clock import START
from tests.engine_room import OPERATOR, Room

BODY = BodyRef("bo_01m8b7tqq5qd2sy79e9zf24adc", "hmac-sha256:" + "0" * 64, 3)
RUN, HO, GR = RunId("run_1"), HandoffId("ho_1"), GrantId("gr_1")
AGENT, TASK = AgentId("ag_1"), TaskId("task_1")
MOST = 64_000
EVENTS = 10_000


def _at(n: int) -> datetime:
    return START + timedelta(minutes=n)


def _run(n: int) -> Event:
    step = StepId(f"st_{n:026}")
    events: tuple[Event, ...] = (
        w.StepJudged(RUN, step, f"k{n}", "Bash", "exec", f"sha256:{n:064}", "allow", call=BODY),
        w.StepJudged(RUN, step, f"k{n}", "Bash", "exec", f"sha256:{n:064}", "wait", call=BODY),
        w.StepFinished(RUN, StepId(f"st_{n - 2:026}"), 1, failed=True, output=BODY, repeat=1),
        m.UsageReported(RUN, Reported(tokens_in=n, cost_usd=f"{n}.5")),
        m.LimitWarned(RUN, Crossed("cost_usd", list(Level)[n % 3], str(n), "1", "1")),
        m.LimitReached(RUN, (Crossed("retries", Level.STOP, str(n), "1", "1"),), HO),
        m.LimitRaised(RUN, HO, (Raised("retries", Level.STOP, str(n)),), words=True),
        w.CoverageGap(RUN, "spool", "x" * 100),
        w.RunPaused(RUN, n, (HandoffId(f"ho_{n}"),), f"refs/x/{n}", "c" * 40, BODY, "waits"),
        w.RunLeased(RUN, RunnerId("r"), "host", n),
        w.AgentStarted(RUN, n, 1, 2, "boot", "/w", "b", "c" * 40, "s", "held"),
        w.AgentExited(RUN, n, 0, cost_usd="0.1", turns=1, output=BODY),
    )
    return events[n % len(events)]


def _handoff(n: int) -> Event:
    """Looked at, talked about, voted on, frozen, and started as often as a grant may allow."""
    who = PersonId(f"pe_{n % 7}")
    if n % 3 == 0 and n < MAX_TIMES * 6:
        use = n // 6 + 1
        start = StartId(f"start_{use}")
        if n % 6:
            return h.EffectRecorded(HO, GR, start, EffectOutcome.VERIFIED, "d", 0, BODY, "x" * 200)
        digest = f"sha256:{n:064}"
        return h.GrantRedeemed(HO, GR, start, Executor.MEDIATED, digest, n, _at(n), use, MAX_TIMES)
    events: tuple[Event, ...] = (
        h.HandoffViewed(HO, who, "seen", n),
        h.HandoffCommented(HO, BODY),
        h.HandoffVoted(HO, who, (0,), "seen", "pin", BODY),
        h.HandoffEdited(HO, who, BODY, f"sha256:{n:064}", "seen", "pin", BODY, BODY),
        h.HandoffRerouted(HO, who, "others", _at(n + 9), BODY, (who,)),
        h.HandoffAcknowledged(HO, who),
        h.HandoffReleased(HO, who),
        h.HandoffSnoozed(HO, who, _at(n + 5)),
        h.HandoffFrozen(HO, "kill"),
        h.HandoffThawed(HO),
        h.GrantRefused(HO, GR, "another digest", "sha256:x"),
        h.HandoffUnvoted(HO, who),
    )
    return events[n % len(events)]


def _agent(n: int) -> Event:
    events: tuple[Event, ...] = (
        o.AgentTokenIssued(AGENT, TokenId(f"tok_{n // 4}"), ("read",), _at(n + 60)),
        o.AgentSuspended(AGENT, f"because {n}"),
        o.AgentReinstated(AGENT),
        o.AgentTokenRevoked(AGENT, TokenId(f"tok_{n // 4}")),
    )
    return events[n % len(events)]


def _person(n: int) -> Event:
    who = PersonId("pe_1")
    events: tuple[Event, ...] = (
        c.AwaySet(who, _at(n), _at(n + 40), who),
        o.SignedIn(who, "browser", f"session {n}"),
        o.CredentialSet(who, "pin"),
        c.RolesSet(who, ("reviewer", "admin"), who),
    )
    return events[n % len(events)]


def _installation(n: int) -> Event:
    who, scope = PersonId("pe_1"), f"team:{n // 6 % 50}"
    events: tuple[Event, ...] = (
        c.ControlKilled(scope, who, BODY),
        c.ControlReleased(scope, "agents", who, BODY, (AGENT,)),
        c.ControlReleased(scope, "all", who, BODY),
        c.RotationCovered("primary", who, _at(n), _at(n + 60), who, BODY),
        o.AccessRefused("decide_handoff", "a token", f"agent {n}"),
        o.BodiesErased((), "retention", "steps are kept for 3 days", "steps"),
    )
    return events[n % len(events)]


def _policy(n: int) -> Event:
    who, digest = PersonId("pe_1"), f"sha256:{n // 3:064}"
    events: tuple[Event, ...] = (
        p.PolicyProposed("organisation", digest, BODY, who, BODY),
        p.PolicyPublished("organisation", digest, who),
        p.PolicyDeclined("organisation", digest, who, BODY),
    )
    return events[n % len(events)]


def _task(n: int) -> Event:
    made = w.TaskHeld if n % 2 else w.TaskReleased
    return made(TASK, PersonId("pe_1"), BODY)


def _track(n: int) -> Event:
    return m.RunMeasured(AGENT, RunId(f"run_{n}"), {"cost_usd": str(n), "tool_calls": str(n)})


def _runner(n: int) -> Event:
    runner = RunnerId("rn_1")
    events: tuple[Event, ...] = (
        r.RunnerTokenIssued(runner),
        r.RunnerStarted(runner, n + 1, f"host-{n}", n, "0.3.0", 4),
        r.RunnerStopped(runner, n, "ended"),
    )
    return events[n % len(events)]


def _topic(n: int) -> Event:
    if n % 2:
        return d.DeliveryRetried("handoff.requested", n, 12)
    return d.DeliveryDeadLettered("handoff.requested", n, 12, HandoffId(f"ho_{n}"), BODY)


def _reach(n: int) -> Event:
    """Contacts come and go; there are never more than the command lets there be."""
    contact, who = ContactId(f"co_{n // 4}"), PersonId("pe_1")
    events: tuple[Event, ...] = (
        t.ContactAdded(contact, who, "webhook", BODY, "all", who, BODY),
        t.SecretRotated(contact, BODY, _at(n + 86_400), who),
        t.QuietSet(who, "Europe/Berlin", (0, 1, 2, 3, 4), 1200, 420, 60, who),
        t.ContactRemoved(contact, who),
    )
    return events[n % len(events)]


def _notice(n: int) -> Event:
    notice = NoticeId("no_1")
    if n % 2:
        return t.NoticeDelivered(notice, n, n, f"C1 {n}")
    return t.NoticeFailed(notice, n, n, BODY)


def _project(n: int) -> Event:
    members = tuple(PersonId(f"pe_{each}") for each in range(200))
    return i.ProjectSet(ProjectId("pj_1"), f"p{n}", ("/repo",), members, ("dba",), members[0])


def _checkpoint(n: int) -> Event:
    """No more join a sitting than the sweep lets: then the next one opens."""
    if n % MAX_HANDOFFS == 0:
        return _OPENED
    return k.CheckpointJoined(CheckpointId("cp_1"), (HandoffId(f"ho_{n:026}"),))


_OPENED = k.CheckpointOpened(
    CheckpointId("cp_1"), k.Why.COST, HO, (HO,), (PersonId("pe_1"),), _at(9_999)
)
_PLANNED = t.NoticePlanned(
    NoticeId("no_1"), PersonId("pe_1"), ContactId("co_1"), "email", _at(9_999)
)
_REQUESTED = h.HandoffRequested(
    HO, HandoffKind.APPROVAL, "high", AGENT, "sha256:a", "seen", BODY, BODY,
    (DecisionKind.APPROVE,), (600, 600), RUN, TASK, action=BODY,
)  # fmt: skip
_MINTED = h.GrantMinted(
    HO, GR, "sha256:a", AGENT, RUN, Executor.MEDIATED, _at(9_999), uses=MAX_TIMES
)
STREAMS: dict[str, tuple[tuple[Event, ...], Callable[[int], Event]]] = {
    "run": ((w.RunCreated(RUN, AGENT, "claude-code", Mode.ENFORCE, TASK, BODY),), _run),
    "handoff": ((_REQUESTED, _MINTED), _handoff),
    "agent": ((o.AgentRegistered(AGENT, "claude", "claude-code"),), _agent),
    "person": ((o.PersonAdded(PersonId("pe_1"), BODY, "digest", ("admin",)),), _person),
    "installation": ((o.InstallationCreated("origin", "key"),), _installation),
    "policy": ((p.PolicyProposed("organisation", "d", BODY, PersonId("pe_1")),), _policy),
    "task": ((w.TaskCreated(TASK, "/repo", "main", "0" * 40, BODY, "digest"),), _task),
    "track": ((), _track),
    "runner": ((r.RunnerAdded(RunnerId("rn_1"), "build"),), _runner),
    "topic": ((), _topic),
    "reach": ((), _reach),
    "notice": ((_PLANNED,), _notice),
    "project": ((), _project),
    "checkpoint": ((_OPENED,), _checkpoint),
}


def test_every_kind_of_state_is_looked_at() -> None:
    assert set(STREAMS) == set(BY_NAME)


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_a_state_stays_small_however_long_its_stream(kind: str) -> None:
    opening, following = STREAMS[kind]
    evolve = BY_NAME[kind].evolve
    state: object | None = None
    for event in opening:
        state = evolve(state, event, START)
    sizes: list[int] = []
    for n in range(EVENTS):
        state = evolve(state, following(n), _at(n))
        if n % 100 == 99:
            sizes.append(len(dump(state)))
    early, late = max(sizes[:20]), max(sizes[20:])
    assert late <= early * 1.1 + 200, (kind, early, late)
    assert late < MOST
    assert sizes[-1] > 50


def test_an_agent_keeps_a_bounded_number_of_tokens(room: Room) -> None:
    """Those that have expired are struck off; with too many that are good, one must be revoked first."""

    def issue() -> str:
        return room.engine.agents.issue(OPERATOR, room.agent_id, ("read",), 3_600).token_id

    first = [issue() for _ in range(MAX_TOKENS)]
    with pytest.raises(LimitExceeded, match="tokens that are still good"):
        issue()
    room.engine.agents.revoke(OPERATOR, first[0])
    issue()
    room.clock.move(3_601)
    newest = issue()
    assert [a["tokens"] for a in room.engine.views.agents()] == [[newest]]
    assert room.types().count("agent.token_revoked") == MAX_TOKENS + 1
