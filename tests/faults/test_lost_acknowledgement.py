"""The commit is durable and the server dies before it answers: the repeat gets the first answer."""

from collections.abc import Callable

import httpx
import pytest

from tests.faults.checker import Json
from tests.faults.installation import Installation, decision, gated

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# Commits of the server: it started, the run, then these.
NTH = {"propose": 3, "decide": 4, "redeem": 5}
WRITTEN = ("handoff.requested", "handoff.decided", "grant.redeemed", "step.judged")


def order(what: str, known: Json) -> tuple[str, Json, str]:
    """Path, body and whose token."""
    if what == "propose":
        call = {"key": "t1", "call": known["call"], "executor": "mediated"}
        return f"/v1/runs/{known['run_id']}/actions", call, "agent"
    if what == "decide":
        path = f"/v1/handoffs/{known['handoff_id']}/decisions"
        return path, decision(known, "approve"), "operator"
    path = f"/v1/grants/{known['grant_id']}/redeem"
    return path, {"action_digest": known["action_digest"], "executor": "mediated"}, "agent"


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


@pytest.mark.parametrize("lost", NTH)
def test_a_repeat_with_its_key_gets_the_first_answer(
    install: Callable[..., Installation], lost: str
) -> None:
    place = install(SETTLE_WITHIN_S="600")
    place.serve(f"store.after_commit:kill:{NTH[lost]}")
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
    send = sent(place, lost, known)
    with pytest.raises(httpx.HTTPError):
        send("first")
    before = len(place.events(*WRITTEN))
    first = place.sure(lambda: send("first"))
    assert place.restarts == [f"store.after_commit:kill:{NTH[lost]}"]
    assert first.status_code in (200, 201), first.text
    assert send("first").json() == first.json()
    assert len(place.events(*WRITTEN)) == before, "a repeat wrote something"
    assert_another_key(lost, send("another"), first.json())


def assert_another_key(what: str, answer: httpx.Response, first: Json) -> None:
    """A new command is not the old one: it finds the case, the decision, the start as they are."""
    if what == "propose":
        assert answer.json()["handoff_id"] == first["handoff_id"]
        return
    assert answer.status_code == 409
    code = {"decide": "already_decided", "redeem": "grant_used"}[what]
    assert answer.json()["code"] == code
