"""What is being found out about one call, before it becomes `Facts`."""

from handfast.core.domain.action import DEPLOYING, Effect, Facts, Operand
from handfast.observe.inert import inert
from handfast.observe.secrets import redact

_RANK = {effect: rank for rank, effect in enumerate(Effect)}
_MAX_DETAILS = 50
_MAX_COUNTED = 100_000
_MAX_PATHS = 200
_MAX_ENVIRONMENTS = 50
_MAX_SENTENCE = 300
_MAX_SUMMARY = 200


class Findings:
    """Collects, in order of discovery. Nothing found is ever taken back."""

    def __init__(self) -> None:
        self.effect = Effect.READ
        self.operands: dict[str, Operand] = {}
        self.irreversible = False
        self._hazards: dict[str, str] = {}
        self._opaque: dict[str, str] = {}
        self._details: dict[str, None] = {}
        self._paths: dict[str, None] = {}
        self._branches: dict[str, None] = {}
        self._environments: dict[str, None] = {}
        self.deploys = 0
        self._headline = ""

    def at_least(self, effect: Effect) -> None:
        if _RANK[effect] > _RANK[self.effect]:
            self.effect = effect

    def hazard(self, name: str, sentence: str, *, undo: bool = False) -> None:
        """`undo` says the effect can be taken back afterwards."""
        self.deploys += name in DEPLOYING
        known = self._hazards.get(name)
        if known is None:
            self._hazards[name] = sentence
        self.detail(sentence)
        self.irreversible = self.irreversible or not undo

    def opaque(self, reason: str, sentence: str) -> None:
        self._opaque.setdefault(reason, sentence)
        self.detail(sentence)

    def detail(self, sentence: str) -> None:
        """All are counted, the first ones listed."""
        if len(self._details) < _MAX_COUNTED:
            self._details.setdefault(sentence)

    def headline(self, sentence: str) -> None:
        """What to say when there is no hazard; the first one wins."""
        self._headline = self._headline or sentence

    def path(self, shown: str) -> None:
        if len(self._paths) < _MAX_PATHS:
            self._paths.setdefault(shown)

    def branch(self, name: str) -> None:
        """A branch or tag of a remote that the call writes; `*` for any."""
        self._branches.setdefault(name)

    def environment(self, name: str) -> None:
        """An environment the call touches; `*` where it cannot be told."""
        if len(self._environments) < _MAX_ENVIRONMENTS:
            self._environments.setdefault(name)

    @property
    def environments(self) -> tuple[str, ...]:
        return tuple(self._environments)

    def operand(self, operand: Operand) -> None:
        self.operands[operand.path] = operand

    @property
    def hazards(self) -> tuple[str, ...]:
        return tuple(self._hazards)

    @property
    def opaque_reasons(self) -> tuple[str, ...]:
        return tuple(self._opaque)

    def found(self) -> list[tuple[str, str]]:
        """Hazards with their sentences."""
        return list(self._hazards.items())

    def facts(self) -> Facts:
        return Facts(
            effect=self.effect,
            summary=self._summary(),
            hazards=tuple(self._hazards),
            opaque=tuple(self._opaque),
            details=self._sentences(),
            paths=tuple(inert(path, _MAX_SENTENCE, multiline=False) for path in self._paths),
            operands=tuple(sorted(self.operands.values(), key=lambda operand: operand.path)),
            reversible=self._reversible(),
            branches=tuple(inert(name, 200, multiline=False) for name in self._branches),
            environments=tuple(inert(name, 200, multiline=False) for name in self._environments),
        )

    def _reversible(self) -> bool | None:
        if self._hazards and self.irreversible:
            return False
        if self._opaque or self.effect in {Effect.EXEC, Effect.NETWORK, Effect.CONTROL}:
            return None
        return True

    def _summary(self) -> str:
        worst = sorted(self._hazards.items(), key=lambda item: _weight(item[0]))
        parts = [sentence for _, sentence in worst] + list(self._opaque.values())
        text = "; ".join(dict.fromkeys(parts)) or self._headline or "runs nothing"
        return clean(text, _MAX_SUMMARY)

    def _sentences(self) -> tuple[str, ...]:
        sentences = list(self._details)
        if len(sentences) > _MAX_DETAILS:
            more = len(sentences) - (_MAX_DETAILS - 1)
            sentences = [*sentences[: _MAX_DETAILS - 1], f"and {more:,} more, not listed"]
        return tuple(clean(sentence, _MAX_SENTENCE) for sentence in sentences)


_HEAVY = (
    "control-plane",
    "exec.remote",
    "secret.access",
    "git.push-force",
    "deploy",
    "publish",
    "sql.destructive",
)
_LIGHT = ("sql.write", "fs.write-scratch", "git.push")


def _weight(hazard: str) -> int:
    """What a reader must see first comes first in the summary."""
    if hazard in _HEAVY:
        return _HEAVY.index(hazard)
    return 100 + _LIGHT.index(hazard) if hazard in _LIGHT else 50


def clean(text: str, limit: int) -> str:
    """One line without secrets or hidden characters, at most `limit` characters."""
    shown = inert(redact(text[: limit * 4])[0], limit * 4, multiline=False)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
