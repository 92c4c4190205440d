"""The policy that holds when no rule file says otherwise: one table from hazards to verdicts.

Strictest wins, so the order of rules and of hazards does not matter, and one more hazard never loosens a
verdict. What the table does not know is gated.
"""

from dataclasses import dataclass
from functools import lru_cache

from handfast.core.domain.action import Effect, Facts, Judgement, MatchedRule, Risk, Verdict
from handfast.core.domain.canonical import JSON, digest


@dataclass(frozen=True, slots=True)
class Rule:
    """Applies when one of `hazards` was found. `why` and `remedy` are shown to the agent and the person."""

    id: str
    hazards: tuple[str, ...]
    verdict: Verdict
    risk: Risk
    why: str
    remedy: str = ""


_ASK = "Wait for the decision, or reach the goal without this."

RULES: tuple[Rule, ...] = (
    Rule(
        "control-plane",
        ("control-plane",),
        Verdict.DENY,
        Risk.CRITICAL,
        "Agents may not touch what decides about agents: Handfast's data, keys, processes and ports, and hook settings.",
        "Do the task without it. `handfast exec gr_…` is the only Handfast command open to an agent.",
    ),
    Rule("secret", ("secret.access",), Verdict.GATE, Risk.HIGH, "It reads credentials.", _ASK),
    Rule(
        "remote-code",
        ("exec.remote",),
        Verdict.GATE,
        Risk.CRITICAL,
        "It runs code straight from the network, which nobody has read.",
        "Download it first, show what it is, then run the file.",
    ),
    Rule(
        "inline-code",
        ("exec.inline",),
        Verdict.GATE,
        Risk.MEDIUM,
        "Inline code shows a hazard or reaches outside the worktree.",
        "Put the code into a file in the worktree, or leave the hazard out.",
    ),
    Rule(
        "force-push",
        ("git.push-force",),
        Verdict.GATE,
        Risk.CRITICAL,
        "It replaces or deletes remote history.",
        _ASK,
    ),
    Rule("push", ("git.push",), Verdict.GATE, Risk.HIGH, "Commits leave this machine.", _ASK),
    Rule(
        "history",
        ("git.history-rewrite",),
        Verdict.GATE,
        Risk.HIGH,
        "It loses or rewrites work git would otherwise keep.",
        "Commit first, or name only files without uncommitted changes.",
    ),
    Rule(
        "git-hooks",
        ("git.hooks",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes what git itself runs or obeys.",
        _ASK,
    ),
    Rule(
        "publish",
        ("publish",),
        Verdict.GATE,
        Risk.CRITICAL,
        "Publishing cannot be taken back.",
        _ASK,
    ),
    Rule("deploy", ("deploy",), Verdict.GATE, Risk.CRITICAL, "It changes running systems.", _ASK),
    Rule(
        "forge",
        ("forge.write",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes the forge, where other people see it.",
        _ASK,
    ),
    Rule(
        "migration",
        ("db.migrate",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes a database's structure.",
        _ASK,
    ),
    Rule("sql", ("sql.destructive",), Verdict.GATE, Risk.HIGH, "It deletes or changes data.", _ASK),
    Rule(
        "sql-schema",
        ("sql.schema",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes the structure of data that exists.",
        _ASK,
    ),
    Rule(
        "sql-privilege",
        ("sql.privilege",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes who may do what in a database.",
        _ASK,
    ),
    Rule(
        "sql-program",
        ("sql.program",),
        Verdict.GATE,
        Risk.HIGH,
        "It reaches files, programs or the server through a database, or stores code there.",
        _ASK,
    ),
    Rule(
        "sql-write",
        ("sql.write",),
        Verdict.ALLOW,
        Risk.LOW,
        "It adds rows, creates tables, or changes the rows a condition picks.",
    ),
    Rule(
        "delete-tracked",
        ("fs.delete-tracked",),
        Verdict.GATE,
        Risk.MEDIUM,
        "It deletes files of the repository.",
        "Delete only files you created, or say why these must go.",
    ),
    Rule(
        "delete",
        ("fs.delete",),
        Verdict.GATE,
        Risk.MEDIUM,
        "It deletes or overwrites files, and without the worktree nobody can tell what is lost.",
        "Name the files one by one, or delete only what the same run made.",
    ),
    Rule(
        "outside",
        ("fs.write-outside",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes files outside the worktree, where git keeps no undo.",
        "Work inside the worktree or the temporary folder.",
    ),
    Rule(
        "scratch",
        ("fs.write-scratch",),
        Verdict.ALLOW,
        Risk.LOW,
        "It writes only to the temporary folder.",
    ),
    Rule("send", ("net.send",), Verdict.GATE, Risk.HIGH, "Data leaves this machine.", _ASK),
    Rule(
        "privilege",
        ("priv.sudo", "priv.sandbox"),
        Verdict.GATE,
        Risk.HIGH,
        "It runs with more rights.",
        _ASK,
    ),
    Rule(
        "process",
        ("process.kill",),
        Verdict.GATE,
        Risk.MEDIUM,
        "It may end processes of others.",
        "End by number only what you started.",
    ),
    Rule(
        "host", ("host.control",), Verdict.GATE, Risk.HIGH, "It changes the machine itself.", _ASK
    ),
    Rule(
        "agent-config",
        ("agent.config",),
        Verdict.GATE,
        Risk.HIGH,
        "It changes files that steer agents.",
        _ASK,
    ),
    Rule(
        "agent-start",
        ("agent.start",),
        Verdict.GATE,
        Risk.HIGH,
        "It starts an agent that may not be watched.",
        _ASK,
    ),
)

_OPAQUE = MatchedRule(
    "opaque",
    Verdict.GATE,
    "Part of it cannot be read before it runs.",
    "Write it out plainly: fixed commands and paths, no computed text.",
)
_UNKNOWN = MatchedRule(
    "not-understood",
    Verdict.GATE,
    "The facts name something this policy does not know.",
    "Ask a person.",
)
_QUIET = MatchedRule("nothing-hazardous", Verdict.ALLOW, "Nothing hazardous was found in it.")

_VERDICTS = tuple(Verdict)
_RISKS = tuple(Risk)
_BY_HAZARD = {hazard: rule for rule in RULES for hazard in rule.hazards}
HAZARDS = frozenset(_BY_HAZARD)
ALLOWED = frozenset(h for h, rule in _BY_HAZARD.items() if rule.verdict is Verdict.ALLOW)


def _table() -> list[JSON]:
    return [
        {
            "id": rule.id,
            "hazards": list(rule.hazards),
            "verdict": rule.verdict.value,
            "risk": rule.risk.value,
            "why": rule.why,
            "remedy": rule.remedy,
        }
        for rule in RULES
    ]


POLICY_DIGEST = digest(_table())


def judge(facts: Facts, off: frozenset[str] = frozenset()) -> Judgement:
    """The verdict on facts. Pure and total: facts of a wrong shape are gated, never let through.

    `off` names rules that a published policy switched off; what denies always stays on.
    """
    try:
        return _judged(facts.hazards, facts.effect, off, opaque=bool(facts.opaque))
    except TypeError:  # what cannot be looked up has a wrong shape
        return _worked_out(facts.hazards, facts.effect, off, opaque=bool(facts.opaque))


def _worked_out(hazards: object, effect: object, off: frozenset[str], *, opaque: bool) -> Judgement:
    matched: dict[str, MatchedRule] = {}
    risks = [Risk.LOW]
    for hazard in hazards if isinstance(hazards, tuple | list) else (None,):
        rule = _BY_HAZARD.get(hazard) if isinstance(hazard, str) else None
        if rule is None:
            matched[_UNKNOWN.id] = _UNKNOWN
            risks.append(Risk.HIGH)
        elif rule.id not in off or rule.verdict is Verdict.DENY:
            matched[rule.id] = MatchedRule(rule.id, rule.verdict, rule.why, rule.remedy)
            risks.append(rule.risk)
    if opaque and _OPAQUE.id not in off:
        matched[_OPAQUE.id] = _OPAQUE
        risks.append(Risk.MEDIUM)
    if not isinstance(effect, Effect) or (effect is Effect.CONTROL and not hazards):
        matched[_UNKNOWN.id] = _UNKNOWN
        risks.append(Risk.HIGH)
    rules = tuple(sorted(matched.values(), key=strictest_first)) or (_QUIET,)
    verdict = max((rule.verdict for rule in rules), key=_VERDICTS.index)
    return Judgement(verdict, max(risks, key=_RISKS.index), rules, POLICY_DIGEST)


# Most calls of an agent are alike in these.
_judged = lru_cache(maxsize=4096)(_worked_out)


def strictest_first(rule: MatchedRule) -> tuple[int, str]:
    return -_VERDICTS.index(rule.verdict), rule.id
