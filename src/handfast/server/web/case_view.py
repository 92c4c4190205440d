"""One handoff as its case page shows it: the five things first, the rest below.

Everything here is drawn from the record; the agent's own prose appears only as `agent_says`.
"""

from dataclasses import dataclass, field
from datetime import datetime

from markupsafe import Markup

from handfast.core.domain.containment import CONTAINED
from handfast.core.domain.diff_parts import MAX_CHARS
from handfast.core.domain.inert import inert
from handfast.server.web.brief_view import Brief, brief_of
from handfast.server.web.changed import Changed, StartApproved, changed_of, start_approved
from handfast.server.web.claims_view import Claim, claim_of, tally
from handfast.server.web.details_view import details_of, in_all
from handfast.server.web.diff import DiffView, colour_command, parse_diff
from handfast.server.web.files_view import FileList, files_of
from handfast.server.web.reach import blast, odd_characters
from handfast.server.web.reading import Record, flag, mapping, moment, number, records, text, texts
from handfast.server.web.standing import Receipt, Standing, receipt_of, standing_of
from handfast.server.web.stated_view import StatedClaim, stated_of
from handfast.server.web.times import milliseconds
from handfast.server.web.wording import (
    REVIEW_WARNINGS,
    hazard_sentence,
    kind_word,
    opaque_sentence,
)

_UNDO = {
    True: ("Can be undone", "good"),
    False: ("No undo", "bad"),
    None: ("Not known whether it can be undone", "warn"),
}
_QUESTIONS = {
    "approval": "May exactly this run?",
    "review": "Is this the work you asked for?",
    "doubt": "Did it run?",
    "escalation": "Should the agent go on?",
    "takeover": "Will you take this over?",
    "delegation": "Should this work be done?",
    "question": "What is the answer?",
}
_CONTAINMENT = {
    ("enforce", True): "The agent runs in a sandbox: effects outside its worktree need Handfast.",
    (
        "enforce",
        False,
    ): "Filter, not containment: the agent runs as your own user. The hook stops what "
    "goes through it and what can be read from a call; a script the agent wrote may do anything you may.",
    ("observe", True): "Observe mode: nothing is stopped. The agent runs in a sandbox.",
    (
        "observe",
        False,
    ): "Observe mode: nothing is stopped. This is a record of what would have been asked.",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence and where its proof is, if anywhere. `tone` only chooses a colour."""

    text: str
    tone: str = "quiet"


@dataclass(frozen=True, slots=True)
class Effect:
    """What will happen when it is approved."""

    kind: str
    text: str
    command: Markup
    diff: DiffView | None
    hazards: tuple[str, ...]
    details: tuple[str, ...]
    opaque: tuple[str, ...]
    odd_characters: tuple[str, ...]
    blast: str
    undo: Fact
    preview: str = ""
    preview_about: str = ""
    undo_text: str = ""
    undo_about: str = ""
    in_all: str = ""

    @property
    def lines(self) -> int:
        return self.text.count("\n") + 1


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was run, with its recorded end."""

    text: str
    exit_code: int | None
    took: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Review:
    """Finished work: what is merged where, and what it took."""

    base: str
    head: str
    branch: str
    commits: tuple[tuple[str, str], ...]
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """An effect nobody saw the end of."""

    started_at: datetime | None
    start_id: str
    checks: tuple[str, ...]
    approved: StartApproved | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that was tried and did not work."""

    tried: str
    outcome: str
    why: str
    run_id: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: datetime | None
    text: str
    who: str


@dataclass(frozen=True, slots=True)
class Case:
    """The whole page. Times are aware UTC."""

    handoff_id: str
    run_id: str
    title: str
    kind: str
    kind_word: str
    risk: str
    agent: str
    repository: str
    requested_at: datetime | None
    due_at: datetime | None
    blocking: bool
    holder: str
    standing: Standing
    effect: Effect
    why: tuple[Fact, ...]
    evidence: tuple[Claim, ...]
    question: str
    review: Review | None
    doubt: Doubt | None
    receipt: Receipt | None
    attempts: tuple[Attempt, ...]
    timeline: tuple[Entry, ...]
    brief: Brief | None
    agent_says: str
    not_seen: tuple[str, ...]
    digests: tuple[tuple[str, str], ...]
    containment: str
    state: str
    cost: tuple[tuple[str, str], ...]
    about: str
    changed: Changed | None = None
    claims: tuple[Claim, ...] = ()
    incomplete: tuple[str, ...] = ()
    tally: str = ""
    stated: tuple[StatedClaim, ...] = ()
    files: FileList = field(default_factory=FileList)

    @property
    def asks_only(self) -> bool:
        """The agent's words are the question itself, which stands above as its words."""
        return self.kind == "question" and self.agent_says == self.effect.text

    @property
    def what_title(self) -> str:
        """The heading over the call: to come, past, or in doubt."""
        if self.kind == "review" and self.about:
            return "What was approved alone"
        if self.kind == "doubt":
            return "What may have run"
        if self.kind == "escalation":
            return "What going on means"
        if self.kind == "question":
            return "What the agent asks"
        return "What was asked" if self.receipt else "What will happen"


def case_of(handoff: Record, brief: Record | None = None, run: Record | None = None) -> Case:
    """The view of `handoff`. `brief` and `run` come from its task and run, where it has them."""
    package = mapping(handoff, "package")
    found = tuple(claim_of(item) for item in records(package, "evidence"))
    evidence = tuple(claim for claim in found if claim.said_by != "agent")
    asked = brief_of(brief or mapping(package, "brief"), evidence, text(handoff, "brief_digest"))
    kind = text(handoff, "kind", "approval")
    effect = _effect(handoff, package)
    return Case(
        handoff_id=text(handoff, "handoff_id"),
        run_id=text(handoff, "run_id"),
        title=text(handoff, "ask") or text(package, "ask", "The ask is not recorded"),
        kind=kind,
        kind_word=kind_word(kind),
        risk=text(handoff, "risk", "unknown"),
        agent=text(handoff, "agent_name") or text(handoff, "agent_id", "unknown agent"),
        repository=repository_of(handoff, run),
        requested_at=moment(handoff, "requested_at"),
        due_at=moment(handoff, "due_at"),
        blocking=flag(handoff, "blocking") is not False,
        holder=_holder(handoff),
        standing=standing_of(handoff),
        effect=effect,
        why=why_now(handoff),
        evidence=evidence,
        question=text(package, "open_question") or _QUESTIONS.get(kind, "What should happen?"),
        review=_review(package) if kind == "review" and not text(handoff, "about") else None,
        doubt=_doubt(handoff, package) if kind == "doubt" else None,
        receipt=receipt_of(handoff),
        attempts=tuple(_attempt(item) for item in records(package, "attempts", 50)),
        timeline=tuple(_entry(item) for item in records(handoff, "timeline", 200)),
        brief=asked,
        agent_says=text(package, "agent_says"),
        not_seen=(*texts(package, "not_seen"), *(effect.diff.unseen if effect.diff else ())),
        digests=_digests(handoff),
        containment=_containment(run),
        state=text(package, "state"),
        cost=_cost(package),
        about=text(handoff, "about"),
        changed=changed_of(handoff, package),
        claims=tuple(claim for claim in found if claim.said_by == "agent"),
        incomplete=tuple(texts(package, "incomplete", 20)),
        tally=tally(asked.criteria) if asked else "",
        stated=stated_of(package),
        files=files_of(package, effect.diff),
    )


def repository_of(handoff: Record, run: Record | None = None) -> str:
    """The last part of the repository's path or address."""
    found = text(handoff, "repository") or text(run or {}, "repository")
    return found.rstrip("/").rpartition("/")[2].removesuffix(".git")


def why_now(handoff: Record) -> tuple[Fact, ...]:
    """The rules or limits that stopped it, with their figures."""
    source = handoff if handoff.get("why_now") else mapping(handoff, "package")
    found = []
    for item in records(source, "why_now", 20) or records({"w": [source.get("why_now")]}, "w"):
        sentence = text(item, "text") or text(item, "why")
        figure = text(item, "figure")
        found.append(Fact(f"{sentence} ({figure})" if figure else sentence, text(item, "id")))
    return tuple(fact for fact in found if fact.text)


def _effect(handoff: Record, package: Record) -> Effect:
    will = mapping(package, "what_will_happen")
    kind, body = text(will, "kind", "text"), text(will, "text")
    hazards, opaque = texts(will, "hazards"), texts(will, "opaque")
    undo, tone = _UNDO[flag(will, "reversible")]
    return Effect(
        kind=kind,
        text=body,
        command=colour_command(body, MAX_CHARS) if kind == "command" else Markup(),
        diff=parse_diff(body, open_all=_weighty(handoff)) if kind == "diff" else None,
        hazards=(*(hazard_sentence(name) for name in hazards), *_review_warnings(package)),
        details=details_of(will, body if kind == "command" else ""),
        in_all=in_all(will),
        opaque=tuple(opaque_sentence(name) for name in opaque),
        odd_characters=odd_characters(body) if kind == "command" else (),
        blast=blast(hazards, opaque, text(handoff, "kind"), text(will, "effect")),
        undo=Fact(undo, tone),
        preview=text(will, "preview"),
        preview_about=text(will, "preview_about"),
        undo_text=text(will, "undo"),
        undo_about=text(will, "undo_about"),
    )


def _weighty(handoff: Record) -> bool:
    """Whether every changed file is unfolded: nobody approves what they have not seen open."""
    return text(handoff, "risk") in ("high", "critical")


def _review_warnings(package: Record) -> tuple[str, ...]:
    """What in finished work deserves a look first, with the paths."""
    review = mapping(package, "review")
    found = ((words, texts(review, key)) for key, words in REVIEW_WARNINGS.items())
    return tuple(
        f"{words}: {', '.join(paths[:5])}{f' and {len(paths) - 5} more' if len(paths) > 5 else ''}."
        for words, paths in found
        if paths
    )


def _review(package: Record) -> Review:
    review = mapping(package, "review")
    commits = [
        (text(item, "commit")[:12], text(item, "subject") or text(item, "text"))
        for item in records(review, "commits", 100)
    ]
    return Review(
        base=text(review, "base_commit")[:12],
        head=text(review, "head_commit"),
        branch=text(review, "target_branch"),
        commits=tuple(commits),
        commands=tuple(_command(item) for item in records(review, "commands", 200)),
    )


def _command(item: Record) -> Command:
    exit_code = number(item, "exit_code")
    return Command(
        text=text(item, "command") or text(item, "text"),
        exit_code=exit_code,
        took=milliseconds(number(item, "duration_ms")),
        failed=exit_code not in (0, None),
    )


def _attempt(item: Record) -> Attempt:
    tried = text(item, "tried") or text(item, "text", "an attempt")
    why = text(item, "why") or text(item, "why_failed")
    return Attempt(tried, text(item, "outcome"), why, text(item, "run_id"), moment(item, "at"))


def _entry(item: Record) -> Entry:
    said = text(item, "text") or text(item, "type").replace(".", " ").replace("_", " ")
    return Entry(moment(item, "at"), said, text(item, "who"))


def _doubt(handoff: Record, package: Record) -> Doubt:
    doubt = mapping(package, "doubt")
    return Doubt(
        started_at=moment(doubt, "started_at"),
        start_id=text(doubt, "start_id"),
        checks=tuple(texts(doubt, "how_to_check")) or tuple(texts(package, "pointers", 20)),
        approved=start_approved(handoff),
    )


def _holder(handoff: Record) -> str:
    holder = handoff.get("holder")
    if isinstance(holder, str):
        return text(handoff, "holder_name", holder)
    named = mapping(handoff, "holder")
    return text(named, "name") or text(named, "person_id")


def _digests(handoff: Record) -> tuple[tuple[str, str], ...]:
    pairs = (
        ("Action digest", text(handoff, "action_digest")),
        ("Shown here", text(handoff, "presented_digest")),
        ("Decided on", text(mapping(handoff, "decision"), "presented_digest")),
    )
    return tuple((name, digest) for name, digest in pairs if digest)


def _containment(run: Record | None) -> str:
    if not run:
        return _CONTAINMENT["enforce", False]
    told = inert(text(run, "containment"), 2_000, multiline=False)
    key = (text(run, "mode", "enforce"), told.startswith(CONTAINED))
    known = _CONTAINMENT.get(key, _CONTAINMENT["enforce", False])
    return f"{known} {told[:1].upper()}{told[1:]}." if told else known


def _cost(package: Record) -> tuple[tuple[str, str], ...]:
    """Cost so far as label and figure; a plain text stands alone."""
    plain = text(package, "cost")
    if plain:
        return (("Cost so far", plain),)
    cost = mapping(package, "cost")
    usd, turns = text(cost, "cost_usd", "0"), text(cost, "turns", "0")
    # Zero is what stands there when the harness told nothing; it is not shown as if it were known.
    figures = (
        ("Cost", "not told" if usd.strip("0.") == "" else f"${usd}"),
        ("Time", milliseconds(number(cost, "duration_ms") or None)),
        ("Calls", text(cost, "tool_calls")),
        ("Turns", turns if turns != "0" else ""),
    )
    return tuple((label, figure) for label, figure in figures if figure)
