"""Claims and criteria as a page shows them: each with what the record shows, in words and never by colour alone."""

from dataclasses import dataclass

from handfast.server.web.reading import Record, text, texts

# status → (its word, the class that colours it)
_STATUS = {
    "recorded": ("shown by a recorded run", "recorded"),
    "failed": ("the recorded run failed", "failed"),
    "outdated": ("files changed after the run", "outdated"),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """`word` says how it stands, `tone` is a class. `own` are files of this very change that decide what its run
    shows. `said_by` is brief, agent or ''."""

    text: str
    word: str = "unverified"
    tone: str = "unverified"
    result: str = ""
    step_id: str = ""
    own: tuple[str, ...] = ()
    said_by: str = ""

    @property
    def recorded(self) -> bool:
        return self.tone == "recorded"


def claim_of(item: Record) -> Claim:
    word, tone = _STATUS.get(text(item, "status"), ("unverified", "unverified"))
    result = text(item, "result")
    return Claim(
        text=text(item, "claim") or text(item, "text"),
        word="" if tone == "recorded" and result else word,
        tone=tone,
        result=result,
        step_id=text(item, "step_id"),
        own=tuple(texts(item, "changed_by_this", 20)),
        said_by=text(item, "said_by"),
    )


def tally(criteria: tuple[Claim, ...]) -> str:
    """How many criteria the record shows; '' without any."""
    shown = sum(each.recorded for each in criteria)
    return f"{shown} of {len(criteria)} shown by a recorded run" if criteria else ""
