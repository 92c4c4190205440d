"""Words of the grammar tree: quoting undone, known variables and substitutions put in, the rest marked."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tree_sitter import Node

from handfast.observe.commands import Simple
from handfast.observe.variables import Variables
from handfast.observe.words import (
    DYNAMIC,
    SPLIT,
    Word,
    ansi_c,
    combine,
    finish,
    mark_unquoted,
    of_value,
    shorten,
    unescape_quoted,
)

_PLAIN_TEXT = frozenset({"word", "regex", "extglob_pattern", "variable_name", "subscript"})
_SUBSTITUTION = re.compile(r"(?<!\\)(?:\\\\)*(?:`|\$\(|[<>]\()")
# The grammar takes what stands between two pairs of backquotes for the inside of one.
_TWO_IN_ONE = re.compile(r"`(?:[^`\\]|\\.)*`.", re.DOTALL)
_OVERLOOKED = re.compile(r"(?<!\\)(?:\\\\)*(?:`|\$\()")

# A subscript bash evaluates later, whatever quotes stood around it: `a[$(cmd)]`.
HIDDEN = re.compile(r"\w\[.*(\$\(|`)", re.DOTALL)
# `${name%.ext}`, `${name%.*}`, `${name##*/}`: the names of files as loops take them apart.
_SHORTENED = re.compile(r"\$\{([A-Za-z_]\w*)(%[\w.-]+|%\.\*|##\*/)\}")

KnownOutput = Callable[[list[Simple]], str | None]


class WordReader:
    """`sources` collects where the word being read gets its text from.

    `substitution` lists the commands of a `$(…)` node; `known_output` answers what they print, if certain.
    """

    def __init__(
        self,
        source: bytes,
        variables: Variables,
        known_output: KnownOutput,
        substitution: Callable[[Node], list[Simple]],
    ) -> None:
        self.bytes = source
        self.sources: list[str] = []
        self.unread = False
        self.variables = variables
        self._known_output = known_output
        self._substitution = substitution

    def text(self, node: Node) -> str:
        return self.bytes[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def read(self, node: Node) -> list[Word]:
        with self.collecting() as sources:
            pieces = self.pieces(node, quoted=False)
        return finish(pieces, tuple(sources))

    def one(self, node: Node) -> Word:
        """A place that takes one text whatever it holds: no splitting."""
        with self.collecting() as sources:
            pieces = self.pieces(node, quoted=True)
        return Word(pieces[0] if len(pieces) == 1 else DYNAMIC, tuple(sources))

    @contextmanager
    def collecting(self) -> Iterator[list[str]]:
        outer, self.sources = self.sources, []
        try:
            yield self.sources
        finally:
            inner, self.sources = self.sources, outer
            outer += [each for each in inner if each not in outer]

    def look_inside(self, node: Node) -> None:
        """Lists commands in substitutions below a node whose own text does not matter."""
        for child in node.named_children:
            if child.type in {"command_substitution", "process_substitution"}:
                self._substitution(child)
            elif child.type not in {"raw_string", "ansi_c_string"}:
                self.look_inside(child)
            elif HIDDEN.search(self.text(child)):
                self.unread = True
        if not node.named_child_count:
            self._check_leaf(node)
        if node.type in {"command_substitution", "process_substitution"}:
            self._substitution(node)

    def pieces(self, node: Node, *, quoted: bool) -> list[str]:
        kind = node.type
        if kind == "raw_string":
            return [self.text(node)[1:-1]]
        if kind == "ansi_c_string":
            return [ansi_c(self.text(node)[2:-1])]
        if kind in {"string", "translated_string"}:
            return self._string(node)
        if kind == "concatenation":
            return self._concatenation(node, quoted=quoted)
        if kind in {"simple_expansion", "expansion"}:
            return self._variable(node, quoted=quoted)
        if kind in {"command_substitution", "process_substitution"}:
            return [self._substituted(node, quoted=quoted)]
        if kind == "array":
            inner = [p for c in node.named_children for p in self.pieces(c, quoted=quoted)]
            return inner or [""]
        if node.named_child_count or kind in {"arithmetic_expansion", "brace_expression"}:
            self.look_inside(node)
            return [DYNAMIC]
        self._check_leaf(node)
        return [mark_unquoted(self.text(node))]

    def _check_leaf(self, node: Node) -> None:
        """The grammar takes some substitutions for plain text, for instance in `${x:-`cmd`}`."""
        if node.type in _PLAIN_TEXT and _SUBSTITUTION.search(self.text(node)):
            self.unread = True

    def _string(self, node: Node) -> list[str]:
        inner = [c for c in node.children if c.type not in {'"', "$", '$"'}]
        return self.spliced(node, unescape_quoted, inner, trim=1)

    def _concatenation(self, node: Node, *, quoted: bool) -> list[str]:
        found = [""]
        position = node.start_byte
        for child in node.children:
            gap = self.bytes[position : child.start_byte].decode("utf-8", "replace")
            self.unread = self.unread or bool(_SUBSTITUTION.search(gap))
            found = combine(found, [mark_unquoted(gap)])
            found = combine(found, self.pieces(child, quoted=quoted))
            position = child.end_byte
        return found

    def spliced(
        self,
        node: Node,
        plain: Callable[[str], str],
        inner: list[Node] | None = None,
        trim: int = 0,
    ) -> list[str]:
        """Text of a node in which expansions stand: the text through `plain`, the expansions resolved."""
        start, end = node.start_byte, node.end_byte - trim
        if trim:
            start = self.bytes.index(b'"', start) + 1
        found, position = [""], start
        for child in node.named_children if inner is None else inner:
            if child.type in {"string_content", "heredoc_content"}:
                continue
            found = combine(found, [plain(self._between(position, child.start_byte))])
            found = combine(found, self.pieces(child, quoted=True))
            position = child.end_byte
        return combine(found, [plain(self._between(position, end))])

    def _between(self, start: int, end: int) -> str:
        """Text the grammar found nothing in. It overlooks backquotes in some here-documents."""
        text = self.bytes[start:end].decode("utf-8", "replace")
        if _OVERLOOKED.search(text):
            self.unread = True
        return text

    def _variable(self, node: Node, *, quoted: bool) -> list[str]:
        self.look_inside(node)
        text = self.text(node)
        name = text.strip("${}")
        self.sources.append("$" + "".join(c for c in name if c.isalnum() or c == "_"))
        if shortened := _SHORTENED.fullmatch(text):
            known = self.variables.values(shortened.group(1))
            values = [shorten(each, shortened.group(2)) for each in known]
            return values if quoted else [of_value(value) for value in values]
        self.unread = self.unread or text.endswith("@P}")
        if text not in {f"${name}", f"${{{name}}}"}:
            return [DYNAMIC]
        values = self.variables.values(name)
        if DYNAMIC in "".join(values) and self.variables.is_set(name):
            self.sources.append("=" + name)
        if quoted:
            return values
        return [of_value(value) for value in values]

    def _substituted(self, node: Node, *, quoted: bool) -> str:
        if _TWO_IN_ONE.match(self.text(node)):
            self.unread = True
        commands = self._substitution(node)
        for each in commands:
            if each.argv:
                self.sources.append(each.argv[0].shown)
        known = self._known_output(commands) if node.type == "command_substitution" else None
        if known is None or (quoted and SPLIT in known):
            return DYNAMIC
        return known if quoted else of_value(known)
