"""Proves from the stored log alone that no handoff was lost or doubled and no effect repeated.

Independent of the product on purpose: plain SQL, JSON and SHA-256, its own reading of the events
(`folds`), its own tree and its own reading of signed heads (`published`). It also believes nobody: what
the harness was answered while it ran (`Witness`) must be in the log afterwards.
The envelope of an entry is `{type, stream, version, at, data, …}`.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.folds import HANDOFF_STATUS, Told
from tests.faults.hands import in_hands
from tests.faults.published import Tree, against, joined, leaf_of

Json = dict[str, Any]
ENDS = frozenset({"closed", "superseded", "withdrawn", "expired", "incomplete"})
APPROVING = ("approve", "approve_with_edits")
HAPPENED = ("verified", "reported")


@dataclass(frozen=True)
class Row:
    position: int
    stream: str
    version: int
    type: str
    data: bytes
    leaf: bytes


@dataclass(frozen=True)
class Stored:
    """A stream's projection."""

    version: int
    status: str
    doc: Json


@dataclass(frozen=True)
class Log:
    """One consistent reading of a database. `heads` are the notes that it stores itself."""

    rows: Sequence[Row]
    frontier: bytes
    states: Mapping[str, Stored]
    heads: Sequence[str] = ()


@dataclass
class Witness:
    """What was seen from outside while the product ran, however it ended since.

    `verifier` is the public key; without it no head is looked at. A receipt is an entry's type and some of
    its fields: somebody was answered that it is in the log. `told` are the handoffs that people were told of,
    None where nobody listened. `winners` are the commands, by their keys, that were told they decided.
    """

    verifier: str = ""
    heads: list[str] = field(default_factory=list)
    receipts: list[tuple[str, Json]] = field(default_factory=list)
    told: set[str] | None = None
    winners: dict[str, set[str]] = field(default_factory=dict)

    def answered(self, kind: str, **fields: object) -> None:
        self.receipts.append((kind, fields))

    def decided(self, handoff_id: str, key: str, kind: str) -> None:
        self.winners.setdefault(handoff_id, set()).add(key)
        self.answered("handoff.decided", handoff_id=handoff_id, decision=kind)

    def until_now(self) -> "Witness":
        """A copy: what is seen from now on may be of entries that a log read now does not have."""
        told = set(self.told) if self.told is not None else None
        winners = {handoff: set(keys) for handoff, keys in list(self.winners.items())}
        return Witness(self.verifier, list(self.heads), list(self.receipts), told, winners)


def read_log(url: str) -> Log:
    """All in one transaction, so a log that grows meanwhile is still a consistent one."""
    with _connected(url) as connection:
        fields = "position, stream, version, type, data, leaf"
        rows = connection.execute(f"SELECT {fields} FROM event ORDER BY position").fetchall()  # noqa: S608 - constants
        tree = connection.execute("SELECT frontier FROM tree").fetchone()
        states = connection.execute("SELECT stream, version, status, doc FROM state").fetchall()
        heads = connection.execute("SELECT note FROM tree_head").fetchall()
    return Log(
        [Row(r[0], r[1], r[2], r[3], bytes(r[4]), bytes(r[5])) for r in rows],
        bytes(tree[0]) if tree else bytes(8),
        {str(r[0]): Stored(r[1], str(r[2]), json.loads(bytes(r[3]))) for r in states},
        [str(r[0]) for r in heads],
    )


class _connected:
    """A read-only transaction on either database."""

    def __init__(self, url: str) -> None:
        self._connection: Any
        if url.startswith("sqlite:///"):
            path = url.removeprefix("sqlite:///")
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            self._connection.isolation_level = None
            self._connection.execute("BEGIN")
        else:
            self._connection = psycopg.connect(url)
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@dataclass
class _Start:
    start_id: str
    digest: str
    handoff_id: str
    outcome: str = ""


@dataclass
class _Case:
    """One handoff, as its events tell it."""

    handoff_id: str
    asked: Json
    status: str = "requested"
    decision: Json | None = None
    edit: Json = field(default_factory=dict)
    grant: Json | None = None
    starts: list[_Start] = field(default_factory=list)

    @property
    def about(self) -> str:
        """The case that this one doubts. Entries leave empty fields out."""
        return str(self.asked.get("about", ""))

    @property
    def run_id(self) -> str:
        return str(self.asked.get("run_id", ""))

    @property
    def over(self) -> bool:
        return self.status in ENDS

    @property
    def waiting(self) -> bool:
        return self.status in ("requested", "routed", "acknowledged")

    @property
    def starts_left(self) -> bool:
        return self.grant is not None and len(self.starts) < self.grant.get("uses", 1)

    @property
    def subject(self) -> tuple[str, str, str]:
        """What it is about. Two at a time about the same are one too many."""
        about = self.about or self.asked["kind"]
        return self.run_id, self.asked["action_digest"], about


class _Reading:
    """Walks the log once, in order, and notes what cannot be."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.cases: dict[str, _Case] = {}
        self.starts: dict[str, _Start] = {}
        self.named: set[str] = set()
        self.told = Told()
        self.said: defaultdict[str, list[Json]] = defaultdict(list)
        self._minted: Counter[str] = Counter()
        self._redeemed: Counter[str] = Counter()

    def read(self, row: Row) -> None:
        envelope = json.loads(row.data)
        if (envelope["stream"], envelope["version"], envelope["type"]) != (
            row.stream,
            row.version,
            row.type,
        ):
            self._say(row, "the row's columns are not those of the entry")
        data = envelope["data"]
        self.told.add(row.stream, row.version, row.type, data)
        self.said[row.type].append(data)
        if row.type == "step.judged" and data.get("handoff_id"):
            self.named.add(data["handoff_id"])
        if "handoff_id" not in data or not row.stream.startswith("handoff/"):
            return
        if row.type == "handoff.requested":
            self._requested(row, data, envelope["at"])
            return
        case = self.cases.get(data["handoff_id"])
        if case is None:
            self._say(row, f"is about `{data['handoff_id']}`, which was never requested")
            return
        step = {
            "handoff.edited": self._edited,
            "handoff.decided": self._decided,
            "handoff.overridden": self._overridden,
            "handoff.auto_proceeded": self._went_on,
            "grant.minted": self._granted,
            "grant.redeemed": self._started,
            "effect.recorded": self._effect,
        }.get(row.type)
        if step is not None:
            step(row, case, data, envelope)
        case.status = HANDOFF_STATUS.get(row.type, case.status)
        if row.type == "effect.recorded" and case.starts_left:
            case.status = "decided"

    def _say(self, row: Row, what: str) -> None:
        self.wrong.append(f"{row.position} {row.type}: {what}")

    def _requested(self, row: Row, data: Json, at: str) -> None:
        case = _Case(data["handoff_id"], data)
        if case.handoff_id in self.cases:
            self._say(row, f"`{case.handoff_id}` was requested before")
        for other in self.cases.values():
            expired = other.grant and not other.starts and other.grant["expires_at"] <= at
            if other.subject == case.subject and not other.over and not expired:
                self._say(row, f"doubles `{other.handoff_id}`, which is {other.status}")
        self.cases[case.handoff_id] = case

    def _decided(self, row: Row, case: _Case, data: Json, envelope: Json) -> None:
        if case.decision is not None or not case.waiting:
            self._say(row, f"`{case.handoff_id}` was {case.status} already")
        if envelope["actor"]["type"] != "person" or not data["person_id"]:
            self._say(row, "no person decided")
        shown = case.edit.get("presented_digest", case.asked["presented_digest"])
        if data["presented_digest"] != shown:
            self._say(row, "what was decided on is not what was presented")
        case.decision = data

    def _edited(self, row: Row, case: _Case, data: Json, _: Json) -> None:
        if not case.waiting:
            self._say(row, f"`{case.handoff_id}` was {case.status} already")
        case.edit = data

    def _overridden(self, row: Row, case: _Case, data: Json, envelope: Json) -> None:
        self._decided(row, case, data, envelope)
        edited = case.edit.get("edited_digest", "")
        case.decision = data | {"decision": "approve", "edited_digest": edited}

    def _went_on(self, row: Row, case: _Case, data: Json, _: Json) -> None:
        """No person decided: only where the policy says so, and only what is low risk and reversible."""
        if case.decision is not None or not case.waiting:
            self._say(row, f"`{case.handoff_id}` was {case.status} already")
        silence = case.asked.get("requirement", {}).get("silence", "expire")
        if silence != "auto_proceed" or not case.asked.get("may_proceed"):
            self._say(row, "a machine went on with what no policy lets go on")
        case.decision = data | {"decision": "approve"}

    def _granted(self, row: Row, case: _Case, data: Json, _: Json) -> None:
        self._minted[data["grant_id"]] += 1
        decided = case.decision
        if decided is None or decided["decision"] not in APPROVING:
            self._say(row, "a grant without an approval")
            return
        approved = decided.get("edited_digest") or case.asked["action_digest"]
        if data["action_digest"] != approved:
            self._say(row, "the grant is for another action than the approved one")
        if self._minted[data["grant_id"]] > 1:
            self._say(row, f"`{data['grant_id']}` was minted twice")
        case.grant = data

    def _started(self, row: Row, case: _Case, data: Json, envelope: Json) -> None:
        start = _Start(data["start_id"], data["action_digest"], case.handoff_id)
        self._redeemed[data["grant_id"]] += 1
        if self._redeemed[data["grant_id"]] > (case.grant or {}).get("uses", 1):
            self._say(row, f"`{data['grant_id']}` was redeemed twice")
        if case.grant is None or case.grant["grant_id"] != data["grant_id"]:
            self._say(row, f"`{data['grant_id']}` was not minted here")
        elif data["action_digest"] != case.grant["action_digest"]:
            self._say(row, "what started is not what was granted")
        elif envelope["at"] >= case.grant["expires_at"]:
            self._say(row, "the grant had expired")
        if self._in_doubt(case, start.digest):
            self._say(row, "the same action is in doubt, and nobody said that it did not run")
        case.starts.append(start)
        self.starts[start.start_id] = start

    def _in_doubt(self, case: _Case, digest: str) -> bool:
        """Whether the newest start of this action in this run is unknown and not settled by a person."""
        before = [
            (start, other)
            for other in self.cases.values()
            for start in other.starts
            if start.digest == digest and other.run_id == case.run_id
        ]
        for start, other in before:
            if start.outcome in HAPPENED or start.outcome == "none":
                continue
            answers = [
                doubt.decision.get("answer")
                for doubt in self.cases.values()
                if doubt.about == other.handoff_id and doubt.decision is not None
            ]
            if "it_did_not_run" not in answers:
                return True
        return False

    def _effect(self, row: Row, case: _Case, data: Json, _: Json) -> None:
        start = self.starts.get(data["start_id"])
        if start is None or start.handoff_id != case.handoff_id:
            self._say(row, f"an effect without the start `{data['start_id']}`")
            return
        if start.outcome:
            self._say(row, f"`{start.start_id}` has an effect already: {start.outcome}")
        start.outcome = data["outcome"]


def check(
    log: Log,
    effects: Mapping[str, Path],
    witness: Witness | None = None,
    *,
    settled: bool = True,
) -> list[str]:
    """Everything that is wrong, in words. `effects` names, by action digest, the file that the action
    appends one line to. With `settled`, nothing may be under way: every case is over or waits, and every
    start has an effect."""
    witness = witness or Witness()
    reading = _Reading()
    for row in log.rows:
        reading.read(row)
    found = [*reading.wrong, *_tree(log, witness), *_projections(log, reading.told)]
    found += [f"lost: `{h}` was named, never requested" for h in reading.named - set(reading.cases)]
    found += [*_doubts(reading), *_receipts(reading, witness)]
    found += in_hands((row.stream, row.type, row.data) for row in log.rows)
    if settled:
        found += [*_unsettled(reading), *_untold(reading, witness)]
    return [*found, *_lines(reading, effects)]


def _tree(log: Log, witness: Witness) -> list[str]:
    found = []
    for expected, row in enumerate(log.rows, start=1):
        if row.position != expected:
            found.append(f"position {expected} is missing")
            break
    versions: Counter[str] = Counter()
    for row in log.rows:
        versions[row.stream] += 1
        if row.version != versions[row.stream]:
            found.append(
                f"{row.position}: version {versions[row.stream]} of {row.stream} is missing"
            )
            break
    hashes = [leaf_of(row.data) for row in log.rows]
    tree = Tree()
    for row, value in zip(log.rows, hashes, strict=True):
        tree.add(value)
        if row.leaf != value:
            found.append(f"{row.position}: the leaf is not the hash of the entry")
    size, parts = int.from_bytes(log.frontier[:8], "big"), log.frontier[8:]
    if size != len(log.rows):
        found.append(f"the tree has {size} leaves, the log {len(log.rows)} entries")
    if joined([parts[at : at + 32] for at in range(0, len(parts), 32)]) != tree.root:
        found.append("the stored root is not the root of the entries")
    if witness.verifier:
        found += against(hashes, [*log.heads, *witness.heads], witness.verifier)
    return found


def _projections(log: Log, told: Told) -> Iterable[str]:
    """What the queue shows is what the log says."""
    for stream in told.states.keys() - log.states.keys():
        yield f"{stream} is in the log and not in the queue"
    for stream, row in log.states.items():
        if wrong := told.differs(stream, row.version, row.status, row.doc):
            yield wrong


def _receipts(reading: _Reading, witness: Witness) -> Iterable[str]:
    """What somebody was told is done is done."""
    for kind, fields in witness.receipts:
        if not any(fields.items() <= data.items() for data in reading.said[kind]):
            yield f"lost: `{kind}` with {fields} was answered as done, and the log has it not"
    for handoff_id, keys in witness.winners.items():
        if len(keys) > 1:
            yield f"`{handoff_id}` was won by {len(keys)} deciders: {sorted(keys)}"


def _untold(reading: _Reading, witness: Witness) -> Iterable[str]:
    for case in reading.cases.values():
        if witness.told is not None and case.waiting and case.handoff_id not in witness.told:
            yield f"`{case.handoff_id}` waits, and nobody was told"


def _doubts(reading: _Reading) -> Iterable[str]:
    """Each unknown effect has exactly one doubt, and each doubt an unknown effect."""
    doubts: defaultdict[str, int] = defaultdict(int)
    for case in reading.cases.values():
        if case.asked["kind"] == "doubt":
            doubts[case.about] += 1
    for case in reading.cases.values():
        unknown = sum(start.outcome == "unknown" for start in case.starts)
        if doubts[case.handoff_id] != unknown:
            yield f"`{case.handoff_id}`: {unknown} unknown effects, {doubts[case.handoff_id]} doubts"


def _unsettled(reading: _Reading) -> Iterable[str]:
    for case in reading.cases.values():
        if not case.over and not case.waiting:
            yield f"`{case.handoff_id}` is {case.status}: neither over nor waiting"
    for start in reading.starts.values():
        if not start.outcome:
            yield f"`{start.start_id}` has no effect"


def _lines(reading: _Reading, effects: Mapping[str, Path]) -> Iterable[str]:
    """Counted outside the product: the lines that the actions appended. An action whose operands changed
    has another digest and the same file."""
    digests: defaultdict[Path, set[str]] = defaultdict(set)
    for digest, path in effects.items():
        digests[path].add(digest)
    for path, same in digests.items():
        outcomes = Counter(s.outcome for s in reading.starts.values() if s.digest in same)
        least = sum(outcomes[o] for o in HAPPENED)
        most = least + outcomes["unknown"] + outcomes[""]
        lines = len(path.read_text().splitlines()) if path.exists() else 0
        if not least <= lines <= most:
            yield f"{path.name} has {lines} lines; the log says {least} to {most}"
