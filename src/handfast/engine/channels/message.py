"""What a notice says, drawn from recorded facts: our words of the real call, and the agent's kept apart.

Everything here is inert: no control, bidi or zero-width character is left in it, and it is bounded. Each
channel still escapes it for its own markup.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.handoff import Handoff
from handfast.core.domain.inert import inert
from handfast.core.domain.notice import Notice
from handfast.core.domain.package import Package, ShowKind
from handfast.engine.surroundings import Surroundings

MAX_DETAILS = 6
SAYS = "The agent says (not checked)"


@dataclass(frozen=True, slots=True)
class Case:
    """One handoff in a message. `call` is the exact command or ''; `decide` lets a chat offer a button.

    `says` is the agent's own prose; a mail program finds no address in it. Times are aware UTC.
    """

    notice_id: str
    handoff_id: str
    presented_digest: str
    ask: str
    risk: str
    kind: str
    agent: str
    repository: str
    why: str
    question: str
    link: str
    due_at: datetime | None = None
    details: tuple[str, ...] = ()
    call: str = ""
    says: str = ""
    decide: bool = False

    def about(self, between: str) -> str:
        """What it is, whose and until when, on one line."""
        until = f"until {self.due_at:%Y-%m-%d %H:%M} UTC" if self.due_at else ""
        where = f" in {self.repository}" if self.repository else ""
        parts = (self.kind, f"{self.risk} risk", f"{self.agent}{where}", until)
        return between.join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Message:
    """`cases` is empty for a test. `key` is the same for every attempt to deliver it."""

    key: str
    at: datetime
    cases: tuple[Case, ...] = ()

    @property
    def subject(self) -> str:
        """One line."""
        if not self.cases:
            return "Handfast: a test"
        if len(self.cases) > 1:
            return f"Handfast: {len(self.cases)} cases wait for you"
        case = self.cases[0]
        return _line(f"Handfast ({case.risk} risk): {case.ask}", 200)


def case_of(
    notice: Notice,
    handoff: Handoff,
    package: Package,
    link: str,
    around: Surroundings,
    *,
    decide: bool,
) -> Case:
    """`decide`: policy lets it be decided in a chat."""
    will = package.what_will_happen
    root = around.root(handoff.run_id)
    call = will.text if will.kind is ShowKind.COMMAND else ""
    return Case(
        notice_id=notice.notice_id,
        handoff_id=handoff.handoff_id,
        presented_digest=handoff.presented_digest,
        ask=_line(package.ask, 300),
        risk=handoff.risk,
        kind=handoff.kind.value,
        agent=_line(around.agent_name(handoff.agent_id) or "no agent", 80),
        repository=_line(root.rstrip("/").rpartition("/")[2].removesuffix(".git"), 80),
        why=_line(package.why_now, 500),
        question=_line(package.open_question, 300),
        link=link,
        due_at=handoff.deadline,
        details=tuple(_line(d, 200) for d in _some(will.details)),
        call=inert(call, 1_500),
        says=_line(package.agent_says, 500).replace("://", "[:]//"),
        decide=decide,
    )


def _some(details: Sequence[str]) -> list[str]:
    shown = list(details[:MAX_DETAILS])
    more = len(details) - len(shown)
    return [*shown, f"and {more} more"] if more > 0 else shown


def _line(text: str, limit: int) -> str:
    return inert(" ".join(text.split()), limit, multiline=False)
