"""Writes the table of `docs/benchmarks.md` from `bench/results/*.json`: `python -m bench.table`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.parts import PARTS

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "bench" / "results", ROOT / "docs" / "benchmarks.md"
START, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def rendered(results: Path = RESULTS) -> str:
    """Markdown: for each part that has results, in the order of a run, its machine and its figures."""
    return "".join(
        line + "\n"
        for name in PARTS
        if (results / f"{name}.json").exists()
        for line in _part(json.loads((results / f"{name}.json").read_text()))
    )


def _part(result: dict[str, Any]) -> Iterator[str]:
    m = result["machine"]
    yield f"### `{result['part']}`"
    yield (
        f"{m['cores']} cores ({m['architecture']}), Python {m['python']}, load {m['load_1min']:g} before and "
        f"{m['load_1min_after']:g} after, took {m['took_s']:g} s."
    )
    yield ""
    yield "| figure | value | beside | target |"
    yield "|---|---|---|---|"
    for figure in result["figures"]:
        cells = (figure["name"], _value(figure), _beside(figure), _target(figure))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _value(figure: dict[str, Any]) -> str:
    value = figure["value"]
    number = f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"
    return f"{number} {figure['unit']}".rstrip()


def _beside(figure: dict[str, Any]) -> str:
    if figure["ratio"] is None:
        return str(figure["beside"])
    return f"{figure['ratio']:.2f}x {figure['beside']}"


def _target(figure: dict[str, Any]) -> str:
    verdict = {None: "", True: "met", False: "missed"}[figure["met"]]
    return f"{figure['target']}: {verdict}" if figure["target"] else ""


def main() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(START)
    _, found, after = rest.partition(END)
    assert found, f"{PAGE.name} has no place for the figures"
    PAGE.write_text(before + START + rendered() + END + after)


if __name__ == "__main__":
    main()
