"""The commit is durable and nobody is told: the server dies before it answers, or its database's answer is
lost on the wire. The repeat gets the first answer, another command finds the case as it is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.faults.checker import Json
from tests.faults.installation import Installation, decision, gated
from tests.faults.matrix import spread
from tests.faults.proxies import CommitCutter

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# Commits of the server: it started, the run, then these.
NTH = {"propose": 3, "decide": 4, "redeem": 5}
WRITTEN = ("handoff.requested", "handoff.decided", "grant.redeemed", "step.judged")


def sent(place: Installation, what: str, known: Json) -> Callable[[str], httpx.Response]:
    """Sends the command with a key."""

    def send(key: str) -> httpx.Response:
        path, body, token = _command(what, known)
        return place.call("POST", path, body, token=token, key=key)

    return send


def _command(what: str, known: Json) -> tuple[str, Json, str]:
    """Path, body and whose token."""
    if what == "propose":
        body = {"key": "t1", "call": known["call"], "executor": "mediated"}
        return f"/v1/runs/{known['run_id']}/actions", body, "agent"
    if what == "decide":
        path = f"/v1/handoffs/{known['handoff_id']}/decisions"
        return path, decision(known, "approve"), "operator"
    body = {"action_digest": known["action_digest"], "executor": "mediated"}
    return f"/v1/grants/{known['grant_id']}/redeem", body, "agent"


@pytest.mark.parametrize(("kind", "lost"), spread(NTH), indirect=["kind"])
def test_a_server_that_dies_before_it_answers(
    install: Callable[..., Installation], lost: str
) -> None:
    fault = f"store.after_commit:kill:{NTH[lost]}"
    place = install(SETTLE_WITHIN_S="600")
    place.serve(fault)
    known = led_up_to(place, lost)
    with pytest.raises(httpx.HTTPError):
        sent(place, lost, known)("first")
    assert_the_repeat_gets_the_first_answer(place, lost, known)
    assert place.restarts == [fault]


@pytest.mark.parametrize("lost", NTH)
def test_a_commit_whose_answer_is_lost(
    install: Callable[..., Installation], kind: str, lost: str
) -> None:
    """PostgreSQL commits, and its connection breaks before it says so; SQLite cannot say that it has."""
    place = install(SETTLE_WITHIN_S="600")
    with ExitStack() as stack:
        cutter = None
        if kind == "postgres":
            cutter = stack.enter_context(cut_off(place))
            place.serve()
        else:
            place.serve(f"store.after_commit:raise:{NTH[lost]}")
        known = led_up_to(place, lost)
        if cutter:
            cutter.arm()
        answer = sent(place, lost, known)("first")
        assert answer.status_code == 503, answer.text
        assert_the_repeat_gets_the_first_answer(place, lost, known)
        assert cutter is None or cutter.cut == 1
        place.close()


@contextmanager
def cut_off(place: Installation) -> Iterator[CommitCutter]:
    """The server reaches its database through a wire that may be cut."""
    names = conninfo_to_dict(place.database)
    cutter = CommitCutter(f"{names['host']}/.s.PGSQL.5432")
    place.server_sees = cutter.url(str(names["dbname"]))
    yield cutter
    cutter.close()


def led_up_to(place: Installation, lost: str) -> Json:
    """All that comes before the command whose answer is lost."""
    opened = {"session_id": "s1", "cwd": str(place.repo), "mode": "enforce"}
    call = {"tool": "Bash", "arguments": {"command": gated(place.root / "none")}, "cwd": "."}
    run_id = place.call("POST", "/v1/runs", opened, token="agent").json()["run_id"]
    known: Json = {"run_id": run_id, "call": call}
    for what in NTH:
        if what == lost:
            break
        known |= sent(place, what, known)("first").json()
        if what == "propose":
            known |= place.handoff(known["handoff_id"])
        else:
            known["grant_id"] = known["grant"]["grant_id"]
    return known


def assert_the_repeat_gets_the_first_answer(place: Installation, lost: str, known: Json) -> None:
    send = sent(place, lost, known)
    before = len(place.events(*WRITTEN))
    first = place.sure(lambda: send("first"))
    assert first.status_code in (200, 201), first.text
    assert send("first").json() == first.json()
    assert len(place.events(*WRITTEN)) == before, "a repeat wrote something"
    assert_another_key(lost, send("another"), first.json())
    assert place.wrong(settled=False) == []


def assert_another_key(what: str, answer: httpx.Response, first: Json) -> None:
    """A new command is not the old one: it finds the case, the decision, the start as they are."""
    if what == "propose":
        assert answer.json()["handoff_id"] == first["handoff_id"]
        return
    assert answer.status_code == 409
    code = {"decide": "already_decided", "redeem": "grant_used"}[what]
    assert answer.json()["code"] == code
