"""What the parts of a task may spend together: a part reserves its budget while it is open, and counts with
what it used once it has ended."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import ROUND_DOWN, Decimal
from typing import Final, TypeAlias

from handfast.core.domain.brief import Budget
from handfast.core.domain.errors import UsageError

Amounts: TypeAlias = Mapping[str, Decimal]
BOUNDS: Final = tuple(f.name for f in fields(Budget))
_CENTS: Final = Decimal("0.000001")  # a brief's money has at most six digits behind the point


def amounts(budget: Budget) -> dict[str, Decimal]:
    """By field; what has no bound is not in it."""
    found = {name: Decimal(getattr(budget, name) or 0) for name in BOUNDS}
    return {name: amount for name, amount in found.items() if amount}


def together(taken: Sequence[Amounts]) -> dict[str, Decimal]:
    return {name: sum((t.get(name, Decimal(0)) for t in taken), Decimal(0)) for name in BOUNDS}


def used(budget: Budget, figures: Amounts) -> dict[str, Decimal]:
    """What a run that ended counts with. What nobody told counts as all that it was given."""
    return amounts(budget) | {name: figures[name] for name in BOUNDS if name in figures}


def left(whole: Budget, taken: Sequence[Amounts]) -> dict[str, Decimal]:
    """What one more part may have, by field, for each field that has a bound."""
    spoken_for = together(taken)
    return {
        name: max(bound - spoken_for[name], Decimal(0)).quantize(
            _CENTS if name == "cost_usd" else Decimal(1), ROUND_DOWN
        )
        for name, bound in amounts(whole).items()
    }


def apportioned(asked: Budget, whole: Budget, taken: Sequence[Amounts]) -> Budget:
    """The budget of one more part. What it leaves open is all that is left.

    Raises UsageError (code `beyond_what_is_left`, `details` with `field` and `left`).
    """
    rest: dict[str, Decimal] = {}
    for name, most in left(whole, taken).items():
        wanted = Decimal(getattr(asked, name) or 0)
        if wanted > most or not most:
            raise _refused(name, wanted, Decimal(getattr(whole, name)), most)
        if not wanted:
            rest[name] = most
    cost = rest.get("cost_usd")
    return Budget(
        cost_usd=asked.cost_usd if cost is None else _money(cost, whole.cost_usd),
        tool_calls=int(rest.get("tool_calls", asked.tool_calls)),
        retries=int(rest.get("retries", asked.retries)),
        reasoning_s=int(rest.get("reasoning_s", asked.reasoning_s)),
        wall_s=int(rest.get("wall_s", asked.wall_s)),
    )


def _money(rest: Decimal, whole: str) -> str:
    """All of it as it was written."""
    return whole if rest == Decimal(whole) else plain(rest)


def plain(amount: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text


def _refused(name: str, wanted: Decimal, bound: Decimal, most: Decimal) -> UsageError:
    said = f"`{plain(wanted)}` is asked for and" if wanted else "this part takes some and"
    return UsageError(
        f"`budget.{name}` is more than is left of the parent's: {said} `{plain(most)}` of "
        f"`{plain(bound)}` is left",
        code="beyond_what_is_left",
        hint="Other parts reserve their budgets while they are open, and count with what they used once they have "
        "ended. Ask for less, or wait until one has ended.",
        details={"field": f"budget.{name}", "left": plain(most)},
    )
