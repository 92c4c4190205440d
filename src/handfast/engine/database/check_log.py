"""Checks the log: positions without a gap, leaves of the bytes, the tree over them, and every signed head."""

from collections.abc import Iterator
from dataclasses import dataclass

from handfast.core.audit.note import VerifierKey, parse_checkpoint, parse_note, signed_by
from handfast.core.audit.tree import Frontier, Node, leaf_hash
from handfast.core.domain.errors import IntegrityError
from handfast.engine.database.report import Progress, Report
from handfast.engine.keys import ed25519_verify
from handfast.storage.copies import Row, Snapshot

PAGE = 500
EVENT = ("position", "data", "leaf")


def check_log(view: Snapshot, key: VerifierKey | None, report: Report, told: Progress) -> None:
    """Reads every entry once. Sets the report's size and root to those of the entries."""
    grown = _Grown(view, key, report)
    total = view.count("event")
    leaves: list[bytes] = []
    expected = 1
    for position, data, leaf in view.rows("event", EVENT, ("position",)):
        if position != expected:
            report.wrong("log", f"position {position} stands where {expected} belongs")
            expected = int(position)
        made = leaf_hash(bytes(data))
        if made != leaf:
            report.wrong("log", f"entry {position}: its bytes are not those of its leaf")
        leaves.append(made)
        expected += 1
        if len(leaves) == PAGE:
            grown.extend(leaves)
            leaves = []
            told("log", grown.frontier.size, total)
    grown.extend(leaves)
    grown.finish()
    report.checked["log"] = report.size = grown.frontier.size
    report.root = grown.frontier.root().hex()


@dataclass(frozen=True, slots=True)
class _Head:
    size: int
    note: str


class _Grown:
    """The tree made anew from the entries, compared with what is stored of it on the way."""

    def __init__(self, view: Snapshot, key: VerifierKey | None, report: Report) -> None:
        self._view, self._key, self._report = view, key, report
        self.frontier = Frontier()
        self._nodes = 0
        self._levels: dict[int, Iterator[Row]] = {}
        self._heads = (_Head(int(s), str(n)) for s, n in view.rows("tree_head", ("size", "note")))
        self._next = next(self._heads, None)
        self._signed = 0

    def extend(self, leaves: list[bytes]) -> None:
        """Stops at the size of every head to compare its root."""
        self._compare_heads()
        while leaves:
            room = self._next.size - self.frontier.size if self._next else len(leaves)
            now, leaves = leaves[:room], leaves[room:]
            self.frontier, nodes = self.frontier.extend(now)
            for node in nodes:
                self._compare(node)
            self._compare_heads()

    def _compare(self, node: Node) -> None:
        level = node.level
        if level not in self._levels:
            columns = ("idx", "hash")
            self._levels[level] = self._view.rows("tree_node", columns, ("idx",), {"level": level})
        self._nodes += 1
        if next(self._levels[level], None) != (node.index, node.hash):
            self._report.wrong(
                "tree", f"the node at level {level}, index {node.index} is not stored so"
            )

    def _compare_heads(self) -> None:
        while (head := self._next) is not None and head.size <= self.frontier.size:
            if why := self._why_wrong(head):
                self._report.wrong("heads", f"the head of size {head.size}: {why}")
            self._signed += 1
            self._next = next(self._heads, None)

    def _why_wrong(self, head: _Head) -> str:
        try:
            note = parse_note(head.note)
            said = parse_checkpoint(note.text)
            signed = self._key is None or signed_by(note, [self._key], ed25519_verify) is not None
        except IntegrityError as e:
            return e.message
        if (said.size, head.size) != (self.frontier.size, self.frontier.size):
            return f"it says {said.size}"
        if said.root != self.frontier.root():
            return "its root is not that of the entries"
        return "" if signed else "it is not signed with this installation's key"

    def finish(self) -> None:
        report = self._report
        self._compare_heads()
        while self._next is not None:
            report.wrong("heads", f"the head of size {self._next.size} is beyond the log's end")
            self._next = next(self._heads, None)
        stored = [bytes(row[0]) for row in self._view.rows("tree", ("frontier",))]
        if stored != [self.frontier.to_bytes()]:
            report.wrong("tree", "the stored frontier is not that of the entries")
        if (number := self._view.count("tree_node")) != self._nodes:
            report.wrong("tree", f"{number} nodes are stored, the entries make {self._nodes}")
        report.checked["tree"], report.checked["heads"] = self._nodes, self._signed
        if self._key is None and self._signed:
            report.unchecked.append("signatures of heads: there is no key in the data folder")
