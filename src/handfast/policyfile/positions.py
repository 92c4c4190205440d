"""YAML to plain values, remembering where each field stands."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import cast

import yaml

from handfast.core.policy.sections import Path, Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Spot:
    """`line` and `column` count from 1. `text_line` and `text_column` are where a text's first
    character stands; -1 when its characters cannot be placed one by one."""

    line: int
    column: int
    text_line: int = -1
    text_column: int = -1


@dataclass(slots=True)
class Parsed:
    """`problem` is set when the text is not YAML that can be read; then `data` is None."""

    data: object = None
    spots: dict[Path, Spot] = field(default_factory=dict)
    problem: Problem | None = None

    def place(self, problem: Problem) -> tuple[int, int]:
        """Line and column of a problem: of its field, or of the nearest one around it that exists."""
        path = problem.path
        while path and path not in self.spots:
            path = path[:-1]
        spot = self.spots.get(path, Spot(1, 1))
        if problem.column < 0 or spot.text_line < 0:
            return spot.line, spot.column
        return spot.text_line + problem.line, spot.text_column + problem.column


def parse(text: str) -> Parsed:
    """Never raises for what the text says. A name that stands twice is a problem: YAML keeps the last."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return Parsed(problem=Problem((), f"the policy is larger than {MAX_BYTES:,} bytes"))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, UnicodeError) as e:
        return _unreadable(e)
    parsed = Parsed()
    if node is None:
        parsed.problem = Problem((), "the policy is empty", "Write `version: 1` and `gates:`.")
        return parsed
    builder = _Builder(parsed, text)
    try:
        parsed.data = builder.value(node, (), 0)
    except _Refused as e:
        parsed.problem = e.problem
    return parsed


def _unreadable(error: Exception) -> Parsed:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or str(error) or type(error).__name__
    parsed = Parsed(problem=Problem((), f"this is not YAML: {said}"))
    if mark is not None:
        parsed.spots[()] = Spot(mark.line + 1, mark.column + 1)
    return parsed


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Builder:
    def __init__(self, parsed: Parsed, text: str) -> None:
        self._spots = parsed.spots
        self._lines = text.splitlines()
        self._loader = yaml.SafeLoader("")
        self._nodes = 0

    def value(self, node: yaml.Node, path: Path, depth: int) -> object:
        self._nodes += 1
        self._spots[path] = self._spot(node)
        if depth > MAX_DEPTH or self._nodes > 100_000:
            # Aliases make a small text large.
            raise _Refused(
                Problem(path, "the policy is nested too deeply or repeats itself too often")
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        try:
            return cast("object", self._loader.construct_object(node, deep=True))
        except (yaml.YAMLError, ValueError) as e:
            raise _Refused(Problem(path, f"this value cannot be read: {e}")) from None

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[Hashable, object]:
        found: dict[Hashable, object] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                raise _Refused(Problem(path, "a name is not plain text"))
            name = str(name_node.value)
            here: Path = (*path, name)
            self._spots[here] = self._spot(name_node)
            if name in found:
                raise _Refused(Problem(here, f"`{name}` stands here a second time", "Keep one."))
            if name_node.tag == "tag:yaml.org,2002:merge":
                raise _Refused(Problem(here, "`<<` is not taken", "Write the fields out."))
            key_spot = self._spots[here]
            found[name] = self.value(value_node, here, depth + 1)
            # A missing or wrong value is looked for at its name, a wrong text at its characters.
            text = self._spots[here]
            self._spots[here] = Spot(
                key_spot.line, key_spot.column, text.text_line, text.text_column
            )
        return found

    def _spot(self, node: yaml.Node) -> Spot:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if not isinstance(node, yaml.ScalarNode):
            return Spot(line, column)
        if node.style == "|":
            return self._block(node, line, column)
        opening = 1 if node.style in ("'", '"') else 0
        one_line = node.end_mark.line == node.start_mark.line
        length = node.end_mark.column - node.start_mark.column - 2 * opening
        if not one_line or length != len(node.value):
            return Spot(line, column)  # escapes or folding moved the characters
        return Spot(line, column, line, column + opening)

    def _block(self, node: yaml.ScalarNode, line: int, column: int) -> Spot:
        first = node.value.split("\n", 1)[0]
        body = self._lines[line] if line < len(self._lines) else ""
        at = body.find(first) if first else -1
        return Spot(line, column, line + 1, at + 1) if at >= 0 else Spot(line, column)
