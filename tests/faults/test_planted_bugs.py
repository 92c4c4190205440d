"""The checker sees what it is there for: each bug planted in the product turns its scenario red.

The same scenario without the bug is played first, and is green.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.faults import plants
from tests.faults.checker import Json
from tests.faults.installation import Installation, decision
from tests.faults.stories import Mediated

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("kind", ["sqlite"], indirect=True)]


def decided_and_killed(place: Installation) -> None:
    place.decide(Mediated(place).ask())
    place.kill("server")
    place.serve()


def redeemed_by_two(place: Installation) -> None:
    agent = Mediated(place)
    grant_id = agent.granted()
    for key in ("first", "second"):
        redeem(place, grant_id, key)


def reported(place: Installation) -> None:
    agent = Mediated(place)
    grant_id = agent.granted()
    start_id = redeem(place, grant_id, "only")["start_id"]
    agent.effects.write_text("ran\n")
    body = {"start_id": start_id, "outcome": "verified"}
    answer = place.call("POST", f"/v1/grants/{grant_id}/effect", body, token="agent")
    assert answer.status_code == 200, answer.text
    place.witness.answered("effect.recorded", start_id=start_id, outcome="verified")


def executed(place: Installation) -> None:
    agent = Mediated(place)
    assert place.exec(agent.granted()).code == 0


def killed_in_a_commit(place: Installation) -> None:
    """The next commit is killed after whatever is done before it."""
    place.kill("server")
    place.serve("store.before_commit:kill:3")  # it started, the run, the proposal
    Mediated(place).ask()
    assert place.restarts == ["store.before_commit:kill:3"]


def decided_by_two(place: Installation) -> None:
    asked = Mediated(place).ask()
    shown = place.handoff(asked["handoff_id"])
    path = f"/v1/handoffs/{shown['handoff_id']}/decisions"
    for key, kind in (("first", "approve"), ("second", "reject")):
        answer = place.call("POST", path, decision(shown, kind), token="session", key=key)
        if answer.status_code == 201:
            place.witness.decided(shown["handoff_id"], key, kind)


def asked_for(place: Installation) -> None:
    Mediated(place).ask()


def started_and_never_heard_of(place: Installation) -> None:
    agent = Mediated(place)
    assert place.exec(agent.granted(), "exec.after_run:kill").code == -9
    place.until(lambda: place.events("effect.recorded"), "the sweep")


def redeem(place: Installation, grant_id: str, key: str) -> Json:
    shown = place.handoff("ho_" + grant_id.removeprefix("gr_"))
    body = {"action_digest": shown["action_digest"], "executor": "mediated"}
    answer = place.call("POST", f"/v1/grants/{grant_id}/redeem", body, token="agent", key=key)
    found: Json = answer.json()
    return found


@dataclass(frozen=True)
class Scene:
    plant: str
    play: Callable[[Installation], None]
    says: str
    rests: bool = True
    passes_within_s: float = 0.0  # what a sound product is not yet done with for so long


SCENES = {
    "acknowledged before the commit": Scene(
        plants.ACKNOWLEDGED_BEFORE_THE_COMMIT,
        decided_and_killed,
        "lost: `handoff.decided`",
        rests=False,
    ),
    "a grant redeemed twice": Scene(
        plants.A_GRANT_REDEEMED_TWICE, redeemed_by_two, "was redeemed twice", rests=False
    ),
    "an effect swallowed": Scene(plants.AN_EFFECT_SWALLOWED, reported, "lost: `effect.recorded`"),
    "a head signed before the commit": Scene(
        plants.A_HEAD_SIGNED_BEFORE_THE_COMMIT,
        killed_in_a_commit,
        "is not the one whose head of size",
    ),
    "a projection left behind": Scene(
        plants.A_PROJECTION_LEFT_BEHIND, executed, "`status` is closed in the log and resumed"
    ),
    "a decision overwritten": Scene(
        plants.A_DECISION_OVERWRITTEN, decided_by_two, "was won by 2 deciders", rests=False
    ),
    "an outbox row lost": Scene(
        plants.AN_OUTBOX_ROW_LOST, asked_for, "nobody was told", passes_within_s=3.0
    ),
    "an unknown effect taken for none": Scene(
        plants.AN_UNKNOWN_EFFECT_TAKEN_FOR_NONE,
        started_and_never_heard_of,
        "effects has 1 lines; the log says 0 to 0",
    ),
}


@pytest.mark.parametrize("planted", [False, True], ids=["sound", "planted"])
@pytest.mark.parametrize("name", SCENES)
def test_a_planted_bug_is_seen(
    install: Callable[..., Installation], name: str, planted: bool
) -> None:
    scene = SCENES[name]
    place = install(SETTLE_WITHIN_S="1" if scene.play is started_and_never_heard_of else "600")
    place.plant = scene.plant if planted else ""
    place.serve()
    scene.play(place)
    if not planted:
        place.until(lambda: not place.wrong(settled=scene.rests), "a log that is right")
        return

    def seen() -> bool:
        return any(scene.says in line for line in place.wrong(settled=scene.rests))

    place.until(seen, f"`{scene.says}`")
    time.sleep(scene.passes_within_s)
    assert seen(), "it was only not yet right"
