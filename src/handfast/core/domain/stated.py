"""What an agent states of its work: claims with its confidence and what it rests them on, in its own words.

An agent writes them into what it says, as one fenced block:

    ```claims
    [{"claim": "The cache never grows past 1,000 entries", "confidence": 0.9, "basis": "`pytest -q tests/cache`"}]
    ```

Nothing is decided or ordered by them. A basis that names a recorded step is linked to it, which says that the
step exists and how it ended, not that the claim holds.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from handfast.core.domain.claim_words import named_in, plain
from handfast.core.domain.claims import Step
from handfast.core.domain.copying import replace
from handfast.core.domain.inert import inert
from handfast.core.domain.package import Stated

MAX_STATED: Final = 20
MAX_CLAIM: Final = 300
_MAX_SAYS: Final = 20_000
_BLOCK: Final = re.compile(r"^```claims[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_NAMED: Final = re.compile(r"[\w.:-]{4,200}")


def stated_in(says: str) -> tuple[Stated, ...]:
    """The first 20 claims of the blocks. What has not their shape is no claim; it stays in the words."""
    found: list[Stated] = []
    for block in _BLOCK.findall(says[:_MAX_SAYS]):
        found += _read(block)
    return tuple(found[:MAX_STATED])


def without_blocks(says: str) -> str:
    """The words, with each claim of a block as a sentence of its own: for what is derived from words."""
    claims = (f"{each.claim}\n" for each in stated_in(says))
    return "\n".join([_BLOCK.sub("", says[:_MAX_SAYS]), *claims])


def linked(stated: Sequence[Stated], steps: Sequence[Step]) -> tuple[Stated, ...]:
    """Each with the newest recorded step that its basis names: by the step's id, by the id of the call, by its
    exact command."""
    newest = sorted(steps, key=lambda step: step.ended or step.began, reverse=True)
    return tuple(_linked(each, newest) for each in stated)


def _linked(stated: Stated, newest: Sequence[Step]) -> Stated:
    names = {name.rstrip(".:") for name in _NAMED.findall(stated.basis)}
    commands = {*named_in(stated.basis), plain(stated.basis)}
    for step in newest:
        if names & {step.step_id, step.key} or (step.command and plain(step.command) in commands):
            return replace(
                stated,
                step_id=step.step_id,
                command=inert(plain(step.command), MAX_CLAIM, multiline=False),
                exit_code=step.exit_code,
            )
    return stated


def _read(block: str) -> Iterator[Stated]:
    try:
        items = json.loads(block, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return
    for item in items if isinstance(items, list) else [items]:
        claim = _line(item.get("claim")) if isinstance(item, Mapping) else ""
        if claim:
            yield Stated(claim, _confidence(item.get("confidence")), _line(item.get("basis")))


def _line(value: object) -> str:
    said = inert(value, MAX_CLAIM - 40, multiline=False) if isinstance(value, str) else ""
    return said.strip()[:MAX_CLAIM]


def _confidence(value: object) -> str:
    """A number from 0 to 1 with at most two digits behind the point, else ''."""
    try:
        number = Decimal(value) if isinstance(value, str) and len(value) < 20 else None
    except InvalidOperation:
        return ""
    if number is None or not number.is_finite() or not 0 <= number <= 1:
        return ""
    return f"{number:.2f}".rstrip("0").rstrip(".")
