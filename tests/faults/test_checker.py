"""The checker must see what it is there for: a log that is right passes, each planted wrong is named."""

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.faults.checker import Json, Log, Row, Stored, Witness, check
from tests.faults.folds import Told
from tests.faults.published import joined

DIGEST = "sha256:of-the-action"
PERSON = {"type": "person", "id": "pe_1", "auth": "pin"}
LATER = "2031-01-01T00:00:00.000000Z"


def tree(leaves: list[bytes]) -> bytes:
    """The frontier of these leaves, grown one by one."""
    stack: list[bytes] = []
    for before, leaf in enumerate(leaves):
        value, rest = leaf, before
        while rest & 1:
            value = hashlib.sha256(b"\1" + stack.pop() + value).digest()
            rest >>= 1
        stack.append(value)
    return len(leaves).to_bytes(8, "big") + b"".join(stack)


@dataclass
class Story:
    """Writes entries as the product would. Each method is one event."""

    rows: list[Row] = field(default_factory=list)
    states: dict[str, str] = field(
        default_factory=dict
    )  # status of projections that went their own way
    lacks: set[str] = field(default_factory=set)  # projections that are not there
    _versions: Counter[str] = field(default_factory=Counter)

    def say(self, stream: str, kind: str, data: Json, actor: Json | None = None) -> None:
        self._versions[stream] += 1
        at = f"2030-01-01T00:00:{len(self.rows):02d}.000000Z"
        envelope = {
            "stream": stream,
            "version": self._versions[stream],
            "type": kind,
            "at": at,
            "actor": actor or {"type": "runner"},
            "data": data,
        }
        raw = json.dumps(envelope).encode()
        leaf = hashlib.sha256(b"\0" + raw).digest()
        position = len(self.rows) + 1
        self.rows.append(Row(position, stream, self._versions[stream], kind, raw, leaf))

    def about(self, handoff_id: str, event: str, /, **data: Any) -> None:
        actor = PERSON if event == "handoff.decided" else None
        self.say(f"handoff/{handoff_id}", event, {"handoff_id": handoff_id, **data}, actor)

    def requested(self, handoff_id: str, kind: str = "approval", about: str = "") -> None:
        self.say("run/run_1", "step.judged", {"verdict": "wait", "handoff_id": handoff_id})
        fields = {"run_id": "run_1", "action_digest": DIGEST, "presented_digest": "sha256:shown"}
        self.about(handoff_id, "handoff.requested", kind=kind, about=about, **fields)
        self.about(handoff_id, "handoff.routed")

    def decided(self, handoff_id: str, decision: str = "approve", **fields: str) -> None:
        shown = {"presented_digest": "sha256:shown", "person_id": "pe_1", **fields}
        self.about(handoff_id, "handoff.decided", decision=decision, **shown)

    def granted(self, handoff_id: str, grant_id: str, expires_at: str = LATER) -> None:
        fields = {"action_digest": DIGEST, "expires_at": expires_at}
        self.about(handoff_id, "grant.minted", grant_id=grant_id, **fields)

    def started(self, handoff_id: str, grant_id: str, start_id: str) -> None:
        fields = {"start_id": start_id, "action_digest": DIGEST}
        self.about(handoff_id, "grant.redeemed", grant_id=grant_id, **fields)

    def ended(self, handoff_id: str, start_id: str, outcome: str = "reported") -> None:
        self.about(handoff_id, "effect.recorded", start_id=start_id, outcome=outcome)
        self.about(handoff_id, "handoff.closed", outcome=f"effect_{outcome}")

    def approved(self, handoff_id: str = "ho_1", grant_id: str = "gr_1") -> None:
        self.requested(handoff_id)
        self.decided(handoff_id)
        self.granted(handoff_id, grant_id)

    def log(self) -> Log:
        return Log(list(self.rows), tree([row.leaf for row in self.rows]), self._projections())

    def _projections(self) -> dict[str, Stored]:
        """What the product would store beside these entries."""
        told = Told()
        for row in self.rows:
            told.add(row.stream, row.version, row.type, json.loads(row.data)["data"])
        return {
            stream: Stored(version, self.states.get(stream, state.get("status") or ""), _doc(state))
            for stream, (version, state) in told.states.items()
            if stream not in self.lacks
        }


def _doc(state: Json) -> Json:
    """As the product writes it: nested, without what is empty or has its default."""
    grant = {"status": state.get("grant"), "start_id": state.get("start")}
    return {
        "decision": {"kind": state["decision"]} if state.get("decision") else None,
        "grant": grant if state.get("grant") else None,
        "effect": {"outcome": state["effect"]} if state.get("effect") else None,
        "outcome": state.get("outcome"),
    }


@pytest.fixture
def ran(tmp_path: Path) -> dict[str, Path]:
    """The file of an action that ran once."""
    path = tmp_path / "effects"
    path.write_text("ran\n")
    return {DIGEST: path}


@pytest.fixture
def story() -> Story:
    """An approved action that ran once."""
    told = Story()
    told.approved()
    told.started("ho_1", "gr_1", "start_1")
    told.ended("ho_1", "start_1")
    return told


def doubted(story: Story, answer: str) -> None:
    """A second case of the same action, whose start is unknown, and the answered doubt about it."""
    story.approved("ho_2", "gr_2")
    story.started("ho_2", "gr_2", "start_2")
    story.ended("ho_2", "start_2", "unknown")
    story.requested("ho_3", "doubt", about="ho_2")
    story.decided("ho_3", "answer", answer=answer)
    story.about("ho_3", "handoff.closed", outcome="answer")


def test_a_log_that_is_right_passes(story: Story, ran: dict[str, Path]) -> None:
    assert check(story.log(), ran) == []
    doubted(story, "it_did_not_run")
    story.approved("ho_4", "gr_4")
    story.started("ho_4", "gr_4", "start_4")
    story.ended("ho_4", "start_4")
    ran[DIGEST].write_text("ran\nran\n")
    assert check(story.log(), ran) == []


def test_a_doubled_redeem(story: Story, ran: dict[str, Path]) -> None:
    story.started("ho_1", "gr_1", "start_2")
    assert any("redeemed twice" in w for w in check(story.log(), ran, settled=False))


def test_a_lost_handoff(ran: dict[str, Path]) -> None:
    story = Story()
    story.say("run/run_1", "step.judged", {"verdict": "wait", "handoff_id": "ho_0"})
    assert check(story.log(), {}) == ["lost: `ho_0` was named, never requested"]


def test_a_handoff_missing_from_the_queue(story: Story, ran: dict[str, Path]) -> None:
    story.requested("ho_2")
    story.lacks.add("handoff/ho_2")
    assert check(story.log(), ran) == ["handoff/ho_2 is in the log and not in the queue"]


def test_a_handoff_that_the_queue_shows_otherwise(story: Story, ran: dict[str, Path]) -> None:
    story.requested("ho_2")
    story.states["handoff/ho_2"] = "closed"
    wrong = check(story.log(), ran)
    assert wrong == ["handoff/ho_2: `status` is routed in the log and closed in the queue"]


@pytest.mark.parametrize("event", ["handoff.decided", "grant.redeemed", "effect.recorded"])
def test_a_projection_that_missed_an_entry(story: Story, ran: dict[str, Path], event: str) -> None:
    """The stored state is of fewer entries than the log has, whatever its status."""
    until = next(at for at, row in enumerate(story.rows) if row.type == event)
    behind = replace(story, rows=story.rows[:until]).log().states["handoff/ho_1"]
    log = story.log()
    old = replace(behind, version=log.states["handoff/ho_1"].version, status="closed")
    wrong = check(replace(log, states={**log.states, "handoff/ho_1": old}), ran)
    assert len(wrong) == 1
    assert wrong[0].startswith("handoff/ho_1: ")
    wrong = check(replace(log, states={**log.states, "handoff/ho_1": behind}), ran)
    assert "and its projection is of" in wrong[0]


def test_an_answer_that_the_log_does_not_bear_out(story: Story, ran: dict[str, Path]) -> None:
    seen = Witness()
    seen.answered("handoff.decided", handoff_id="ho_1", decision="approve")
    assert check(story.log(), ran, seen) == []
    seen.answered("handoff.decided", handoff_id="ho_1", decision="reject")
    wrong = check(story.log(), ran, seen)
    assert len(wrong) == 1
    assert wrong[0].startswith("lost: `handoff.decided`")


def test_a_waiting_case_that_nobody_was_told_of(story: Story, ran: dict[str, Path]) -> None:
    story.requested("ho_2")
    assert check(story.log(), ran, Witness(told={"ho_2"})) == []
    assert check(story.log(), ran, Witness(told=set())) == ["`ho_2` waits, and nobody was told"]


@dataclass
class Signer:
    """Publishes heads as the product does: C2SP signed notes."""

    origin: str = "handfast-test"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def verifier(self) -> str:
        public = base64.b64encode(b"\1" + self.key.public_key().public_bytes_raw()).decode()
        return f"{self.origin}+00000000+{public}"

    def note(self, leaves: list[bytes], size: int) -> str:
        frontier = tree(leaves)[8:]
        root = joined([frontier[at : at + 32] for at in range(0, len(frontier), 32)])
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        value = base64.b64encode(b"\0\0\0\0" + self.key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.origin} {value}\n"


def test_heads_that_were_published(story: Story, ran: dict[str, Path]) -> None:
    signer, log = Signer(), story.log()
    leaves = [row.leaf for row in log.rows]
    seen = Witness(signer.verifier, [signer.note(leaves[:n], n) for n in range(1, len(leaves) + 1)])
    assert check(log, ran, seen) == []
    cut = story.rows.pop()
    fewer = check(story.log(), ran, seen, settled=False)
    assert (
        f"a head of size {cut.position} was published, and the log has {cut.position - 1} entries"
        in fewer
    )
    other = Witness(signer.verifier, [signer.note([b"x" * 32, *leaves[1:]], len(leaves))])
    assert any("is not the one whose head" in wrong for wrong in check(log, ran, other))
    forged = Witness(signer.verifier, [Signer().note(leaves, len(leaves))])
    assert any("signature does not fit" in wrong for wrong in check(log, ran, forged))


def test_an_effect_without_a_start(ran: dict[str, Path]) -> None:
    story = Story()
    story.approved()
    story.ended("ho_1", "start_1", "verified")
    ran[DIGEST].unlink()
    assert check(story.log(), ran) == ["6 effect.recorded: an effect without the start `start_1`"]


def test_a_missing_position(story: Story, ran: dict[str, Path]) -> None:
    log = story.log()
    kept = [row for row in log.rows if row.position != 4]
    wrong = check(replace(log, rows=kept), ran, settled=False)
    assert "position 4 is missing" in wrong
    assert "the stored root is not the root of the entries" in wrong


def test_an_unknown_effect_without_a_doubt(ran: dict[str, Path]) -> None:
    story = Story()
    story.approved()
    story.started("ho_1", "gr_1", "start_1")
    story.ended("ho_1", "start_1", "unknown")
    assert check(story.log(), ran) == ["`ho_1`: 1 unknown effects, 0 doubts"]


def test_a_doubled_handoff(story: Story, ran: dict[str, Path]) -> None:
    story.requested("ho_2")
    story.requested("ho_3")
    assert any("doubles `ho_2`" in w for w in check(story.log(), ran))


def test_a_repeat_while_in_doubt(story: Story, ran: dict[str, Path]) -> None:
    doubted(story, "it_ran")
    story.approved("ho_4", "gr_4")
    story.started("ho_4", "gr_4", "start_4")
    assert any("is in doubt" in w for w in check(story.log(), ran, settled=False))


def test_a_grant_used_after_its_end(ran: dict[str, Path]) -> None:
    story = Story()
    story.requested("ho_1")
    story.decided("ho_1")
    story.granted("ho_1", "gr_1", expires_at="2030-01-01T00:00:04.000000Z")
    story.started("ho_1", "gr_1", "start_1")
    assert any("had expired" in w for w in check(story.log(), ran, settled=False))


def test_a_start_that_was_never_settled(ran: dict[str, Path]) -> None:
    story = Story()
    story.approved()
    story.started("ho_1", "gr_1", "start_1")
    assert check(story.log(), ran, settled=False) == []
    wrong = check(story.log(), ran)
    assert wrong == ["`ho_1` is resumed: neither over nor waiting", "`start_1` has no effect"]


@pytest.mark.parametrize("text", ["", "ran\nran\n"])
def test_lines_that_the_log_does_not_explain(story: Story, ran: dict[str, Path], text: str) -> None:
    ran[DIGEST].write_text(text)
    assert len(check(story.log(), ran)) == 1


def test_an_action_that_was_asked_in_two_forms(story: Story, ran: dict[str, Path]) -> None:
    """Its script changed between the approval and the start: the first form never ran."""
    ran["sha256:of-an-earlier-form"] = ran[DIGEST]
    assert check(story.log(), ran) == []
    ran[DIGEST].write_text("ran\nran\n")
    assert check(story.log(), ran) == ["effects has 2 lines; the log says 1 to 1"]


def test_a_changed_entry(story: Story, ran: dict[str, Path]) -> None:
    log = story.log()
    first = replace(log.rows[0], data=log.rows[0].data.replace(b"ho_1", b"ho_9"))
    wrong = check(replace(log, rows=[first, *log.rows[1:]]), ran)
    assert "1: the leaf is not the hash of the entry" in wrong


def test_a_machine_that_goes_on_undeclared_is_seen() -> None:
    story = Story()
    story.about(
        "ho_1", "handoff.requested", presented_digest="p", action_digest=DIGEST,
        kind="approval",
    )  # fmt: skip
    story.about("ho_1", "handoff.auto_proceeded")
    found = check(story.log(), {}, settled=False)
    assert [line for line in found if "no policy lets go on" in line]
