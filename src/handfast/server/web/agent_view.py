"""Agents: the registry, and what is known of one. Below enough decisions it says that nothing is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.reading import Record, flag, mapping, moment, number, text, texts
from handfast.server.web.run_view import run_row
from handfast.server.web.wording import DECIDED_WORDS, KINDS, STATUSES


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One registered agent. Tokens are counted, never shown."""

    agent_id: str
    name: str
    harness: str
    team: str
    status: str
    tone: str
    why: str
    tokens: int
    registered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """What people decided about an agent's work. `sentence` is the whole of it in words."""

    enough: bool
    sentence: str
    reach: str
    endings: tuple[tuple[str, int], ...]
    kinds: tuple[tuple[str, int], ...]


def agent_row(agent: Record) -> AgentRow:
    """An agent in one line."""
    suspended = flag(agent, "suspended") is True
    return AgentRow(
        agent_id=text(agent, "agent_id"),
        name=text(agent, "name", "an agent without a name"),
        harness=text(agent, "harness"),
        team=text(agent, "team"),
        status="stopped" if suspended else "may act",
        tone="bad" if suspended else "good",
        why=text(agent, "suspended_why"),
        tokens=len(texts(agent, "tokens", 1_000)),
        registered_at=moment(agent, "registered_at"),
    )


def agents_page(
    agents: Iterable[Record], *, shell: Shell, now: datetime, search: str = ""
) -> Context:
    """For `agents.html`. Only those whose name, team or harness holds `search`."""
    wanted = search.strip().casefold()
    rows = [agent_row(agent) for agent in agents]
    found = [r for r in rows if wanted in f"{r.name} {r.team} {r.harness}".casefold()]
    found.sort(key=lambda row: (row.name.casefold(), row.agent_id))
    shown = tuple(found[:200])
    return context(
        shell, now, nav="agents", agents=shown, search=search, more=len(found) - len(shown)
    )


def agent_page(
    agent: Record,
    record: Record,
    runs: Iterable[Record],
    limits: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
) -> Context:
    """For `agent.html`. `record` is what `agent_record` gives, `limits` what `agent_limits` gives."""
    return context(
        shell,
        now,
        nav="agents",
        agent=agent_row(agent),
        known=known_of(record),
        runs=tuple(run_row(run) for run in runs),
        limits=tuple(_limit(row) for row in limits),
    )


def known_of(record: Record) -> Known:
    """The record in words. Counts only: a share of a few decisions would say more than is known."""
    decided = number(record, "decided") or 0
    needed = number(record, "needed") or 20
    enough = flag(record, "enough") is True
    looked_at = number(record, "looked_at") or 0
    whole = flag(record, "all_seen") is True
    reach = (
        "All handoffs of this installation were looked at."
        if whole
        else f"Among the newest {looked_at:,} handoffs of this installation; older ones are not counted."
    )
    machine = number(record, "by_machine") or 0
    if machine:
        reach += f" {machine:,} more {'was' if machine == 1 else 'were'} let through by a machine and say nothing."
    return Known(
        enough=enough,
        sentence=_sentence(mapping(record, "endings"), decided, needed, enough=enough),
        reach=reach,
        endings=_counts(mapping(record, "endings"), DECIDED_WORDS | STATUSES),
        kinds=_counts(mapping(record, "of_kinds"), KINDS),
    )


def _sentence(endings: Record, decided: int, needed: int, *, enough: bool) -> str:
    people = f"{decided} decision{'' if decided == 1 else 's'} by people"
    if not enough:
        return (
            f"No track record: {people} so far, and below {needed} they say nothing about the next."
        )
    unchanged = number(endings, "approve") or 0
    return f"{unchanged} of {people} approved its work unchanged."


def _counts(found: Record, words: dict[str, str]) -> tuple[tuple[str, int], ...]:
    rows = [(words.get(name, name.replace("_", " ")), number(found, name) or 0) for name in found]
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))


def _limit(row: Record) -> tuple[str, str, str]:
    """The metric, the agent's own median with its sample, and what holds the next run."""
    runs = number(row, "runs") or 0
    median = text(row, "median")
    own = f"{median} over {runs} run{'' if runs == 1 else 's'}" if median else "not known yet"
    return text(row, "label"), own, text(row, "limit", "no limit")
