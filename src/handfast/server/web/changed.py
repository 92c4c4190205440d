"""What changed since an earlier form of a case was asked about or approved, for its page."""

from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.reading import Record, flag, mapping, moment, records, text


@dataclass(frozen=True, slots=True)
class OperandChange:
    """`before` and `after` are digests, or words where there is none."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changed:
    title: str
    handoff_id: str
    decided_by: str
    decided_at: datetime | None
    before: str
    after: str
    moved: str
    operands: tuple[OperandChange, ...]
    digests: tuple[str, str]


def changed_of(handoff: Record, package: Record) -> Changed | None:
    """None where no earlier form is known."""
    found = mapping(package, "changed")
    if not text(found, "handoff_id"):
        return None
    approved = flag(found, "approved") is True
    before = text(found, "before")
    return Changed(
        title="Changed since it was approved" if approved else "Changed since it was asked",
        handoff_id=text(found, "handoff_id"),
        decided_by=text(found, "decided_by_name"),
        decided_at=moment(found, "decided_at"),
        before=before,
        after=text(mapping(package, "what_will_happen"), "text") if before else "",
        moved=text(found, "moved"),
        operands=tuple(
            OperandChange(text(o, "path"), _digest(o, "before"), _digest(o, "after"))
            for o in records(found, "operands", 50)
        ),
        digests=(text(found, "before_digest"), text(handoff, "action_digest")),
    )


def _digest(operand: Record, key: str) -> str:
    found = text(operand, key)
    return {"": "nothing depended on it", "missing": "not there"}.get(found, found)
