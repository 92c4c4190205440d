"""Policy: what is in force, what is proposed, what was before, and why an action was stopped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from handfast.core.policy.builtin import RULES
from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.reading import Record, mapping, moment, number, records, text
from handfast.server.web.wording import RISKS, hazard_sentence, opaque_sentence

_VERDICTS = {
    "allow": ("allowed", "good"),
    "gate": ("a person decides", "warn"),
    "wait": ("a person decides", "warn"),
    "observed": ("would have asked a person", "warn"),
    "deny": ("denied", "bad"),
}


@dataclass(frozen=True, slots=True)
class ScopeView:
    """One scope with its texts. `text` is what is in force, `proposed` what waits for an approval."""

    scope: str
    version: int
    author: str
    approver: str
    published_at: datetime | None
    digest: str
    text: str
    proposed: str
    proposed_by: str
    proposed_digest: str
    proposed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of one action, in words."""

    words: str
    tone: str
    risk: str
    rules: tuple[tuple[str, str], ...]
    takes: str
    digest: str


@dataclass(frozen=True, slots=True)
class BuiltinRule:
    """A rule that holds without any file."""

    rule_id: str
    words: str
    tone: str
    risk: str
    why: str


def policy_page(
    scopes: Iterable[Record], *, shell: Shell, now: datetime, error: str = "", typed: str = ""
) -> Context:
    """For `policy.html`. Each record is a scope of `Policies.list` with its texts and people's names."""
    return context(
        shell,
        now,
        nav="policy",
        scopes=tuple(_scope(scope) for scope in scopes),
        builtin=_builtin(),
        error=error,
        typed=typed,
    )


def versions_page(scope: str, entries: Sequence[Record], *, shell: Shell, now: datetime) -> Context:
    """For `policy_versions.html`: what was proposed, published and declined in one scope."""
    rows = [(moment(e, "at"), _VERSION.get(text(e, "type"), text(e, "type")), e) for e in entries]
    return context(
        shell,
        now,
        nav="policy",
        scope=scope,
        versions=tuple(
            (at, words, text(e, "who"), text(e, "digest"), text(e, "reason"), text(e, "text"))
            for at, words, e in rows
        ),
    )


_VERSION = {
    "policy.proposed": "Proposed",
    "policy.published": "Put into force",
    "policy.declined": "Declined",
}


def explain_page(found: Record, ask: str, *, shell: Shell, now: datetime) -> Context:
    """For `policy_explain.html`. `found` is what `explain` gives."""
    then, current = verdict_of(found), verdict_of(mapping(found, "now"))
    hazards = [hazard_sentence(text(row, "text")) for row in records(found, "hazards")]
    opaque = [opaque_sentence(text(row, "text")) for row in records(found, "opaque")]
    return context(
        shell,
        now,
        nav="policy",
        handoff_id=text(found, "handoff_id"),
        run_id=text(found, "run_id"),
        step_id=text(found, "step_id"),
        ask=ask,
        at=moment(found, "at"),
        unread=text(found, "unread"),
        then=then,
        current=current,
        same=_answer(then) == _answer(current),
        facts=(*hazards, *opaque),
    )


def _answer(v: Verdict) -> tuple[object, ...]:
    """Without the reasons: a step records the ids of the rules that held, not what each says of itself."""
    return (v.words, v.risk, sorted(rule for rule, _ in v.rules))


def verdict_of(found: Record) -> Verdict:
    """An unknown verdict is named, never hidden."""
    name = text(found, "verdict")
    words, tone = _VERDICTS.get(name, (name or "not known", "quiet"))
    rules = tuple(
        (text(rule, "id") or text(rule, "text"), text(rule, "why"))
        for rule in records(found, "rules", 50)
    )
    risk, digest = text(found, "risk", "unknown"), text(found, "policy_digest")
    return Verdict(words, tone, risk, rules, text(found, "takes"), digest)


def _scope(scope: Record) -> ScopeView:
    held, waiting = mapping(scope, "in_force"), mapping(scope, "proposed")
    return ScopeView(
        scope=text(scope, "scope"),
        version=number(scope, "version") or 0,
        author=text(held, "author_name"),
        approver=text(scope, "approver_name"),
        published_at=moment(scope, "published_at"),
        digest=text(held, "digest"),
        text=text(held, "text"),
        proposed=text(waiting, "text"),
        proposed_by=text(waiting, "author_name"),
        proposed_digest=text(waiting, "digest"),
        proposed_at=moment(waiting, "at"),
    )


def _builtin() -> tuple[BuiltinRule, ...]:
    """Strictest first."""
    rows = [
        BuiltinRule(
            rule.id, *_VERDICTS.get(rule.verdict.value, ("", "")), rule.risk.value, rule.why
        )
        for rule in RULES
    ]
    rows.sort(key=lambda r: (r.tone != "bad", -RISKS.index(r.risk), r.rule_id))
    return tuple(rows)
