"""What one reading of a SQL text found. Nothing found is ever taken back."""

from dataclasses import dataclass, field

DESTRUCTIVE = "sql.destructive"
SCHEMA = "sql.schema"
PRIVILEGE = "sql.privilege"
PROGRAM = "sql.program"
WRITE = "sql.write"


@dataclass(slots=True)
class Seen:
    """Hazards and opaque reasons by name, each with the first sentence said about it; facts in order."""

    hazards: dict[str, str] = field(default_factory=dict)
    opaque: dict[str, str] = field(default_factory=dict)
    facts: dict[str, None] = field(default_factory=dict)

    def hazard(self, name: str, sentence: str) -> None:
        self.hazards.setdefault(name, sentence)
        self.facts.setdefault(sentence)

    def unread(self, reason: str, sentence: str) -> None:
        self.opaque.setdefault(reason, sentence)

    def fact(self, sentence: str) -> None:
        self.facts.setdefault(sentence)

    @property
    def gated(self) -> bool:
        """Whether a person will be asked anyway, so that a second look could add nothing."""
        return bool(self.opaque or set(self.hazards) - {WRITE})

    def add(self, other: "Seen") -> None:
        for name, sentence in other.hazards.items():
            self.hazard(name, sentence)
        for reason, sentence in other.opaque.items():
            self.unread(reason, sentence)
        self.facts.update(other.facts)
