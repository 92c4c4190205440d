"""Reads shell text with the bash grammar and lists every simple command in it.

Commands inside substitutions, functions, loops, conditions and here-documents are listed too, whether or
not they would run: what may run counts as run. Syntax the reader does not know is reported, never skipped.
"""

import re
from collections.abc import Callable
from itertools import pairwise

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from handfast.observe.commands import Redirect, Simple, pass_inputs_on
from handfast.observe.variables import Variables
from handfast.observe.wordreader import KnownOutput, WordReader
from handfast.observe.words import DYNAMIC, Word, unescape_quoted

_BASH = Language(tree_sitter_bash.language())


_SKIPPED = frozenset(
    {"comment", "heredoc_start", "heredoc_end", "file_descriptor", "variable_name"}
)
_SCOPED = frozenset({"subshell", "command_substitution", "process_substitution"})
_BRANCHES = frozenset(
    {
        "if_statement",
        "elif_clause",
        "else_clause",
        "while_statement",
        "case_statement",
        "case_item",
        "function_definition",
        "c_style_for_statement",
    }
)
_BLOCKS = frozenset({"program", "compound_statement", "do_group", "negated_command"})
# Tests and arithmetic hold words, never commands of their own; only their substitutions matter.
_EXPRESSIONS = frozenset(
    {
        "test_command",
        "unary_expression",
        "binary_expression",
        "ternary_expression",
        "postfix_expression",
        "parenthesized_expression",
        "subscript",
    }
)
_WORDS = frozenset(
    {
        "word",
        "number",
        "string",
        "raw_string",
        "ansi_c_string",
        "translated_string",
        "concatenation",
        "simple_expansion",
        "expansion",
        "arithmetic_expansion",
        "brace_expression",
        "extglob_pattern",
        "regex",
        "test_operator",
        "special_variable_name",
        "array",
    }
)


_LINE_END = re.compile(rb"(?<!\\)(?:\\\\)*\n")
_LINE_START = re.compile(rb"(\n[ \t]*)\\(?=[A-Za-z0-9_./-])")
_TIMED = re.compile(rb"(^|[\n;&|({][ \t]*)(time[ \t]+(?:-p[ \t]+)?)(?=[({])")
_ASCII_ONLY = bytes(byte if byte < 0x80 else ord("%") for byte in range(256))


class Reader:
    """One pass over one text. `commands` and `notes` hold what was found."""

    def __init__(self, text: str, variables: Variables, known_output: KnownOutput) -> None:
        self.bytes = text.encode("utf-8", "replace")
        self.commands: list[Simple] = []
        self.notes: list[str] = []
        self.variables = variables
        self._nested = False
        self._functions: dict[str, tuple[int, int]] = {}
        self._words = WordReader(self.bytes, variables, self._known, self._substitution)
        self._known_output = known_output
        self._statements: dict[str, Callable[[Node, Simple | None], Simple | None]] = {
            "list": self._list,
            "pipeline": self._pipeline,
            "for_statement": self._for,
            "command": self._command,
            "declaration_command": self._declaration,
            "unset_command": self._declaration,
            "variable_assignment": self._assignment,
            "variable_assignments": self._assignment,
            "redirected_statement": self._redirected,
        }

    def read(self) -> None:
        root = Parser(_BASH).parse(_shadow(self.bytes)).root_node
        if root.has_error:
            self.notes.append("unparsable")
        self._walk(root, None)
        pass_inputs_on(self.commands, self._functions)
        if self._words.unread:
            self.notes.append("unread-syntax")

    def _known(self, commands: list[Simple]) -> str | None:
        """What commands print, unless one of them is a function of this text that bears a program's name."""
        if any(each.argv and each.argv[0].text in self._functions for each in commands):
            return None
        return self._known_output(commands)

    @property
    def names(self) -> set[str]:
        """Of all commands, assignments alone (`=`) and functions (their names with `()`)."""
        named = {each.argv[0].text if each.argv else "=" for each in self.commands}
        return named | {f"{name}()" for name in self._functions}

    # -- statements

    def _walk(self, node: Node, feeder: Simple | None) -> Simple | None:
        """Lists the commands under `node`; answers the last of them, which a pipe would read from."""
        kind = node.type
        if kind in _SKIPPED:
            return None
        if kind in _WORDS or kind in _EXPRESSIONS:
            self._words.look_inside(node)
            return None
        if kind in _BLOCKS:
            return self._walk_all(node, feeder)
        if kind in _SCOPED:
            with self.variables.scoped():
                return self._walk_all(node, feeder)
        if kind == "function_definition" and self._calls_itself(node):
            self.notes.append("recursive-function")
        if kind in _BRANCHES:
            first = len(self.commands)
            with self.variables.conditional():
                last = self._walk_all(node, feeder)
            name = node.child_by_field_name("name") if kind == "function_definition" else None
            if name is not None:
                self._functions[self._words.text(name)] = (first, len(self.commands))
            return last
        handler = self._statements.get(kind)
        if handler is None:
            if kind != "ERROR":
                self.notes.append("unread-syntax")
            return self._walk_all(node, feeder)
        return handler(node, feeder)

    def _walk_all(self, node: Node, feeder: Simple | None) -> Simple | None:
        last: Simple | None = None
        for child in node.named_children:
            last = self._walk(child, feeder) or last
        return last

    def _calls_itself(self, node: Node) -> bool:
        """Whether a function starts itself beside itself, as a fork bomb does."""
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            return False
        own = re.escape(self._words.text(name))
        text = self._words.text(body)
        return bool(re.search(rf"(?<![\w-]){own}\s*[|&]|[|&]\s*{own}(?![\w-])", text))

    def _list(self, node: Node, feeder: Simple | None) -> Simple | None:
        """`a && b || c`: what the first part sets is certain, the rest is certain only up to its end."""
        left = node
        parts: list[Node] = []
        while left.type == "list":
            left, *rest = [child for child in left.named_children if child.type != "comment"]
            parts[:0] = rest
        last = self._walk(left, feeder)
        with self.variables.conditional():
            for child in parts:
                last = self._walk(child, feeder) or last
        return last

    def _pipeline(self, node: Node, feeder: Simple | None) -> Simple | None:
        last = feeder
        for child in node.named_children:
            if last is not None:
                last.piped = True
            before, first = last, len(self.commands)
            with self.variables.scoped():
                last = self._walk(child, last) or last
            if before is not None and len(self.commands) > first:
                before.reader = self.commands[first]
        return last

    def _for(self, node: Node, feeder: Simple | None) -> Simple | None:
        name = node.child_by_field_name("variable")
        values: list[str] = []
        for value in node.children_by_field_name("value"):
            values += [word.raw for word in self._words.read(value)]
        body = node.child_by_field_name("body")
        with self.variables.conditional():
            if name is not None:
                self.variables.bind(self._words.text(name), values or [DYNAMIC], kept_marks=True)
            return self._walk(body, feeder) if body is not None else None

    def _command(self, node: Node, feeder: Simple | None) -> Simple | None:
        self._check_lines(node)
        command = self._start(feeder)
        for child in node.children:
            kind = child.type
            if kind == "variable_assignment":
                command.assigns += self._assigned(child)
            elif kind == "herestring_redirect":
                command.stdin = self._words.one(child.named_children[-1])
            elif kind == "file_redirect":
                self._redirect(child, command)
            elif kind == "command_name":
                command.starts.append(child.start_byte)
                command.argv += (
                    self._words.read(child.children[0])
                    if child.children
                    else self._words.read(child)
                )
            elif kind != "comment":
                command.starts.append(child.start_byte)
                command.argv += self._words.read(child)
        return self._emit(command)

    def _declaration(self, node: Node, feeder: Simple | None) -> Simple | None:
        self._check_lines(node)
        command = self._start(feeder)
        command.argv = [Word(node.children[0].type)]
        command.starts = [child.start_byte for child in node.children]
        for child in node.named_children:
            if child.type == "variable_assignment":
                for name, value in self._assigned(child):
                    command.assigns.append((name, value))
                    self.variables.bind(name, [value.raw])
                    command.argv.append(Word(f"{name}={value.raw}", value.sources))
            else:
                command.argv += self._words.read(child)
        return self._emit(command)

    def _assignment(self, node: Node, feeder: Simple | None) -> Simple | None:
        self._check_lines(node)
        command = self._start(feeder)
        nodes = [node] if node.type == "variable_assignment" else node.named_children
        for child in nodes:
            pairs = self._assigned(child)
            command.assigns += pairs
            self.variables.bind(pairs[0][0], [value.raw for _, value in pairs])
        return self._emit(command)

    def _redirected(self, node: Node, feeder: Simple | None) -> Simple | None:
        self._check_lines(node)
        body = node.child_by_field_name("body")
        first = len(self.commands)
        last = self._walk(body, feeder) if body is not None else None
        if last is None:
            last = self._emit(self._start(feeder))
        inside = self.commands[first:]
        for child in node.children_by_field_name("redirect"):
            if child.type == "file_redirect":
                self._redirect(child, last, whole=body)
                if len(inside) > 1 and any(each.operator == "<" for each in last.redirects):
                    _feed(inside, Word(DYNAMIC))
            elif child.type == "herestring_redirect":
                _feed(inside, self._words.one(child.named_children[-1]))
            elif child.type == "heredoc_redirect":
                last = self._heredoc(child, last, inside)
            else:
                self.notes.append("unread-syntax")
        return last

    def _heredoc(self, node: Node, owner: Simple, inside: list[Simple]) -> Simple:
        start = next((c for c in node.children if c.type == "heredoc_start"), None)
        body = next((c for c in node.children if c.type == "heredoc_body"), None)
        quoted = start is not None and any(mark in self._words.text(start) for mark in "'\"\\")
        if body is not None:
            _feed(inside, Word(self._words.text(body)) if quoted else self._heredoc_text(body))
        last = owner
        # Words taken from the lines below belong to the body: the grammar lost its way.
        if start is not None and any(
            child.start_point.row != start.start_point.row
            for child in node.named_children
            if child.type not in {"heredoc_body", "heredoc_end"}
        ):
            self.notes.append("unread-syntax")
        for child in node.named_children:
            if child.type == "file_redirect":
                self._redirect(child, owner)
            elif child.type == "pipeline":
                last = self._walk(child, owner) or last
            elif child.type not in {"heredoc_start", "heredoc_body", "heredoc_end"}:
                words = child.type in _WORDS
                if words:
                    owner.starts.append(child.start_byte)
                    owner.argv += self._words.read(child)
                else:
                    with self.variables.conditional():
                        last = self._walk(child, None) or last
        return last

    def _heredoc_text(self, body: Node) -> Word:
        with self._words.collecting() as sources:
            text = self._words.spliced(body, unescape_quoted)
        return Word(text[0] if len(text) == 1 else DYNAMIC, tuple(sources))

    def _start(self, feeder: Simple | None) -> Simple:
        return Simple(
            [], feeder=feeder, fed=feeder is not None, cwds=self.variables.cwds, nested=self._nested
        )

    def _emit(self, command: Simple) -> Simple:
        command.sources = tuple(self._words.sources)
        self.commands.append(command)
        self.variables.follow(command)
        return command

    def _check_lines(self, node: Node) -> None:
        """A command ends with its line. Where the grammar reads on, it hides the next command."""
        for one, following in pairwise(node.children):
            gap = self.bytes[one.end_byte : following.start_byte]
            if gap.startswith(b"\\\n") and not gap.removeprefix(b"\\\n"):
                self.notes.append("unread-syntax")  # one word to bash, two to the grammar
            if b"\n" in gap and _LINE_END.search(gap):
                self.notes.append("unread-syntax")

    def _redirect(self, node: Node, owner: Simple, whole: Node | None = None) -> None:
        """One redirection. To the grammar every word behind it is a target; to bash only the first is."""
        self._check_lines(node)
        operator = next(
            (c.type for c in node.children if c.type[0] in "<>&" and not c.is_named), ">"
        )
        targets = node.children_by_field_name("destination")
        for target in targets[:1]:
            owner.redirects += [Redirect(operator, word) for word in self._words.read(target)]
        more = targets[1:]
        if not more:
            return
        if whole is not None and whole.type != "command":
            self.notes.append("unread-syntax")
        for word in more:
            owner.starts.append(word.start_byte)
            owner.argv += self._words.read(word)
        if owner.argv[0].text in {"cd", "pushd"}:
            self.variables.cwds = ()
        else:
            self.variables.follow(owner)

    def _assigned(self, node: Node) -> list[tuple[str, Word]]:
        """Name and possible values of one assignment. An addition to a variable is not resolved."""
        name, *rest = node.named_children
        if name.type == "subscript":
            self._words.look_inside(name)
        label = self._words.text(name).split("[", 1)[0]
        with self._words.collecting() as sources:
            values = self._words.pieces(rest[-1], quoted=True) if rest else [""]
        if b"+=" in self.bytes[name.start_byte : name.end_byte + 2] or name.type == "subscript":
            values = [DYNAMIC]
        return [(label, Word(value, tuple(sources))) for value in values]

    def _substitution(self, node: Node) -> list[Simple]:
        first = len(self.commands)
        nested, self._nested = self._nested, True
        with self.variables.scoped():
            if any(child.type == "file_redirect" for child in node.children):
                command = self._start(None)
                command.argv = [Word("cat")]
                for child in node.children_by_field_name("redirect"):
                    self._redirect(child, command)
                self._emit(command)
            else:
                self._walk_all(node, None)
        self._nested = nested
        return self.commands[first:]


def _shadow(source: bytes) -> bytes:
    """The text as the grammar is given it: bytes of other than ASCII characters as `%`, at the same places.

    To bash they are ordinary characters of a word and of no name, as `%` is. The grammar's scanner asks C
    functions that are only defined for bytes about them, and may crash.
    The keyword `time` before a group, which the grammar takes for a command, is left out.
    So is a backslash before a letter at the start of a line, which the grammar takes for a continuation.
    """
    plain = _LINE_START.sub(rb"\1%", source.translate(_ASCII_ONLY))
    return _TIMED.sub(lambda m: m.group(1) + b" " * len(m.group(2)), plain)


def _feed(inside: list[Simple], text: Word) -> None:
    """Gives an input to every command of the statement it is attached to. A pipe may feed it as well."""
    for command in inside:
        if command.stdin is None:
            command.stdin = text
