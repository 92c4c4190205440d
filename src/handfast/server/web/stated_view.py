"""Claims that the agent states itself, as a page shows them: its words, its number, and the step its basis names."""

from dataclasses import dataclass

from handfast.server.web.reading import Record, number, records, text


@dataclass(frozen=True, slots=True)
class StatedClaim:
    """`says` is the agent's number in words, '' for none. `found` says what is known of the step that the basis
    names; without one the claim is unverified."""

    claim: str
    says: str
    basis: str
    found: str
    step_id: str


def stated_of(package: Record) -> tuple[StatedClaim, ...]:
    return tuple(_stated(item) for item in records(package, "stated", 20))


def _stated(item: Record) -> StatedClaim:
    confidence, step_id = text(item, "confidence"), text(item, "step_id")
    return StatedClaim(
        claim=text(item, "claim"),
        says=f"says {confidence}" if confidence else "",
        basis=text(item, "basis"),
        found=_found(item) if step_id else "unverified",
        step_id=step_id,
    )


def _found(item: Record) -> str:
    code = number(item, "exit_code")
    ended = "no exit code was recorded" if code is None else f"it ended with exit code {code}"
    return f"names a recorded call, {ended}"
