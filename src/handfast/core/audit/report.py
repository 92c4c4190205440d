"""What a verification found: what is wrong, what is proven, and what is not."""

from dataclasses import dataclass, field
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int]
"""First and last position, both included. Positions count from 1."""

MAX_FINDINGS = 100
_SHOWN_BODIES = 20
_SHOWN_ERASURES = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `position` names an entry exactly; `interval` is used where only an interval can be known.
    `event_id` is the id the entry carries, which is itself in doubt when the entry was changed.
    """

    kind: str
    message: str
    position: int | None = None
    interval: Interval | None = None
    event_id: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "message": self.message,
            "position": self.position,
            "interval": None if self.interval is None else list(self.interval),
            "event_id": self.event_id or None,
        }


@dataclass(slots=True)
class Findings:
    """Collects findings; keeps the first `MAX_FINDINGS` and counts the rest."""

    kept: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        kind: str,
        message: str,
        *,
        position: int | None = None,
        interval: Interval | None = None,
        event_id: str = "",
    ) -> None:
        self.count += 1
        if len(self.kept) < MAX_FINDINGS:
            self.kept.append(Finding(kind, message, position, interval, event_id))

    def insert(self, finding: Finding) -> None:
        """Put the finding that matters most in front, and never drop it."""
        self.count += 1
        self.kept.insert(0, finding)


@dataclass(frozen=True, slots=True)
class Erasure:
    """An entry that records that `bodies` of the bundle's bodies were erased: by whom, and why."""

    position: int
    by: str
    why: str
    bodies: int

    def to_json(self) -> dict[str, object]:
        return {"position": self.position, "by": self.by, "why": self.why, "bodies": self.bodies}

    @property
    def line(self) -> str:
        many = "1 body" if self.bodies == 1 else f"{self.bodies:,} bodies"
        why = f": {self.why}" if self.why else ", without a reason"
        return f"{many}, by {self.by} in the entry at position {self.position}{why}"


@dataclass(frozen=True, slots=True)
class Report:
    """The answer of a verification. `ok` is False as soon as one finding exists.

    `proven` and `unproven` are sentences. `unproven` is never empty: a log cannot prove that what
    was recorded is what happened. `erased` names the first of the `erased_count` bodies.
    """

    origin: str
    entries: int
    heads: int
    bodies: int
    findings: tuple[Finding, ...]
    finding_count: int
    proven: tuple[str, ...]
    unproven: tuple[str, ...]
    erased: tuple[str, ...] = ()
    erased_count: int = 0
    erasures: tuple[Erasure, ...] = ()

    @property
    def ok(self) -> bool:
        return self.finding_count == 0

    @property
    def first_wrong(self) -> Finding | None:
        """The finding with the lowest exact position.

        None when an earlier entry may be wrong and only an interval is known for it: what a
        deleted entry leaves behind (a gap in its stream's versions) shows up after the place.
        """
        low = min((f.interval[0] for f in self.findings if f.interval), default=None)
        exact = [
            f for f in self.findings if f.position is not None and (low is None or f.position < low)
        ]
        return min(exact, key=lambda f: f.position or 0, default=None)

    @property
    def interval(self) -> Interval | None:
        """The narrowest interval that holds a wrong entry, where no exact one is known."""
        found = [f.interval for f in self.findings if f.interval is not None]
        return min(found, key=lambda i: i[1] - i[0], default=None)

    def to_json(self) -> dict[str, object]:
        first = self.first_wrong
        return {
            "ok": self.ok,
            "origin": self.origin,
            "entries": self.entries,
            "heads": self.heads,
            "bodies": self.bodies,
            "first_wrong": None if first is None else first.to_json(),
            "interval": None if self.interval is None else list(self.interval),
            "findings": [f.to_json() for f in self.findings],
            "finding_count": self.finding_count,
            "proven": list(self.proven),
            "unproven": list(self.unproven),
            "erased": list(self.erased),
            "erased_count": self.erased_count,
            "erasures": [e.to_json() for e in self.erasures],
        }

    def lines(self) -> list[str]:
        """The report for a terminal, without colour."""
        out = [self._headline(), ""]
        if self.findings:
            out.append("Wrong:")
            out += [f"  - {f.message}" for f in self.findings]
            if self.finding_count > len(self.findings):
                out.append(f"  - and {self.finding_count - len(self.findings):,} more")
            out.append("")
        for title, sentences in (("Proven:", self.proven), ("Not proven:", self.unproven)):
            if sentences:
                out += [title, *(f"  - {s}" for s in sentences), ""]
        if self.erased:
            out.append("Erased:")
            out += [f"  - {e.line}" for e in self.erasures[:_SHOWN_ERASURES]]
            if len(self.erasures) > _SHOWN_ERASURES:
                out.append(f"  - and {len(self.erasures) - _SHOWN_ERASURES:,} more entries")
            out += ["", "Erased bodies:"]
            out += [f"  - `{b}`" for b in self.erased[:_SHOWN_BODIES]]
            if self.erased_count > _SHOWN_BODIES:
                out.append(f"  - and {self.erased_count - _SHOWN_BODIES:,} more")
            out.append("")
        return out[:-1]

    def _headline(self) -> str:
        what = f"{self.entries:,} entries, {self.heads:,} signed heads, {self.bodies:,} bodies"
        log = f" of `{self.origin}`" if self.origin else ""
        if self.ok:
            return f"OK: {what}{log} fit together."
        first = self.first_wrong
        if first is not None:
            where = f"the first wrong entry is at position {first.position}"
        elif self.interval is not None:
            low, high = self.interval
            where = f"a wrong entry lies between positions {low} and {high}"
        else:
            where = "see below"
        return f"FAILED: {what}{log}; {where}."
