"""Legal hold and erasure over HTTP and on the command line: a person's, with a PIN."""

from pathlib import Path

import pytest

from handfast.core.domain.brief import Brief
from handfast.engine.tasks import NewTask
from tests.commands import Command
from tests.served import LOGIN, OPERATOR, PIN, Served

ANSWERS = [("Login", LOGIN), ("PIN", PIN)]


@pytest.fixture
def task_id(served: Served) -> str:
    new = NewTask(Brief("Tidy up", non_goals=("a secret plan",)), "/repo", "main", "0" * 40)
    return str(served.engine.tasks.create(OPERATOR, new)["task_id"])


def test_a_task_is_held_released_and_erased_over_http(served: Served, task_id: str) -> None:
    operator, path = served.client("operator"), f"/v1/tasks/{task_id}"
    proof = {"person": LOGIN, "pin": PIN, "reason": "asked for"}
    found = operator.get(f"{path}/bodies").json()
    assert (found["bodies"], found["hindered"], found["hold"]) == (1, "", None)
    for call in ("hold", "release", "bodies/erase"):
        refused = operator.post(f"{path}/{call}", json={"reason": "asked for"})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert operator.post(f"{path}/hold", json=proof).json() == {"task_id": task_id, "held": True}
    assert operator.get(path).json()["held"] is True
    assert operator.get(f"{path}/bodies").json()["hold"]["by_name"] == "Noor Haddad"
    held = operator.post(f"{path}/bodies/erase", json=proof)
    assert (held.status_code, held.json()["code"]) == (409, "legal_hold")
    assert operator.post(f"{path}/release", json=proof).json()["held"] is False
    wrong = operator.post(f"{path}/bodies/erase", json={**proof, "kinds": ["all"]})
    assert wrong.status_code == 422
    done = operator.post(f"{path}/bodies/erase", json={**proof, "kinds": ["words"]}).json()
    assert done["bodies"] == 3  # the brief, and the reasons of hold and release
    assert operator.get(path).json()["brief"]["intent"] == "(erased)"
    assert operator.get("/v1/tasks/task_none/bodies").status_code == 404


def test_the_command_shows_what_goes_first_and_asks_for_a_pin(
    served: Served, task_id: str, tmp_path: Path
) -> None:
    more = {"HANDFAST_URL": served.url, "HANDFAST_TOKEN": served.tokens["operator"]}
    handfast = Command(tmp_path / "data", tmp_path, more)
    (tmp_path / "data").mkdir(mode=0o700)
    alone = handfast("bodies", "erase", "--task", task_id, "--reason", "x", "--json")
    assert (alone.code, alone.problem["code"]) == (4, "no_terminal")
    held = handfast.typed("task", "hold", task_id, "--reason", "case 12", answers=ANSWERS)
    assert held.code == 0, held
    listed = handfast("bodies", "list", "--task", task_id)
    assert "case 12" in listed.out
    assert "Noor Haddad" in listed.out
    erase = ("bodies", "erase", "--task", task_id, "--reason", "asked for")
    refused = handfast.typed(*erase, answers=[])
    assert (refused.code, "legal hold" in refused.err) == (3, True)
    released = handfast.typed("task", "release", task_id, "--reason", "over", answers=ANSWERS)
    assert released.code == 0, released
    done = handfast.typed(*erase, answers=ANSWERS)
    assert done.code == 0, done
    assert "words: 3 bodies" in done.terminal
    assert "Erased 3 bodies." in done.out
    assert handfast("bodies", "list", "--task", task_id, "--json").json["bodies"] == 0
